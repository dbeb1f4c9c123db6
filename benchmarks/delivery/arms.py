"""The four ways of releasing. Ours and the hold-back run through the product's controller, the other two do not.

- *big-bang*: everything at once, an alarm on the failure rate of the last five minutes against that of history.
- *hold-back*: everything but 5 % at once, compared with those 5 % by the product's own detector and controller.
- *time-based*: 1, 10, 50, 100 % after five minutes each unless the same alarm sounds.
- *canary*: the product's default.

After 100 % every way goes on watching for two hours.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bailiwick.clock import VirtualClock
from bailiwick.delivery.rollout.controller import RolloutController
from bailiwick.delivery.rollout.model import Action, Rollout, RolloutPolicy, Step
from bailiwick.delivery.rollout.policy import default_policy
from bailiwick.delivery.rollout.reading import EvidenceReader
from bailiwick.delivery.rollout.recording import RolloutRecorder
from bailiwick.delivery.rollout.schedule import DEFAULT_STEPS
from bailiwick.delivery.rollout.service import RolloutService
from bailiwick.delivery.service import DeliveryService
from bailiwick.domains.model import Domain, DomainRevision, Lifecycle
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.registry.model import ModelVersion
from bailiwick.storage.database import Database
from bailiwick.storage.leases import Leases
from bailiwick.storage.migrate import upgrade
from bailiwick.traffic.model import SLOTS
from bailiwick.traffic.service import TrafficService
from benchmarks.delivery.world import STEP_S, STEPS, Floats, Integers, World

WATCH_S = 7_200.0
_ACTOR = Actor("benchmark")
_BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
_OFTEN_S, _OFTEN_FOR_S, _SELDOM_S = 60, 1_800, 300
_ALARM_S, _ALARM_REQUESTS = 300, 20
_TIMED_WEIGHTS, _TIMED_DWELL_S = (100, 1_000, 5_000, SLOTS), 300

HOLD_BACK_STEPS = (Step(SLOTS),)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of each release; arrays of shape ``(releases,)``.

    Args:
        harms: of the candidates.
        exposed: requests that the candidate answered within a day.
        rolled_back_s: seconds from the start until it was taken back everywhere; infinite where it never was.
        peak: largest weight, in basis points.
        full_s: seconds until it had all but the hold-back; infinite where it never had.
    """

    harms: Floats
    exposed: Floats
    rolled_back_s: Floats
    peak: Integers
    full_s: Floats

    @property
    def rolled_back(self) -> NDArray[np.bool_]:
        """Whether it was taken back."""
        return np.isfinite(self.rolled_back_s)

    @property
    def held(self) -> NDArray[np.bool_]:
        """Neither taken back nor let through within the day."""
        return ~self.rolled_back & ~np.isfinite(self.full_s)


def canary_policy(alpha: float | None = None) -> RolloutPolicy:
    """The default policy, with another alpha where one is given, watching for as long as the other ways."""
    policy = replace(default_policy(), guard_s=WATCH_S)
    return policy if alpha is None else replace(policy, alpha=alpha)


