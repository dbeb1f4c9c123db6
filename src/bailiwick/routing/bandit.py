"""Probabilities of candidates: to be the best (Thompson sampling), or of the highest upper bound (UCB, LinUCB). Pure.

Thompson sampling draws one mean per candidate from its posterior and takes the highest. Here the probability of each
candidate to be that one is computed instead, and one draw is made from those probabilities: the same behaviour, but the
propensity that is logged is exactly the one that was used.

Sources: Thompson, Biometrika 1933; Kaufmann, Cappé, Garivier, "On Bayesian upper confidence bounds for bandit
problems", AISTATS 2012 (the bound of a posterior); Li, Chu, Langford, Schapire, "A contextual-bandit approach to
personalized news article recommendation", WWW 2010 (LinUCB, disjoint).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_ROOT_HALF = math.sqrt(0.5)
_STEPS = 24
_REACH = 4.0
_SMALLEST_VARIANCE = 0.01


def variance_of(mean: float, count: float) -> float:
    """Of the posterior of a mean reward after so many answers, the prior's included; rewards within 0 and 1.

    Never as if all answers were known to be alike: the least spread of one answer is taken to be 0.1.
    """
    return max(_SMALLEST_VARIANCE, min(0.25, mean * (1.0 - mean))) / (count + 1.0)


def chances_to_be_best(means: Sequence[float], variances: Sequence[float]) -> list[float]:
    """The probability of each of some independent normal variables to be the largest.

    The density of each times the distribution functions of the others, integrated by the rule of midpoints over four
    standard deviations, then normalised to sum to 1.

    >>> [round(each, 3) for each in chances_to_be_best([0.6, 0.5], [0.005, 0.005])]
    [0.841, 0.159]
    >>> [round(each, 3) for each in chances_to_be_best([0.5, 0.5, 0.5], [0.01, 0.01, 0.01])]
    [0.333, 0.333, 0.333]
    """
    deviations = [math.sqrt(each) for each in variances]
    highest = max(mean - _REACH * deviation for mean, deviation in zip(means, deviations, strict=True))
    found = []
    for position, (mean, deviation) in enumerate(zip(means, deviations, strict=True)):
        others = [(m, s) for at, (m, s) in enumerate(zip(means, deviations, strict=True)) if at != position]
        found.append(0.0 if mean + _REACH * deviation < highest else _chance(mean, deviation, others))
    total = sum(found)
    return [each / total for each in found]


def _chance(mean: float, deviation: float, others: list[tuple[float, float]]) -> float:
    total = 0.0
    step = 2 * _REACH / _STEPS
    for density, place in _GRID:
        value = mean + place * deviation
        below = density
        for other, spread in others:
            below *= 0.5 * math.erfc((other - value) / spread * _ROOT_HALF)
        total += below
    return total * step


_GRID = [
    (math.exp(-place * place / 2) / math.sqrt(2 * math.pi), place)
    for place in (-_REACH + (number + 0.5) * 2 * _REACH / _STEPS for number in range(_STEPS))
]


def features_of(score: float, margin: float, length: int) -> tuple[float, float, float, float]:
    """What the linear model sees of a candidate: a constant, its score, the margin, the length.

    >>> features_of(0.5, 0.25, 99)
    (1.0, 0.5, 0.25, 0.5)
    """
    return 1.0, score, margin, min(1.0, math.log10(1 + length) / 4)


def upper_bound(
    seen: Sequence[float], coefficients: Sequence[float], inverse: Sequence[float], width: float
) -> tuple[float, float]:
    """Prediction and upper bound of a linear arm: ``x'b`` and ``x'b + width * sqrt(x' A^-1 x)``."""
    size = len(seen)
    mean = sum(each * weight for each, weight in zip(seen, coefficients, strict=True))
    variance = sum(
        seen[row] * sum(inverse[row * size + column] * seen[column] for column in range(size)) for row in range(size)
    )
    return mean, mean + width * math.sqrt(max(0.0, variance))


def floored(shares: Sequence[float], floor: float) -> list[float]:
    """``floor + (1 - n * floor) * share``: no candidate below the floor, no rank changed.

    >>> [round(each, 3) for each in floored([1.0, 0.0], 0.02)]
    [0.98, 0.02]
    """
    rest = 1.0 - len(shares) * floor
    return [floor + rest * share for share in shares]
