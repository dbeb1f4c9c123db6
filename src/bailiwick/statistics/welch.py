"""Welch's t test of two arms with unequal variances, from sufficient statistics.

Holds for means and, by the delta method, for ratios whose values are clustered by unit: `UnitMoments` gives an arm's
estimate with the squared error of it, and that is all the test needs. With one value per unit it is exactly the test of
the textbooks. The interval of the lift is Fieller's, with the quantile of the same test.

Valid for any number of units from two where units are normal, and else by the central limit theorem: a few hundred
units per arm, more where a few units carry most of the total (a skewness of s asks for about 350 s^2 units per arm;
with equal arms far fewer do, because the skewness of both cancels in the difference).

Sources: Welch, "The generalization of 'Student's' problem when several different population variances are involved",
Biometrika 34, 1947; Satterthwaite, Biometrics Bulletin 2, 1946 (degrees of freedom); Deng, Knoblich, Lu, "Applying the
delta method in metric analytics", KDD 2018 (ratios); Kohavi, Deng, Longbotham, Xu, "Seven rules of thumb for web site
experimenters", KDD 2014 (the 350 s^2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import Alternative, Effect, require_confidence, unknown_effect
from bailiwick.statistics.fieller import fieller_interval, fieller_intervals
from bailiwick.statistics.moments import ROUNDING, UnitMoments

Floats = NDArray[np.float64]

_TWO_SIDED = Alternative.TWO_SIDED
_GREATER = Alternative.GREATER
_MANY = 1e3


@dataclass(frozen=True, slots=True)
class ArmEstimate:
    """What an arm's data say of its mean, after whatever adjustment.

    Args:
        mean: the estimate.
        variance: squared standard error of it; 0 where the arm has no spread, NaN where it cannot be known.
        units: randomised units behind it.
    """

    mean: float
    variance: float
    units: float


@dataclass(frozen=True, slots=True)
class Effects:
    """Many effects at once, every field as in `Effect` and of shape ``(pairs,)``; NaN where `Effect` has None."""

    difference: Floats
    standard_error: Floats
    degrees_of_freedom: Floats
    low: Floats
    high: Floats
    lift: Floats
    lift_low: Floats
    lift_high: Floats
    p_value: Floats


def estimate_arm(moments: UnitMoments) -> ArmEstimate:
    """The arm's mean or ratio, with its squared standard error.

    >>> estimate_arm(UnitMoments.of([3.0, 5.0, 4.0, 4.0]))
    ArmEstimate(mean=4.0, variance=0.16666666666666666, units=4.0)

    Raises:
        InvalidInput: a sum is not finite, or a count is negative.
    """
    units, count = moments.units, moments.count
    if not math.isfinite(moments.total_total + moments.count_count + moments.total_count + count + units) or (
        units < 0 or count < 0
    ):
        raise InvalidInput(
            f"moments of {units!r} units hold a value that is not finite, or a negative count",
            what="moments",
            requested=repr(moments),
            allowed="finite sums, counts of at least 0",
            remedy="leave out observations that were not measured",
        )
    if count == 0:
        return ArmEstimate(math.nan, math.nan, units)
    return ArmEstimate(moments.total / count, moments.variance_of_mean, units)


def welch(
    control: UnitMoments,
    treatment: UnitMoments,
    level: float = 0.95,
    alternative: Alternative = Alternative.TWO_SIDED,
) -> Effect:
    """Welch's t test with its intervals; the cheapest call, about five microseconds.

    >>> effect = welch(UnitMoments.of([3.0, 5.0, 4.0, 6.0]), UnitMoments.of([6.0, 8.0, 7.0, 9.0]))
    >>> effect.difference, round(effect.p_value, 4), round(effect.low, 3), round(effect.high, 3)
    (3.0, 0.0167, 0.766, 5.234)
    >>> round(effect.lift or 0, 3), effect.rejects
    (0.667, True)

    Args:
        control: the arm compared with.
        treatment: the arm in question.
        level: confidence of the intervals; one-sided where the alternative is.
        alternative: what is looked for.

    Returns:
        The effect; one that cannot tell (see `Effect`) with fewer than two units in an arm or no spread in both.

    Raises:
        InvalidInput: a sum is not finite, a count is negative, or the level is no confidence.
    """
    return compare_estimates(estimate_arm(control), estimate_arm(treatment), level, alternative)


def compare_estimates(
    control: ArmEstimate,
    treatment: ArmEstimate,
    level: float = 0.95,
    alternative: Alternative = Alternative.TWO_SIDED,
    method: str = "welch",
) -> Effect:
    """The test of `welch` on estimates of two independent arms, however they were made."""
    require_confidence(level)
    variance = control.variance + treatment.variance
    if not 0.0 < variance < math.inf:
        return unknown_effect(method, control.mean, treatment.mean, level, alternative)
    # in shares of the sum: squares of very small or large variances would leave the range of floats
    share = control.variance / variance
    freedom = 1.0 / (share * share / (control.units - 1) + (1 - share) * (1 - share) / (treatment.units - 1))
    quantile = float(stdtrit(freedom, 0.5 + level / 2 if alternative is _TWO_SIDED else level))
    return _effect(method, control, treatment, freedom, quantile, level, alternative)


def _effect(
    method: str,
    control: ArmEstimate,
    treatment: ArmEstimate,
    freedom: float,
    quantile: float,
    level: float,
    alternative: Alternative,
) -> Effect:
    difference = treatment.mean - control.mean
    variance = control.variance + treatment.variance
    error = math.sqrt(variance)
    statistic = difference / error
    if alternative is _TWO_SIDED:
        p_value = 2 * float(stdtr(freedom, -abs(statistic)))
    else:
        p_value = float(stdtr(freedom, -statistic if alternative is _GREATER else statistic))
    half = quantile * error
    lift, lift_low, lift_high = lift_interval(
        difference, control.mean, variance, control.variance, -control.variance, quantile, alternative
    )
    return Effect(
        method,
        control.mean,
        treatment.mean,
        difference,
        error,
        freedom,
        -math.inf if alternative is Alternative.LESS else difference - half,
        math.inf if alternative is _GREATER else difference + half,
        lift,
        lift_low,
        lift_high,
        p_value,
        level,
        alternative,
    )


def lift_interval(
    difference: float,
    control: float,
    difference_variance: float,
    control_variance: float,
    covariance: float,
    quantile: float,
    alternative: Alternative = Alternative.TWO_SIDED,
) -> tuple[float | None, float | None, float | None]:
    """The lift with both ends of its interval (see `fieller_interval`), one end infinite for a one-sided test.

    >>> [round(x or 0, 5) for x in lift_interval(-1.0, -10.0, 0.08, 0.04, -0.04, 1.959964)]
    [-0.1, -0.16004, -0.04335]
    """
    if control == 0:
        return None, None, None
    lift = difference / abs(control)
    found = fieller_interval(difference, control, difference_variance, control_variance, covariance, quantile)
    if found is None:
        return lift, None, None
    if alternative is _TWO_SIDED:
        return lift, found[0], found[1]
    return (lift, found[0], math.inf) if alternative is _GREATER else (lift, -math.inf, found[1])


def estimate_arms(moments: NDArray[np.float64]) -> tuple[Floats, Floats, Floats]:
    """`estimate_arm` of many arms: means, squared standard errors and units, each of shape ``(arms,)``.

    Args:
        moments: shape ``(arms, fields)``, the fields in the order of `UnitMoments`; those of the covariate are not read
            and may be left out only together with what follows them (that is, give all ten).
    """
    units, total, count = moments[..., 0], moments[..., 1], moments[..., 2]
    squares, count_squares, products = moments[..., 4], moments[..., 5], moments[..., 7]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(count > 0, total / count, np.nan)
        residuals = squares - 2 * mean * products + mean * mean * count_squares
        residuals = np.where(residuals <= ROUNDING * squares, 0.0, residuals)
        variance = np.where(units >= 2, residuals * units / (units - 1) / (count * count), np.nan)
    return mean, variance, units


def welch_many(
    control: tuple[Floats, Floats, Floats],
    treatment: tuple[Floats, Floats, Floats],
    level: float = 0.95,
    alternative: Alternative = Alternative.TWO_SIDED,
) -> Effects:
    """`welch` of many pairs of arms in one pass, below a microsecond each.

    >>> arm = np.array([10.0, 10.0]), np.array([0.04, 0.0]), np.array([50.0, 50.0])
    >>> welch_many(arm, (arm[0] + 1, arm[1], arm[2])).p_value.round(5).tolist()
    [0.00062, 1.0]

    Args:
        control: means, squared standard errors, units: each of shape ``(pairs,)``, as `estimate_arms` gives them.
        treatment: likewise.
        level: of the intervals.
        alternative: what is looked for.
    """
    require_confidence(level)
    (mean_0, variance_0, units_0), (mean_1, variance_1, units_1) = control, treatment
    difference, variance = mean_1 - mean_0, variance_0 + variance_1
    known = (variance > 0) & np.isfinite(variance)
    two_sided = alternative is _TWO_SIDED
    with np.errstate(divide="ignore", invalid="ignore"):
        share = variance_0 / variance
        freedom = 1.0 / (share**2 / (units_0 - 1) + (1 - share) ** 2 / (units_1 - 1))
        error = np.sqrt(variance)
        statistic = difference / error
        quantile = _t_quantiles(freedom, 0.5 + level / 2 if two_sided else level)
        lift = np.where(mean_0 != 0, difference / np.abs(mean_0), np.nan)
    if two_sided:
        p_value = 2 * stdtr(freedom, -np.abs(statistic))
    else:
        p_value = stdtr(freedom, -statistic if alternative is _GREATER else statistic)
    lift_low, lift_high = fieller_intervals(difference, mean_0, variance, variance_0, quantile)
    low, high = difference - quantile * error, difference + quantile * error
    if alternative is _GREATER:
        high, lift_high = np.full_like(high, np.inf), np.where(np.isnan(lift_high), np.nan, np.inf)
    elif alternative is Alternative.LESS:
        low, lift_low = np.full_like(low, -np.inf), np.where(np.isnan(lift_low), np.nan, -np.inf)
    return Effects(
        difference=difference,
        standard_error=np.where(known, error, np.inf),
        degrees_of_freedom=np.where(known, freedom, 0.0),
        low=np.where(known, low, -np.inf),
        high=np.where(known, high, np.inf),
        lift=lift,
        lift_low=np.where(known, lift_low, np.nan),
        lift_high=np.where(known, lift_high, np.nan),
        p_value=np.where(known, p_value, 1.0),
    )


def _t_quantiles(freedom: Floats, probability: float) -> Floats:
    """Quantiles of the t distribution; with many degrees of freedom by the expansion around the normal one.

    Right to 1e-12 of itself there, at a tenth of the cost. Source: Abramowitz and Stegun 1964, 26.7.5.
    """
    z = float(ndtri(probability))
    square = z * z
    terms = (
        z,
        z * (square + 1) / 4,
        z * (5 * square**2 + 16 * square + 3) / 96,
        z * (3 * square**3 + 19 * square**2 + 17 * square - 15) / 384,
        z * (79 * square**4 + 776 * square**3 + 1482 * square**2 - 1920 * square - 945) / 92_160,
    )
    small = 1 / freedom
    found = terms[0] + small * (terms[1] + small * (terms[2] + small * (terms[3] + small * terms[4])))
    few = ~(freedom >= _MANY)
    if few.any():
        found[few] = stdtrit(freedom[few], probability)
    return np.asarray(found, np.float64)
