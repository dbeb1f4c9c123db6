"""Combining strata (epochs of constant weights, kinds of customers), lest a shift of mix pass for an effect.

When the share of an arm changes while the users of the day differ from those of the day before, the pooled averages can
show the opposite of what holds on every single day (Simpson's paradox). Within a stratum the arms are comparable; the
strata are then averaged with weights that are the same for every arm.

Sources: Miratrix, Sekhon, Yu, "Adjusting treatment effect estimates by post-stratification in randomized experiments",
JRSSB 2013; Cochran, "The combination of estimates from different experiments", Biometrics 1954 (inverse variance, Q).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import chdtrc

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import require_finite
from bailiwick.statistics.moments import UnitMoments


@dataclass(frozen=True, slots=True)
class Stratified:
    """Arms after post-stratification.

    Args:
        arms: for each arm moments of as many equal units as it has, one value each, whose mean and standard error are
            the stratified ones: every test and every confidence sequence reads them.
        weights: share of each stratum, the same for all arms; 0 for one that was left out.
        left_out: units of strata in which some arm has fewer than two units, so that the arms cannot be compared there.
    """

    arms: tuple[UnitMoments, ...]
    weights: tuple[float, ...]
    left_out: float


@dataclass(frozen=True, slots=True)
class CombinedDifference:
    """One difference out of several strata.

    Args:
        difference: treatment less control, in the metric's unit; NaN where no stratum can tell.
        standard_error: of it; infinite where no stratum can tell.
        weights: of the strata, summing to 1 where any can tell.
        heterogeneity: Cochran's Q of the strata's differences, chi-square with one degree of freedom less than strata.
        heterogeneity_p_value: of one and the same difference in all strata; low says that the average hides something.
    """

    difference: float
    standard_error: float
    weights: tuple[float, ...]
    heterogeneity: float
    heterogeneity_p_value: float


def post_stratified(strata: Sequence[Sequence[UnitMoments]]) -> Stratified:
    """Every arm as it would be, had it had the mix of strata that all units together have.

    Means of totals and of counts are averaged over the strata with the strata's shares of units, and their ratio is
    taken after that, so the estimate is of the same quantity as the pooled ratio. The variance is conditional on the
    shares. Randomisation within each stratum is what makes it valid; shares of arms may differ between strata freely.

    >>> morning = [UnitMoments.of([1.0, 0.0] * 450), UnitMoments.of([1.0, 0.0] * 50)]  # 90 % control, 50 % succeed
    >>> evening = [UnitMoments.of([1.0] * 9 + [0.0] * 91), UnitMoments.of(([1.0] * 9 + [0.0] * 91) * 9)]  # 9 % succeed
    >>> pooled = [morning[arm] + evening[arm] for arm in (0, 1)]
    >>> round(pooled[0].mean - pooled[1].mean, 3)  # the arms are alike, and yet
    0.328
    >>> round(post_stratified([morning, evening]).arms[0].mean - post_stratified([morning, evening]).arms[1].mean, 3)
    0.0

    Args:
        strata: for each stratum the moments of all arms, in the same order.

    Raises:
        InvalidInput: there is no stratum, or strata differ in the number of arms, or a sum is not finite.
    """
    arms = _arms_of(strata)
    usable = [_comparable(stratum) for stratum in strata]
    sizes = [sum(arm.units for arm in stratum) for stratum in strata]
    kept = sum(size for size, use in zip(sizes, usable, strict=True) if use)
    weights = tuple(size / kept if use else 0.0 for size, use in zip(sizes, usable, strict=True))
    made = tuple(_average([stratum[arm] for stratum in strata], weights) for arm in range(arms))
    return Stratified(made, weights, sum(sizes) - kept)


def inverse_variance(strata: Sequence[Sequence[UnitMoments]]) -> CombinedDifference:
    """The difference of two arms, each stratum weighted by one over its variance: sharpest where all strata share it.

    Where they do not (`heterogeneity_p_value` is low) the result is an average that belongs to nobody; use
    `post_stratified`. Not for rare events either: there a stratum's difference and its weight depend on each other.

    >>> stratum = [UnitMoments.of([1.0, 2.0, 3.0]), UnitMoments.of([2.0, 3.0, 4.0])]
    >>> made = inverse_variance([stratum, stratum])
    >>> made.difference, round(made.standard_error, 6), made.weights
    (1.0, 0.57735, (0.5, 0.5))

    Args:
        strata: for each stratum control and treatment.

    Raises:
        InvalidInput: there is no stratum, one does not have exactly two arms, or a sum is not finite.
    """
    if _arms_of(strata) != 2:
        raise InvalidInput(
            f"{len(strata[0])} arms cannot give one difference", what="strata", allowed="control and treatment"
        )
    found = []
    for control, treatment in strata:
        variance = control.variance_of_mean + treatment.variance_of_mean
        known = _comparable((control, treatment)) and variance > 0.0
        found.append((treatment.mean - control.mean, 1.0 / variance) if known else (0.0, 0.0))
    precision = sum(weight for _, weight in found)
    if not precision:
        return CombinedDifference(math.nan, math.inf, (0.0,) * len(found), 0.0, 1.0)
    difference = sum(value * weight for value, weight in found) / precision
    statistic = sum(weight * (value - difference) ** 2 for value, weight in found)
    freedom = sum(weight > 0.0 for _, weight in found) - 1
    return CombinedDifference(
        difference=difference,
        standard_error=math.sqrt(1.0 / precision),
        weights=tuple(weight / precision for _, weight in found),
        heterogeneity=statistic,
        heterogeneity_p_value=float(chdtrc(freedom, statistic)) if freedom else 1.0,
    )


def equivalent_moments(mean: float, standard_error: float, units: float) -> UnitMoments:
    """Moments of ``units`` units with one value each that have this mean and this standard error.

    It carries an estimate that was made in another way (stratified, doubly robust) into any test that reads moments.

    >>> made = equivalent_moments(4.0, 0.5, 16)
    >>> made.mean, made.standard_error, made.units
    (4.0, 0.5, 16)

    Raises:
        InvalidInput: a number is not finite, or an error or a count is negative.
    """
    require_finite(mean, "mean")
    require_finite(standard_error, "standard_error", least=0.0)
    require_finite(units, "units", least=0.0)
    spread = standard_error * standard_error * units * (units - 1.0)
    return UnitMoments(
        units=units,
        total=mean * units,
        count=units,
        total_total=spread + mean * mean * units,
        count_count=units,
        total_count=mean * units,
    )


def _arms_of(strata: Sequence[Sequence[UnitMoments]]) -> int:
    counts = {len(stratum) for stratum in strata}
    if len(counts) != 1 or 0 in counts:
        raise InvalidInput(
            f"strata with {sorted(counts)!r} arms cannot be combined",
            what="strata",
            requested=sorted(counts),
            allowed="at least one stratum, each with the same arms",
            remedy="give empty moments for an arm that had no traffic in a stratum",
        )
    for stratum in strata:
        for arm in stratum:
            require_finite(arm.total + arm.total_total + arm.count_count, "moments")
    return counts.pop()


def _comparable(stratum: Sequence[UnitMoments]) -> bool:
    return all(arm.units >= 2 and arm.count for arm in stratum)


def _average(arms: Sequence[UnitMoments], weights: Sequence[float]) -> UnitMoments:
    """One arm over its strata."""
    parts = [(arm, weight) for arm, weight in zip(arms, weights, strict=True) if weight]
    if not parts:
        return UnitMoments()
    count = sum(weight * arm.count / arm.units for arm, weight in parts)
    ratio = sum(weight * arm.total / arm.units for arm, weight in parts) / count
    variance = sum(weight * weight * _residual_variance(arm, ratio) / arm.units for arm, weight in parts)
    error = math.sqrt(variance) / count
    return equivalent_moments(ratio, error, sum(arm.units for arm, _ in parts))


def _residual_variance(arm: UnitMoments, ratio: float) -> float:
    """Variance over units of ``total - ratio * count``, around its mean in the stratum."""
    mean = (arm.total - ratio * arm.count) / arm.units
    square = arm.total_total - 2 * ratio * arm.total_count + ratio * ratio * arm.count_count
    return max(0.0, square - arm.units * mean * mean) / (arm.units - 1)
