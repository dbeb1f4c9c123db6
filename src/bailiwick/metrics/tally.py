"""From exposures, outcomes and feedback to the totals of experiments, as differences, so that totals are cheap to keep.

A unit (what was randomised) belongs to the arm and epoch of its first exposure. What it does under that arm, in any
epoch, adds to its sums; what it does under another arm counts as crossed and adds to nothing. The moments of an arm are
sums over units, so a unit whose sums change is taken out as it was and put in as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from bailiwick.metrics.events import ExposureEvent
from bailiwick.metrics.sketch import Sketch
from bailiwick.statistics.moments import UnitMoments


class UnitKey(NamedTuple):
    """A unit (its digest) within an experiment."""

    experiment: str
    unit: str


class ArmKey(NamedTuple):
    """An arm of an experiment, for the units that entered in one epoch."""

    experiment: str
    epoch: int
    arm: str


class TotalKey(NamedTuple):
    """One metric of an arm."""

    experiment: str
    epoch: int
    arm: str
    metric: str


@dataclass(frozen=True, slots=True)
class UnitState:
    """What is known of a unit.

    Args:
        epoch, arm: of its first exposure.
        sums: by metric, the sum of its values and how many there were.
        covariates: by metric, its mean before the experiment began.
    """

    epoch: int
    arm: str
    sums: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    covariates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TotalDifference:
    """What is to be added to a total: moments, and the single values that came and went."""

    moments: UnitMoments
    added: Sketch
    removed: Sketch


@dataclass(frozen=True, slots=True)
class ArmDifference:
    """What is to be added to the counters of an arm."""

    units: int = 0
    requests: int = 0
    crossed: int = 0


class Tally:
    """Takes a batch of events and feedback in, and gives the differences that they make.

    Args:
        units: the state of every unit of the batch that is known already.
        covariates: for units that may enter now.
    """

    def __init__(
        self, units: Mapping[UnitKey, UnitState], covariates: Mapping[UnitKey, Mapping[str, float]] | None = None
    ) -> None:
        self._before = dict(units)
        self._covariates = covariates or {}
        self._after: dict[UnitKey, UnitState] = {}
        self._sums: dict[UnitKey, dict[str, tuple[float, int]]] = {}
        self._touched: dict[UnitKey, set[str]] = {}
        self._arms: dict[ArmKey, ArmDifference] = {}
        self._added: dict[TotalKey, list[float]] = {}
        self._removed: dict[TotalKey, list[float]] = {}

    def expose(self, event: ExposureEvent) -> None:
        """Count an exposure with its outcomes; the first of a unit decides where it belongs."""
        key = UnitKey(event.experiment, event.unit)
        state = self._state(key)
        entered = state is None
        if state is None:
            state = UnitState(event.epoch, event.arm, {}, self._covariates.get(key, {}))
            self._after[key] = state
        home = ArmKey(event.experiment, state.epoch, state.arm)
        present = self._arms.get(home, ArmDifference())
        if event.arm != state.arm:
            self._arms[home] = replace(present, crossed=present.crossed + 1)
            return
        self._arms[home] = replace(present, units=present.units + entered, requests=present.requests + 1)
        for metric, value in event.outcomes.items():
            self._add(key, state, metric, None, value)

    def judge(self, event: ExposureEvent, metric: str, before: float | None, after: float | None) -> bool:
        """Replace one value of an exposed request by another; whether it counts, which it does not where it crossed.

        Args:
            event: the exposure of the request; it was exposed before, in this batch or an earlier one.
            metric: that feedback judged.
            before: what was counted for it until now, None for nothing.
            after: what is to be counted, None for nothing.
        """
        key = UnitKey(event.experiment, event.unit)
        state = self._state(key)
        if state is None or state.arm != event.arm:
            return False
        self._add(key, state, metric, before, after)
        return True

    def units(self) -> dict[UnitKey, UnitState]:
        """The new state of every unit that changed."""
        changed = dict(self._after)
        for key, sums in self._sums.items():
            state = self._state(key)
            assert state is not None
            changed[key] = replace(state, sums={metric: each for metric, each in sums.items() if each[1]})
        return changed

    def arms(self) -> dict[ArmKey, ArmDifference]:
        """What to add to the counters of arms."""
        return dict(self._arms)

    def totals(self) -> dict[TotalKey, TotalDifference]:
        """What to add to the totals."""
        before: dict[TotalKey, list[tuple[float, int, float]]] = {}
        after: dict[TotalKey, list[tuple[float, int, float]]] = {}
        states = self.units()
        for key, metrics in self._touched.items():
            state, known = states[key], self._before.get(key)
            for metric in metrics:
                place = TotalKey(key.experiment, state.epoch, state.arm, metric)
                covariate = state.covariates.get(metric, 0.0)
                if known is not None and metric in known.sums:
                    before.setdefault(place, []).append((*known.sums[metric], covariate))
                if metric in state.sums:
                    after.setdefault(place, []).append((*state.sums[metric], covariate))
        places = before.keys() | after.keys() | self._added.keys() | self._removed.keys()
        return {
            place: TotalDifference(
                _moments(after.get(place, ())) - _moments(before.get(place, ())),
                Sketch.of(self._added.get(place, ())),
                Sketch.of(self._removed.get(place, ())),
            )
            for place in places
        }

    def _state(self, key: UnitKey) -> UnitState | None:
        return self._after.get(key) or self._before.get(key)

    def _add(self, key: UnitKey, state: UnitState, metric: str, before: float | None, after: float | None) -> None:
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = dict(state.sums)
            self._touched[key] = set()
        total, count = sums.get(metric, (0.0, 0))
        place = TotalKey(key.experiment, state.epoch, state.arm, metric)
        if before is not None:
            total, count = (total - before, count - 1) if count > 1 else (0.0, 0)
            self._removed.setdefault(place, []).append(before)
        if after is not None:
            total, count = total + after, count + 1
            self._added.setdefault(place, []).append(after)
        sums[metric] = (total, count)
        self._touched[key].add(metric)


def _moments(units: Iterable[tuple[float, int, float]]) -> UnitMoments:
    rows = np.array(list(units), dtype=np.float64).reshape(-1, 3)
    return UnitMoments.of(rows[:, 0], rows[:, 1], rows[:, 2])
