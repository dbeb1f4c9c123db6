"""Rollouts of one domain with real services over a database, and totals that a test can set or serve into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from deliveries import ADA, Estate

from bailiwick.clock import VirtualClock
from bailiwick.delivery.live import LiveMetrics
from bailiwick.delivery.rollout.controller import Outcome, RolloutController
from bailiwick.delivery.rollout.model import (
    Direction,
    Evidence,
    Finding,
    MetricEvidence,
    MetricRule,
    Rollout,
    RolloutPolicy,
    RolloutState,
    Statistic,
)
from bailiwick.delivery.rollout.policy import default_policy
from bailiwick.delivery.rollout.reading import EvidenceReader, Totals
from bailiwick.delivery.rollout.recording import RolloutRecorder
from bailiwick.delivery.rollout.schedule import DEFAULT_STEPS
from bailiwick.delivery.rollout.service import RolloutService
from bailiwick.metrics.exposures import ArmTotals, ArmUnits, Exposure
from bailiwick.metrics.model import Point
from bailiwick.metrics.service import MetricsService
from bailiwick.metrics.sketch import Sketch
from bailiwick.statistics.moments import UnitMoments
from bailiwick.storage.database import Database
from bailiwick.storage.leases import Leases
from bailiwick.traffic.assign import slot, version_at
from bailiwick.traffic.comparison import arm_of
from bailiwick.traffic.model import CANARY, CONTROL

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
FAILED = MetricRule("failed", Statistic.RATE, Direction.LOWER, 0.01)
LATENCY = MetricRule("latency_ms", Statistic.P95, Direction.LOWER, 0.25, relative=True, required=False)
CORRECT = MetricRule("correct", Statistic.RATE, Direction.HIGHER, 0.02, required=False)


def a_rollout(**changes: Any) -> Rollout:
    """A rollout at its first step, whose dwell is over, with the usual policy."""
    usual = Rollout(
        id="rollout-1",
        domain="cards",
        version="v2",
        baseline="v1",
        steps=DEFAULT_STEPS,
        policy=default_policy(),
        state=RolloutState.RUNNING,
        step=0,
        weight=100,
        seen_s=300.0,
        ticked_at=NOW,
        approved_step=-1,
        row_version=1,
        fence=0,
        plan_revision=2,
        base_revision=1,
        deployment="deployment-1",
        started_at=NOW,
        started_by="ada",
    )
    return replace(usual, **changes)


def of(rule: MetricRule, finding: Finding) -> MetricEvidence:
    """Evidence of a finding; the numbers play no part in decisions."""
    return MetricEvidence(rule, finding, 0.1, 0.1, 0.0, None, None, 0.01, f"{rule.metric} is {finding.value}")


def evidence(*findings: Finding, units: int = 10_000, requests: int = 10_000) -> Evidence:
    """Evidence on failures, and then on latency and correctness, as far as findings are given."""
    metrics = tuple(of(rule, finding) for rule, finding in zip((FAILED, LATENCY, CORRECT), findings, strict=False))
    return Evidence(metrics, units, units, requests)


PROVEN = evidence(Finding.HARMLESS)
HARMED = evidence(Finding.HARMFUL)
OPEN = evidence(Finding.UNDECIDED)
NOTHING = evidence(Finding.NO_DATA, units=0, requests=0)


def totals_of(epoch: int, arm: str, values: dict[str, Any], experiment: str = "rollout-1") -> list[ArmTotals]:
    """Totals of units that gave one value each."""
    return [
        ArmTotals(experiment, epoch, arm, metric, UnitMoments.of(numbers), Sketch.of(np.asarray(numbers, dtype=float)))
        for metric, numbers in values.items()
    ]


@dataclass
class HeldTotals:
    """Totals in memory that a test sets, for any rollout."""

    totals: list[ArmTotals] = field(default_factory=list)
    units: list[ArmUnits] = field(default_factory=list)

    def set(self, canary_failed: int, control_failed: int, each: int, epoch: int = 1) -> None:
        """So many units of each arm, so many of which failed."""
        self.totals, self.units = [], []
        for arm, failed in ((CANARY, canary_failed), (CONTROL, control_failed)):
            self.totals += totals_of(epoch, arm, {"failed": [1.0] * failed + [0.0] * (each - failed)} if each else {})
            self.units.append(ArmUnits("rollout-1", epoch, arm, each, each, 0))

    def arm_totals(self, experiment: str) -> Sequence[ArmTotals]:
        return [replace(each, experiment=experiment) for each in self.totals]

    def arm_units(self, experiment: str) -> Sequence[ArmUnits]:
        return [replace(each, experiment=experiment) for each in self.units]

    def points(
        self, domain: str, since: datetime, until: datetime, *, metric: str | None = None, arm: str | None = None
    ) -> Sequence[Point]:
        return []


class Rollouts:
    """The rollouts of the domain `cards`, in which `v1` serves everybody.

    Args:
        database: migrated.
        clock: of everything.
        totals: what evidence rests on; by default what `serve` recorded, through the metric store.
    """

    def __init__(self, database: Database, clock: VirtualClock, totals: Totals | None = None) -> None:
        self.database, self.clock = database, clock
        self.metrics = MetricsService(database, clock, flush_interval_s=3600)
        self.estate = Estate(database, clock, live=LiveMetrics(lambda: self.metrics))
        self.reader = EvidenceReader(totals or self.metrics, clock)
        traffic, delivery = self.estate.traffic, self.estate.delivery
        self.recorder = RolloutRecorder(self.estate.audit, clock, traffic, delivery)
        self.service = RolloutService(database, clock, traffic, delivery, self.reader, self.recorder)
        self.controller = self.another()
        delivery.deploy("cards", "v1", actor=ADA)
        self._served = 0

    def another(self, clock: VirtualClock | None = None) -> RolloutController:
        """One more controller over the same database."""
        leases = Leases(self.database, clock or self.clock)
        refresh = self.metrics.experiments.tally_all
        return RolloutController(
            self.database, leases, self.estate.traffic, self.reader, self.recorder, refresh, longest_tick_s=60
        )

    def start(self, version: str = "v2", **options: Any) -> Rollout:
        started = self.service.start("cards", version, actor=ADA, **options)
        assert started.rollout is not None
        return started.rollout

    def tick(self, seconds: float = 60.0) -> Outcome | None:
        """Let time pass, and look."""
        self.clock.sleep(seconds)
        return next(iter(self.controller.tick(self.clock.now())), None)

    def serve(self, users: int, fails: dict[str, float], seed: int = 0) -> None:
        """New users ask once each, as the gateway would serve and record them.

        Args:
            users: how many.
            fails: chance to fail, by version.
            seed: of the failures.
        """
        plan = self.estate.traffic.plan("cards")
        assert plan is not None
        draws = np.random.default_rng([seed, self._served]).random(users)
        for draw in draws:
            self._served += 1
            user = f"user-{self._served}"
            place = slot(plan.salt, user)
            version = version_at(plan, place)
            found, compared = arm_of(plan, place, version), plan.comparison
            exposures = ()
            if found is not None and compared is not None:
                exposures = (Exposure(compared.rollout, compared.epoch, found[0], user, found[1]),)
            values = {"failed": float(draw < fails[version]), "latency_ms": 10.0 + 5.0 * float(draw)}
            assert self.metrics.served(f"request-{self._served}", "cards", version, values, exposures=exposures)
        assert self.metrics.flush()

    def policy(self, **changes: Any) -> RolloutPolicy:
        """On failures alone."""
        return replace(default_policy(), metrics=(FAILED,), **changes)
