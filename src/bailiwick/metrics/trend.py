"""Whether a metric rises or falls, and by how much: Theil-Sen slope with the Mann-Kendall test.

Both rest on the signs and slopes of all pairs of points, so single outliers, such as one bad hour, hardly move them.
The test assumes points that are independent once the trend is taken away; a daily rhythm that is cut off in its middle
looks like a trend, so look at whole days.

Sources: Mann, "Nonparametric tests against trend", Econometrica 13, 1945, with ties as in Kendall, "Rank correlation
methods", 1975; Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63, 1968, whose interval
takes the slopes at the ranks (N -+ z sqrt(V)) / 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

LEAST_POINTS = 8
"""With fewer, the normal approximation of the Mann-Kendall statistic is poor."""

MOST_POINTS = 1_000


class Direction(Enum):
    """Of a trend."""

    RISING = "rising"
    FALLING = "falling"
    STEADY = "steady"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Trend:
    """What the points say.

    Args:
        points: how many.
        slope: change of the metric per day, and its interval ``low`` to ``high``; None where there are too few points.
        relative: the change over the whole time, as a share of the size of the median; None around zero.
        p_value: of no trend, two-sided.
        reason: in words.
    """

    direction: Direction
    points: int
    slope: float | None
    low: float | None
    high: float | None
    relative: float | None
    p_value: float | None
    reason: str


def trend(days: Sequence[float], values: Sequence[float], *, level: float = 0.95) -> Trend:
    """The trend of values over time.

    Args:
        days: when, in days since any instant, ascending, shape ``(points,)``; the last 1,000 are looked at.
        values: one for each.
        level: of the interval; the direction is claimed where the test rejects at ``1 - level``.

    >>> found = trend(range(10), [10.0, 11.1, 11.9, 13.0, 14.2, 15.0, 15.9, 17.0, 18.1, 19.0])
    >>> found.direction.value, round(found.slope, 2), round(found.p_value, 5)
    ('rising', 1.0, 8e-05)
    """
    at = np.asarray(days, dtype=np.float64)[-MOST_POINTS:]
    seen = np.asarray(values, dtype=np.float64)[-MOST_POINTS:]
    count = len(at)
    if count < LEAST_POINTS:
        few = f"{count} points are too few, {LEAST_POINTS} are needed"
        return Trend(Direction.INCONCLUSIVE, count, None, None, None, None, None, few)
    rising, variance = _kendall(seen)
    slopes = _slopes(at, seen)
    slope = float(np.median(slopes))
    score = (rising - math.copysign(1, rising)) / math.sqrt(variance) if rising and variance else 0.0
    p_value = float(2 * ndtr(-abs(score)))
    low, high = _interval(slopes, variance, level)
    typical = float(np.median(seen))
    relative = slope * float(at[-1] - at[0]) / abs(typical) if typical else None
    if p_value >= 1 - level:
        direction, reason = Direction.STEADY, f"no trend at the {level:.0%} level (p = {p_value:.2g})"
    else:
        direction = Direction.RISING if rising > 0 else Direction.FALLING
        reason = f"{direction.value} (p = {p_value:.2g})"
    return Trend(direction, count, slope, low, high, relative, p_value, reason)


def _kendall(values: NDArray[np.float64]) -> tuple[int, float]:
    """Pairs that rise less pairs that fall, and the variance of that without a trend."""
    count = len(values)
    first, second = np.triu_indices(count, 1)
    rising = int(np.sign(values[second] - values[first]).sum())
    ties = np.unique(values, return_counts=True)[1].astype(np.float64)
    variance = (count * (count - 1) * (2 * count + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    return rising, variance


def _slopes(at: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    first, second = np.triu_indices(len(at), 1)
    apart = at[second] - at[first]
    return np.asarray(np.sort(((values[second] - values[first])[apart > 0]) / apart[apart > 0]))


def _interval(slopes: NDArray[np.float64], variance: float, level: float) -> tuple[float, float]:
    reach = float(ndtri(0.5 + level / 2)) * math.sqrt(variance)
    low = math.floor((len(slopes) - reach) / 2)
    high = math.ceil((len(slopes) + reach) / 2)
    return float(slopes[max(0, low)]), float(slopes[min(len(slopes) - 1, high)])
