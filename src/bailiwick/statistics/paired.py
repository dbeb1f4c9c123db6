"""Comparing two classifiers on the same examples.

Sources: McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 1947
(exact form); Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
design", Statistics in Medicine 1998 (the interval).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import bdtr, ndtri

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import require_confidence


@dataclass(frozen=True, slots=True)
class PairedResult:
    """The second against the first, on ``examples`` examples.

    Args:
        only_first: examples that only the first got right.
        only_second: examples that only the second got right.
        difference: accuracy of the second less that of the first.
        low: lower bound of the difference's 95 % interval.
        high: upper bound.
        p_value: two-sided, exact, of the hypothesis that both are equally accurate.
    """

    examples: int
    only_first: int
    only_second: int
    difference: float
    low: float
    high: float
    p_value: float


def compare_paired(examples: int, only_first: int, only_second: int, level: float = 0.95) -> PairedResult:
    """Exact McNemar test, and Tango's score interval of the difference in accuracy.

    >>> result = compare_paired(100, only_first=2, only_second=12)
    >>> round(result.p_value, 4), round(result.difference, 2), round(result.low, 3), round(result.high, 3)
    (0.0129, 0.1, 0.031, 0.182)

    Raises:
        InvalidInput: there are fewer examples than examples on which the two differ, or the level is no confidence.
    """
    require_confidence(level)
    if min(only_first, only_second) < 0 or not 0 < examples >= only_first + only_second:
        raise InvalidInput(
            f"{only_first!r} + {only_second!r} differing examples out of {examples!r}",
            what="examples",
            allowed="at least one example, and no more differing ones than there are",
        )
    differing = only_first + only_second
    p_value = min(1.0, 2 * float(bdtr(min(only_first, only_second), differing, 0.5))) if differing else 1.0
    z = float(ndtri(0.5 + level / 2))
    difference = (only_second - only_first) / examples
    return PairedResult(
        examples=examples,
        only_first=only_first,
        only_second=only_second,
        difference=difference,
        low=_bound(examples, only_second, only_first, z, difference, -1.0),
        high=_bound(examples, only_second, only_first, z, difference, 1.0),
        p_value=p_value,
    )


def _score(n: int, b: int, c: int, delta: float) -> float:
    """Tango's score statistic of the difference ``(b - c) / n`` being ``delta``."""
    linear = -b - c + (2 * n - b + c) * delta
    constant = -c * delta * (1 - delta)
    p21 = (math.sqrt(max(0.0, linear * linear - 8 * n * constant)) - linear) / (4 * n)
    variance = n * (2 * p21 + delta * (1 - delta))
    excess = b - c - n * delta
    if variance <= 0:
        return 0.0 if excess == 0 else math.copysign(math.inf, excess)
    return excess / math.sqrt(variance)


def _bound(n: int, b: int, c: int, z: float, difference: float, end: float) -> float:
    """Where the score leaves the interval from -z to z, between the difference and the end, by bisection."""
    inside, outside = difference, end
    for _ in range(60):
        middle = (inside + outside) / 2
        if abs(_score(n, b, c, middle)) <= z:
            inside = middle
        else:
            outside = middle
    return inside
