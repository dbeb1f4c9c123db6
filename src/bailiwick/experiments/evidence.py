"""The totals of an experiment laid out for analysis, and what is carried from look to look. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from bailiwick.experiments.findings import Carried
from bailiwick.metrics.exposures import ArmTotals
from bailiwick.metrics.sketch import Sketch
from bailiwick.statistics.confidence_sequence import Watch
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.score import Support

_NOTHING = Sketch.of([])
_ONE = Sketch.of([1.0]).buckets[0]


@dataclass(frozen=True, slots=True)
class Totals:
    """Moments and sketches by metric and arm, every arm with as many epochs as the experiment has."""

    epochs: int
    moments: Mapping[tuple[str, str], tuple[UnitMoments, ...]]
    sketches: Mapping[tuple[str, str], tuple[Sketch, ...]]

    def of(self, metric: str, arm: str) -> tuple[UnitMoments, ...]:
        """The moments per epoch; empty ones where the arm had no unit."""
        return self.moments.get((metric, arm), (UnitMoments(),) * self.epochs)

    def pooled(self, metric: str, arm: str) -> UnitMoments:
        """The moments over all epochs together."""
        return sum(self.of(metric, arm), UnitMoments())

    def sketches_of(self, metric: str, arm: str) -> tuple[Sketch, ...]:
        """Of all single values, per epoch."""
        return self.sketches.get((metric, arm), (_NOTHING,) * self.epochs)

    def support(self, metric: str, arms: Sequence[str]) -> Support:
        """Which values the metric was seen to take."""
        seen = [sketch for arm in arms for sketch in self.sketches_of(metric, arm)]
        buckets = {int(bucket) for sketch in seen for bucket in sketch.buckets}
        if buckets <= {0, int(_ONE)}:
            return Support.BINARY
        return Support.NON_NEGATIVE if min(buckets) >= 0 else Support.REAL


def lay_out(totals: Sequence[ArmTotals], epochs: int) -> Totals:
    """Totals by metric and arm; what belongs to no known epoch is left out."""
    moments: dict[tuple[str, str], list[UnitMoments]] = {}
    sketches: dict[tuple[str, str], list[Sketch]] = {}
    for each in totals:
        if 1 <= each.epoch <= epochs:
            key = (each.metric, each.arm)
            moments.setdefault(key, [UnitMoments()] * epochs)[each.epoch - 1] = each.moments
            sketches.setdefault(key, [_NOTHING] * epochs)[each.epoch - 1] = each.sketch
    return Totals(
        epochs,
        {key: tuple(each) for key, each in moments.items()},
        {key: tuple(each) for key, each in sketches.items()},
    )


def epoch_share(number: int) -> float:
    """The part of an error that an epoch gets where epochs are tested one by one; all parts together are 1.

    >>> round(sum(epoch_share(number) for number in range(1, 10_000)), 3), epoch_share(1)
    (1.0, 0.6666666666666666)
    """
    return 2 / 3 if number == 1 else 1 / 3 / (number * (number - 1))


def watch_of(carried: Carried | None) -> Watch:
    """What a watched comparison remembers; a fresh one where nothing was carried.

    >>> watch_of(carried_watch(Watch(0.5, 2.0, 1.0))) == Watch(0.5, 2.0, 1.0)
    True
    """
    if carried is None:
        return Watch()
    given = dict(carried)
    moved = bool(given.pop("moved"))
    planned = given.pop("planned_information")
    numbers = {name: float(value) for name, value in given.items() if value is not None}
    return Watch(planned_information=planned, moved=moved, **numbers)


def carried_watch(watch: Watch) -> Carried:
    """The same as plain numbers."""
    return {name: float(value) if isinstance(value, bool) else value for name, value in asdict(watch).items()}


def smallest(evidence: Mapping[str, Carried], name: str, p: float) -> float:
    """The smallest p-value of a hypothesis so far, this look included."""
    before = evidence.get(name, {}).get("p")
    return p if before is None else min(before, p)
