"""Many comparisons watched at every event, at once: rows are repetitions, columns are events.

The mathematics is that of `bailiwick.statistics.score` and `.confidence_sequence`, on arrays; a test replays histories
through both and demands the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bailiwick.statistics.normal_mixture import bound, log_e_value, mixture_precision
from bailiwick.statistics.score import BurnIn, Support
from benchmarks.simulations.populations import Population

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

BURN_IN = BurnIn()


@dataclass(frozen=True, slots=True)
class ArmSums:
    """Running sums of one arm's units, each of shape ``(repetitions, events)``."""

    units: Floats
    total: Floats
    count: Floats
    total_total: Floats
    count_count: Floats
    total_count: Floats

    @classmethod
    def of(cls, member: Flags, totals: Floats, counts: Floats | None) -> ArmSums:
        """Sums over the units that entered the arm; ``counts`` is None where each unit gives one value."""
        mine = np.where(member, totals, 0.0)
        total, squares = np.cumsum(mine, axis=1), np.cumsum(mine * mine, axis=1)
        units = np.cumsum(member, axis=1, dtype=np.float64)
        if counts is None:
            return cls(units, total, units, squares, units, total)
        own = np.where(member, counts, 0.0)
        return cls(
            units,
            total,
            np.cumsum(own, axis=1),
            squares,
            np.cumsum(own * own, axis=1),
            np.cumsum(mine * own, axis=1),
        )

    def ratio(self) -> tuple[Floats, Floats]:
        """The estimate and its variance."""
        ratio = self.total / self.count
        squares = self.total_total - 2 * ratio * self.total_count + ratio * ratio * self.count_count
        variance = squares * self.units / ((self.units - 1) * self.count * self.count)
        return ratio, variance

    def burned_in(self, support: Support, burn_in: BurnIn) -> Flags:
        """Whether the arm holds what `bailiwick.statistics.score.combine` asks of it."""
        done = (self.count * self.count >= burn_in.units * self.count_count) & (self.count_count > 0)
        if support is Support.REAL:
            return np.asarray(done)
        done &= (self.total * self.total >= burn_in.events * self.total_total) & (self.total_total > 0)
        if support is Support.BINARY:
            failures = self.count - self.total
            squares = self.count_count - 2 * self.total_count + self.total_total
            done &= (failures * failures >= burn_in.events * squares) & (squares > 0)
        return np.asarray(done)


@dataclass(frozen=True, slots=True)
class Watched:
    """The process of a comparison: shape ``(repetitions, events)``, and per repetition the frozen plan."""

    difference: Floats
    information: Floats
    clock: Floats
    control: Floats
    control_variance: Floats
    counted: Flags
    planned_information: Floats

    def log_e_values(self, alpha: float, shift: float | Floats = 0.0) -> Floats:
        """Against the difference ``shift``; 0 before the burn-in."""
        z = (self.difference - shift) * np.sqrt(self.information)
        rho = mixture_precision(1.0, alpha) * self.planned_information[:, None]
        return np.where(self.counted, log_e_value(z * np.sqrt(self.clock), self.clock, rho), 0.0)

    def boundary(self, alpha: float) -> Floats:
        """In standard errors; infinite before the burn-in."""
        rho = mixture_precision(1.0, alpha) * self.planned_information[:, None]
        return np.where(self.counted, bound(self.clock, alpha, rho) / np.sqrt(self.clock), np.inf)


def watched(
    control: ArmSums, treatment: ArmSums, support: Support, planned_units: float, burn_in: BurnIn = BURN_IN
) -> Watched:
    """The process of two arms, from the first event on."""
    return watched_epochs([(control, treatment)], support, planned_units, burn_in)


def watched_epochs(
    epochs: Sequence[tuple[ArmSums, ArmSums]], support: Support, planned_units: float, burn_in: BurnIn = BURN_IN
) -> Watched:
    """The process of two arms over epochs, one after the other; each epoch counts once it is past its burn-in."""
    score: Floats | float = 0.0
    known: Floats | float = 0.0
    entered: Floats | float = 0.0
    columns: list[tuple[Floats, ...]] = []
    for control, treatment in epochs:
        difference, information, ours, ours_variance = _epoch(control, treatment, support, burn_in)
        units = np.where(information > 0, control.units + treatment.units, 0.0)
        columns.append((score + difference * information, known + information, entered + units, ours, ours_variance))
        score, known, entered = (column[:, -1:] for column in columns[-1][:3])
    whole, information, units, ours, ours_variance = (
        np.concatenate(column, axis=1) for column in zip(*columns, strict=True)
    )
    counted = information > 0
    first, rows = counted.argmax(axis=1), np.arange(len(counted))
    with np.errstate(divide="ignore", invalid="ignore"):
        planned = np.where(counted.any(axis=1), information[rows, first] * planned_units / units[rows, first], 1.0)
        estimate = np.where(counted, whole / information, 0.0)
    clock = np.maximum.accumulate(information, axis=1)
    clock[clock == 0] = 1.0
    return Watched(estimate, information, clock, ours, ours_variance, counted, planned)


def _epoch(control: ArmSums, treatment: ArmSums, support: Support, burn_in: BurnIn) -> tuple[Floats, ...]:
    """Difference and information of one epoch, both 0 before its burn-in; the control's estimate and its variance."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ours, ours_variance = control.ratio()
        theirs, theirs_variance = treatment.ratio()
        counted = control.burned_in(support, burn_in) & treatment.burned_in(support, burn_in)
        pooled = control.units / treatment.units * ours_variance + treatment.units / control.units * theirs_variance
        variance = np.maximum(ours_variance + theirs_variance, pooled)
        counted &= variance > 0
        return np.where(counted, theirs - ours, 0.0), np.where(counted, 1 / variance, 0.0), ours, ours_variance


def support_of(population: Population) -> Support:
    """What the analyst of such a metric would declare."""
    if population.events is not None or population.name == "clustered ratio":
        return Support.BINARY
    return Support.REAL if population.name == "normal" else Support.NON_NEGATIVE


def arrivals(
    population: Population,
    generator: np.random.Generator,
    shape: tuple[int, int],
    lift: float = 0.0,
    share: float = 0.5,
) -> tuple[ArmSums, ArmSums]:
    """Units that arrive one by one and fall into the treatment with chance ``share``."""
    treated = generator.random(shape, dtype=np.float32) < share
    totals, counts = population.draw(generator, shape, 0.0)
    if lift:
        totals = np.where(treated, population.draw(generator, shape, lift)[0], totals)
    own = counts if population.name == "clustered ratio" else None
    return ArmSums.of(~treated, totals, own), ArmSums.of(treated, totals, own)
