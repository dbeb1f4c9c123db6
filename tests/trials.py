"""Experiments on the domain `cards`, with users who are assigned by the real plans and recorded by the real store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
from deliveries import Estate

from bailiwick.clock import VirtualClock
from bailiwick.experiments.analyst import ExperimentAnalyst
from bailiwick.experiments.document import parse_design
from bailiwick.experiments.keeper import ExperimentKeeper
from bailiwick.experiments.model import ExperimentDesign
from bailiwick.experiments.service import ExperimentService
from bailiwick.governance.audit import Actor
from bailiwick.metrics.exposures import Exposure
from bailiwick.metrics.service import MetricsService
from bailiwick.storage.database import Database
from bailiwick.traffic.enter import assignments, compile_domain

ADA = Actor("ada", reason="to learn")

Outcomes = Callable[[np.random.Generator], Mapping[str, float]]


def design_document(**changes: Any) -> dict[str, Any]:
    """A small A/B test of v1 against v2 on `correct`."""
    return {
        "id": "new-model",
        "domain": "cards",
        "hypothesis": "v2 has seen more queries",
        "primary": {"metric": "correct"},
        "minimum_effect": 0.05,
        "arms": [{"name": "control", "version": "v1"}, {"name": "treatment", "version": "v2"}],
        "burn_in_units": 50,
        **changes,
    }


def a_design(**changes: Any) -> ExperimentDesign:
    return parse_design(design_document(**changes))


def right(share: float, latency_ms: float = 10.0) -> Outcomes:
    """An arm that answers this share rightly."""
    return lambda random: {
        "correct": float(random.random() < share),
        "latency_ms": float(random.lognormal(np.log(latency_ms), 0.3)),
        "failed": 0.0,
    }


class Trials:
    """Every service that an experiment needs, over one database."""

    def __init__(self, database: Database, clock: VirtualClock) -> None:
        self.clock = clock
        self.estate = Estate(database, clock)
        self.metrics = MetricsService(database, clock, flush_interval_s=3600)
        self.experiments = ExperimentService(
            database,
            self.estate.audit,
            clock,
            self.estate.traffic,
            self.metrics,
            version_domain=lambda version: v.domain if (v := self.estate.registered.get(version)) else None,
            domains=self.estate.domain,
        )
        self.estate.on_removed = lambda connection, domain, versions, actor: self.experiments.pause_arms(
            connection, domain, versions, actor=actor
        )
        self.analyst = ExperimentAnalyst(database, clock, self.metrics, self.experiments)
        self.keeper = ExperimentKeeper(self.experiments, self.analyst, self.estate.delivery, self.estate.traffic, clock)
        self._asked = 0

    def started(self, **changes: Any) -> str:
        """A running experiment."""
        made = self.experiments.create(a_design(**changes), actor=ADA)
        self.experiments.start(made.id, actor=ADA)
        return made.id

    def users(self, count: int, arms: Mapping[str, Outcomes], seed: int = 1, lose: str | None = None) -> None:
        """New users who ask once each.

        Args:
            count: how many.
            arms: what each arm shows.
            seed: of what they see.
            lose: an arm of which every third user vanishes before being recorded.
        """
        random = np.random.default_rng(seed)
        traffic = self.estate.traffic
        compiled = compile_domain(traffic.experiments("cards"), traffic.holdout())
        for _ in range(count):
            self._asked += 1
            user = f"user-{self._asked}"
            for found in assignments(compiled, lambda _: None, {"user": user}.get):
                if not found.counted or (found.arm.name == lose and random.random() < 1 / 3):
                    continue
                exposure = Exposure(found.experiment, found.epoch, found.arm.name, found.unit, found.propensity)
                version = found.arm.version or "v1"
                values = arms[found.arm.name](random)
                request = f"request-{self._asked}"
                self.metrics.served(request, "cards", version, values, exposures=[exposure], unit=user)
        self.clock.advance(timedelta(minutes=5))
        assert self.metrics.flush()
