"""Reads what a rollout's evidence rests on, and has the rule of its policy judge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from bailiwick.clock import Clock
from bailiwick.delivery.rollout.evidence import assess
from bailiwick.delivery.rollout.kayenta import Minutes, assess_kayenta
from bailiwick.delivery.rollout.model import Evidence, JudgeRule, Rollout
from bailiwick.delivery.rollout.thresholds import assess_thresholds
from bailiwick.metrics.exposures import ArmTotals, ArmUnits
from bailiwick.metrics.model import Point
from bailiwick.traffic.model import CANARY, CONTROL


class Totals(Protocol):
    """Where the numbers come from; `metrics.service.MetricsService` is one."""

    def arm_totals(self, experiment: str) -> Sequence[ArmTotals]:
        """The totals of a rollout, as of the last tally."""
        ...

    def arm_units(self, experiment: str) -> Sequence[ArmUnits]:
        """How many units entered each arm."""
        ...

    def points(
        self, domain: str, since: datetime, until: datetime, *, metric: str | None = None, arm: str | None = None
    ) -> Sequence[Point]:
        """Rollups per minute."""
        ...


class EvidenceReader:
    """Looks at a rollout's evidence.

    Args:
        totals: of the arms.
        clock: until when points of minutes are read.
    """

    def __init__(self, totals: Totals, clock: Clock) -> None:
        self._totals = totals
        self._clock = clock

    def look(self, rollout: Rollout, *, intervals: bool = False) -> tuple[Evidence, Mapping[str, float]]:
        """The evidence as of the last tally, and what the next look needs as `Rollout.planned`.

        Args:
            rollout: that is judged; its present step scales the margins.
            intervals: see `evidence.assess`.

        Raises:
            Unavailable: the database is away.
        """
        units = self._totals.arm_units(rollout.id)
        if rollout.policy.rule is JudgeRule.KAYENTA:
            return assess_kayenta(rollout.policy, self._minutes(rollout), units), rollout.planned
        totals = self._totals.arm_totals(rollout.id)
        if rollout.policy.rule is JudgeRule.THRESHOLDS:
            return assess_thresholds(rollout.policy, rollout.epochs, totals, units), rollout.planned
        scale = rollout.present.margin_scale if rollout.present is not None else 1.0
        return assess(rollout.policy, rollout.epochs, scale, totals, units, rollout.planned, intervals=intervals)

    def _minutes(self, rollout: Rollout) -> Mapping[str, Minutes]:
        """The mean of each full minute, by metric and arm."""
        until = self._clock.now().replace(second=0, microsecond=0)
        since = min(rollout.started_at, until - timedelta(minutes=1))
        found: dict[str, Minutes] = {}
        for metric in {rule.metric for rule in rollout.policy.metrics}:
            arms = {
                arm: [
                    point.rollup.mean
                    for point in self._totals.points(
                        rollout.domain, since, until, metric=metric, arm=f"{rollout.id}={arm}"
                    )
                ]
                for arm in (CONTROL, CANARY)
            }
            found[metric] = Minutes(arms[CONTROL], arms[CANARY])
        return found