def controlled(world: World, steps: Sequence[Step], policy: RolloutPolicy) -> Outcomes:
    """Release through the product's service and controller, on a SQLite file in memory where there is one."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        database = Database(f"sqlite:///{folder}/rollouts.db")
        upgrade(database)
        outcomes = _House(database, world).release(steps, policy)
        database.close()
    return outcomes


class _House:
    """The product's own delivery over a virtual clock; only the registry's answers and the traffic are made up."""

    def __init__(self, database: Database, world: World) -> None:
        self.clock, self.world = VirtualClock(_BEGIN), world
        audit = AuditTrail(database, self.clock)
        self.traffic = TrafficService(database, audit, self.clock)
        self.delivery = DeliveryService(
            database, audit, self.clock, self.traffic, _version, lambda domain: [], _domain_revision
        )
        reader = EvidenceReader(world, self.clock)
        recorder = RolloutRecorder(audit, self.clock, self.traffic, self.delivery)
        self.service = RolloutService(
            database, self.clock, self.traffic, self.delivery, reader, recorder, lambda domain: world.releases.rate
        )
        self.leases = Leases(database, self.clock)
        self.controller = RolloutController(
            database, self.leases, self.traffic, reader, recorder, lambda: None, longest_tick_s=float(_SELDOM_S)
        )
        count = len(world.releases.harms)
        self.changed_s: Floats = np.zeros(count)
        self.rolled_back_s: Floats = np.full(count, np.inf)
        self.full_s: Floats = np.full(count, np.inf)
        self.peak: Integers = np.zeros(count, dtype=np.int64)

    def release(self, steps: Sequence[Step], policy: RolloutPolicy) -> Outcomes:
        """Start every release, and look at each when it is due until all are over or the day ends."""
        active: dict[int, Rollout] = {}
        for number in range(len(self.world.releases.harms)):
            domain = f"domain-{number}"
            self.delivery.deploy(domain, f"{domain}@v1", actor=_ACTOR)
            started = self.service.start(domain, f"{domain}@v2", actor=_ACTOR, steps=steps, policy=policy).rollout
            assert started is not None
            active[number] = started
            self.world.names[started.id] = number
            self._apply(number, started)
        self.world.advance()  # until the plans are in force
        while active and self.world.step < STEPS:
            self.world.advance()
            self.clock.sleep(STEP_S)
            self._look(active)
        self.world.finish()
        return Outcomes(self.world.releases.harms, self.world.exposed, self.rolled_back_s, self.peak, self.full_s)

    def _look(self, active: dict[int, Rollout]) -> None:
        now_s = self.world.step * STEP_S
        lease = self.leases.acquire("delivery.rollouts", "benchmark", 600.0)
        assert lease is not None
        for number, rollout in list(active.items()):
            age = now_s - self.changed_s[number]
            if age % (_OFTEN_S if age <= _OFTEN_FOR_S else _SELDOM_S):
                continue
            outcome = self.controller.step(rollout, lease, self.clock.now())
            assert outcome.written and outcome.problem is None, outcome.problem
            active[number] = outcome.rollout
            if outcome.decision is not None and outcome.decision.action is not Action.HOLD:
                self._apply(number, outcome.rollout)
            if outcome.rollout.state.is_final:
                del active[number]

    def _apply(self, number: int, rollout: Rollout) -> None:
        """Have the plan that the database holds reach the gateways, and note what it means."""
        now_s = self.world.step * STEP_S
        plan = self.traffic.plan(rollout.domain)
        assert plan is not None
        canary = plan.weights.get(rollout.version, 0)
        comparison = plan.comparison
        control = comparison.control_weight if comparison is not None else 0
        epoch = comparison.epoch if comparison is not None else int(self.world.epoch[number])
        self.world.plan(number, canary, control, epoch)
        self.changed_s[number] = now_s
        self.peak[number] = max(self.peak[number], canary)
        if canary >= SLOTS - rollout.policy.hold_back:
            self.full_s[number] = min(self.full_s[number], now_s + STEP_S)
        if not canary:
            self.rolled_back_s[number] = now_s + STEP_S


def timed(world: World, alarm: float, *, at_once: bool) -> tuple[Outcomes, Floats]:
    """Release by the clock, with an alarm against history: big-bang, or in steps.

    Args:
        world: in which.
        alarm: standard errors above history's rate from which it sounds; infinite: never.
        at_once: big-bang.

    Returns:
        The outcomes, and the largest number of standard errors that each release showed.
    """
    count = len(world.releases.harms)
    history = world.failure.mean(axis=0)  # history is known without error, which favours these ways
    canary = np.full(count, SLOTS if at_once else _TIMED_WEIGHTS[0], dtype=np.int64)
    rolled_back_s, full_s, largest = np.full(count, np.inf), np.full(count, np.inf), np.full(count, -np.inf)
    peak = canary.copy()
    world.plan_all(canary)
    world.advance()
    window: deque[Integers] = deque(maxlen=_ALARM_S // STEP_S + 1)
    dwell = _TIMED_DWELL_S // STEP_S
    last = int(WATCH_S / STEP_S) + (0 if at_once else dwell * (len(_TIMED_WEIGHTS) - 1))
    for tick in range(1, last + 1):
        world.advance()
        window.append(world.known.sum(axis=1)[:, 1])
        requests, failures = (window[-1] - window[0]).T
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (failures - requests * history) / np.sqrt(requests * history * (1 - history))
        z = np.where(requests >= _ALARM_REQUESTS, z, -np.inf)
        largest = np.maximum(largest, z)
        now_s = world.step * STEP_S
        sounds = (z > alarm) & (canary > 0) & (tick % 2 == 0)
        rolled_back_s[sounds] = now_s + STEP_S
        canary[sounds] = 0
        if not at_once and tick % dwell == 0 and tick // dwell < len(_TIMED_WEIGHTS):
            canary[canary > 0] = _TIMED_WEIGHTS[tick // dwell]
        full_s[(canary == SLOTS) & ~np.isfinite(full_s)] = now_s + STEP_S
        peak = np.maximum(peak, canary)
        world.plan_all(canary)
    world.advance()
    world.finish()
    return Outcomes(world.releases.harms, world.exposed, rolled_back_s, peak, full_s), largest


def _version(name: str) -> ModelVersion:
    domain = name.partition("@")[0]
    metrics = {"accuracy": 0.93, "latency_p95_ms": 4.0, "training_loss": 0.1, "validation_loss": 0.2}
    return ModelVersion(name, domain, "linear", _BEGIN, "0" * 64, 10, metrics=metrics)


def _domain_revision(domain: str) -> DomainRevision:
    return DomainRevision(Domain(domain, domain, f"agent-{domain}"), 1, Lifecycle.ACTIVE, _BEGIN, "benchmark")


CANARY_STEPS = DEFAULT_STEPS
