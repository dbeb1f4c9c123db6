"""The difference of a quantile between two arms at fixed n, such as that of p95 latency.

A quantile's error is read from the data themselves: the order statistics between which the true quantile lies with
the wanted confidence, at ranks ``n q -+ z sqrt(n q (1 - q) d)``; half their distance over z is the standard error
(Woodruff). No density is estimated. With several values per unit the design effect d, the clustered variance of the
share of values below the quantile over the naive one, widens the ranks. Quantiles may come from raw values or from
any sketch.

Valid from about ``n (1 - q) >= 25``, ``n q >= 25`` values per arm; the sketch's own error (1 % of the value for
DDSketch) is not in it and cancels only roughly between arms.

Sources: Woodruff, "Confidence intervals for medians and other position measures", JASA 47, 1952; Deng, Knoblich, Lu,
"Applying the delta method in metric analytics", KDD 2018, section 4 (clustered quantiles).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import Alternative, Effect, require_finite, require_level
from bailiwick.statistics.welch import ArmEstimate, compare_estimates

_FEWEST_TAIL = 25.0
# Degrees of freedom so many that the t distribution is the normal one.
_MANY = 1e9


def quantile_estimate(
    quantile: Callable[[float], float], values: float, share: float, design_effect: float = 1.0
) -> ArmEstimate:
    """An arm's quantile with its squared standard error.

    >>> ordered = np.arange(1.0, 10_001.0)
    >>> arm = quantile_estimate(lambda q: float(ordered[int(q * 9_999)]), 10_000, 0.95)
    >>> arm.mean, round(arm.variance**0.5)  # the error of a uniform's quantile: sqrt(q (1 - q) n) = 21.8
    (9500.0, 22)

    Args:
        quantile: gives the value below which a share of the arm's values lies.
        values: how many values the arm has.
        share: of the quantile, 0.95 for p95.
        design_effect: at least 1 in practice; see the module.

    Returns:
        The estimate; its variance is NaN where a tail holds fewer than 25 values.

    Raises:
        InvalidInput: the share is not between 0 and 1, or a number is not finite.
    """
    require_level(share, "share")
    require_finite(values, "values", least=0.0)
    require_finite(design_effect, "design_effect", least=0.0)
    if values == 0:
        return ArmEstimate(math.nan, math.nan, 0.0)
    estimate = quantile(share)
    if values * min(share, 1 - share) < _FEWEST_TAIL:
        return ArmEstimate(estimate, math.nan, values)
    z = float(ndtri(0.975))
    reach = z * math.sqrt(share * (1 - share) * design_effect / values)
    error = (quantile(min(1.0, share + reach)) - quantile(max(0.0, share - reach))) / (2 * z)
    return ArmEstimate(estimate, error * error, _MANY)


def quantile_of(values: ArrayLike) -> Callable[[float], float]:
    """The quantile function of raw values, by linear interpolation between order statistics.

    >>> quantile_of([3.0, 1.0, 2.0])(0.5)
    2.0

    Raises:
        InvalidInput: there is no value, or one is not finite.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    if ordered.ndim != 1 or not len(ordered) or not np.isfinite(ordered).all():
        raise InvalidInput("values are not a list of finite numbers", what="values", remedy="leave out what is not one")

    def quantile(share: float) -> float:
        place = share * (len(ordered) - 1)
        below = min(int(place), len(ordered) - 1)
        above = min(below + 1, len(ordered) - 1)
        return float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))

    return quantile


def quantile_difference(
    control: ArmEstimate,
    treatment: ArmEstimate,
    level: float = 0.95,
    alternative: Alternative = Alternative.TWO_SIDED,
) -> Effect:
    """The difference of two quantiles made by `quantile_estimate`, by the normal distribution; lift after Fieller."""
    return compare_estimates(control, treatment, level, alternative, "quantile")
