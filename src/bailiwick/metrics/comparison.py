"""Comparing and ranking versions or domains by one metric, from their rollups.

For a first look: every observation counts as independent, and the intervals hold for one look at one pair. Whether a
version is better for users is decided by an experiment, which counts units and may be watched.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from scipy.special import stdtr, stdtrit

from bailiwick.metrics.rollup import Rollup

LEAST_OBSERVATIONS = 30
"""With fewer, the mean of a skewed metric is not near enough to normal."""


class Verdict(Enum):
    """Of a first against a second."""

    HIGHER = "higher"
    LOWER = "lower"
    NO_DIFFERENCE = "no difference"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The mean of one series less that of another.

    Args:
        difference: with its interval ``low`` to ``high``; None with too few observations.
        relative: the difference as a share of the size of the second mean; None where that is zero.
    """

    verdict: Verdict
    difference: float | None
    low: float | None
    high: float | None
    relative: float | None
    p_value: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class Ranked:
    """One place of a ranking.

    Args:
        rank: from 1; None with too few observations. Those whose mean is not distinct from that of the first of their
            rank share it.
        low, high: interval of the mean; None from a single observation.
    """

    rank: int | None
    name: str
    count: int
    mean: float
    low: float | None
    high: float | None
    p95: float


def compare(first: Rollup, second: Rollup, *, level: float = 0.95) -> Comparison:
    """Welch's test of two means (Biometrika 34, 1947) from their rollups.

    >>> found = compare(Rollup.of([2.0, 4.0] * 50), Rollup.of([1.0, 3.0] * 50))
    >>> found.verdict.value, found.difference, round(found.low, 3), round(found.high, 3)
    ('higher', 1.0, 0.72, 1.28)
    """
    if min(first.count, second.count) < LEAST_OBSERVATIONS:
        few = f"{first.count} and {second.count} observations; {LEAST_OBSERVATIONS} of each are needed"
        return Comparison(Verdict.INCONCLUSIVE, None, None, None, None, None, few)
    one, other = first.variance / first.count, second.variance / second.count
    difference = first.mean - second.mean
    error = math.sqrt(one + other)
    if error == 0:
        low = high = difference
        p_value = float(difference == 0)
    else:
        freedom = (one + other) ** 2 / (one**2 / (first.count - 1) + other**2 / (second.count - 1))
        reach = float(stdtrit(freedom, 0.5 + level / 2)) * error
        low, high = difference - reach, difference + reach
        p_value = float(2 * stdtr(freedom, -abs(difference) / error))
    relative = difference / abs(second.mean) if second.mean else None
    verdict = Verdict.HIGHER if difference > 0 else Verdict.LOWER
    if p_value >= 1 - level:
        verdict = Verdict.NO_DIFFERENCE
    return Comparison(verdict, difference, low, high, relative, p_value, f"{verdict.value} (p = {p_value:.2g})")


def rank(series: Mapping[str, Rollup], *, lowest_first: bool, level: float = 0.95) -> Sequence[Ranked]:
    """Series by their mean, best first; those with too few observations last and without a rank."""
    enough = [name for name, rollup in series.items() if rollup.count >= LEAST_OBSERVATIONS]
    enough.sort(key=lambda name: (series[name].mean if lowest_first else -series[name].mean, name))
    found: list[Ranked] = []
    leader, place = "", 0
    for index, name in enumerate(enough, start=1):
        if not leader or compare(series[leader], series[name], level=level).verdict is not Verdict.NO_DIFFERENCE:
            leader, place = name, index
        found.append(_ranked(place, name, series[name], level))
    others = sorted(name for name, rollup in series.items() if 0 < rollup.count < LEAST_OBSERVATIONS)
    return found + [_ranked(None, name, series[name], level) for name in others]


def _ranked(place: int | None, name: str, rollup: Rollup, level: float) -> Ranked:
    mean = rollup.mean
    if rollup.count < 2:
        return Ranked(place, name, rollup.count, mean, None, None, rollup.quantile(0.95))
    reach = float(stdtrit(rollup.count - 1, 0.5 + level / 2)) * math.sqrt(rollup.variance / rollup.count)
    return Ranked(place, name, rollup.count, mean, mean - reach, mean + reach, rollup.quantile(0.95))
