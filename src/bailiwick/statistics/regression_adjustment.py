"""CUPED: a metric made sharper with what was known of a unit before it was assigned.

The part of a unit's value that its covariate foretells is taken away, in every arm by the same slope and around the
same centre. Chance differences between the arms in who their units are vanish with it; the effect stays, because
nothing known before assignment can be changed by it. The variance falls by the squared correlation.

Sources: Deng, Xu, Kohavi, Walker, "Improving the sensitivity of online controlled experiments by utilizing
pre-experiment data", WSDM 2013; Deng, Knoblich, Lu, "Applying the delta method in metric analytics", KDD 2018 (ratios:
the linearised value of a unit takes the place of its value). For one value per unit the difference of two adjusted
means is exactly the arm's coefficient of the regression on arm and covariate (analysis of covariance).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import require_finite
from bailiwick.statistics.moments import UnitMoments

_NO_SPREAD = 1e-12  # share of the raw second moment below which a centred one is rounding, not spread


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Arms after the adjustment. They are moments like any others: every test and every confidence sequence reads them.

    Args:
        arms: the adjusted moments, in the order given; each covariate is now measured from the centre.
        slope: total value of a unit per unit of its covariate; 0 where the covariate does not vary or no arm can tell.
        centre: mean covariate of all units of all arms. It is treated as known, which is exact for every difference of
            arms (the centre cancels) and leaves out ``slope^2 Var(covariate) / all units`` for the level of one arm.
        variance_reduction: per arm, the share of the variance of its mean that is gone; 0 where unknown, negative for
            an arm that the common slope does not suit.
    """

    arms: tuple[UnitMoments, ...]
    slope: float
    centre: float
    variance_reduction: tuple[float, ...]


def regression_adjusted(arms: Sequence[UnitMoments]) -> Adjusted:
    """Adjust the arms of one experiment and one metric, with one slope pooled within arms.

    Valid for means and for ratios alike; asymptotically for ratios, and at any time where the moments are, because the
    slope settles. A unit without a covariate belongs in with the mean of those that have one.

    >>> before, after = [1.0, 2.0, 3.0, 4.0], [2.1, 3.9, 6.1, 7.9]
    >>> control = UnitMoments.of(after, covariates=before)
    >>> treatment = UnitMoments.of([value + 1.0 for value in after], covariates=before)
    >>> made = regression_adjusted([control, treatment])
    >>> round(made.slope, 3), round(made.arms[1].mean - made.arms[0].mean, 3), round(made.variance_reduction[0], 3)
    (1.96, 1.0, 0.998)

    Args:
        arms: moments with covariates, at least one arm.

    Raises:
        InvalidInput: no arm was given, or a sum is not finite.
    """
    if not arms:
        raise InvalidInput("there is no arm to adjust", what="arms", remedy="give the moments of at least one arm")
    for arm in arms:
        require_finite(arm.total + arm.total_total + arm.count_count + arm.covariate_covariate, "moments")
    units = sum(arm.units for arm in arms)
    if not units:
        return Adjusted(tuple(arms), 0.0, 0.0, (0.0,) * len(arms))
    centre = sum(arm.covariate for arm in arms) / units
    centred = [_centred(arm, centre) for arm in arms]
    slope = _pooled_slope(arms, centred)
    adjusted = tuple(_without(arm, slope) for arm in centred)
    reductions = tuple(_reduction(before, after) for before, after in zip(arms, adjusted, strict=True))
    return Adjusted(adjusted, slope, centre, reductions)


def _centred(arm: UnitMoments, centre: float) -> UnitMoments:
    """The arm with its covariate measured from the centre."""
    return replace(
        arm,
        covariate=arm.covariate - centre * arm.units,
        covariate_covariate=max(
            0.0, arm.covariate_covariate - 2 * centre * arm.covariate + centre * centre * arm.units
        ),
        total_covariate=arm.total_covariate - centre * arm.total,
        count_covariate=arm.count_covariate - centre * arm.count,
    )


def _pooled_slope(arms: Sequence[UnitMoments], centred: Sequence[UnitMoments]) -> float:
    """Least squares of the linearised values on the covariate, each arm around its own means."""
    product = spread = raw = 0.0
    for before, arm in zip(arms, centred, strict=True):
        if arm.units < 2 or not arm.count:
            continue
        # the linearised values total - mean * count sum to zero, so centring the covariate within the arm is enough
        product += arm.total_covariate - arm.mean * arm.count_covariate
        spread += arm.covariate_covariate - arm.covariate * arm.covariate / arm.units
        raw += before.covariate_covariate
    return product / spread if spread > _NO_SPREAD * raw else 0.0


def _without(arm: UnitMoments, slope: float) -> UnitMoments:
    """The arm with ``total - slope * covariate`` as the value of each unit, by the binomial formula on the sums."""
    return replace(
        arm,
        total=arm.total - slope * arm.covariate,
        total_total=arm.total_total - 2 * slope * arm.total_covariate + slope * slope * arm.covariate_covariate,
        total_count=arm.total_count - slope * arm.count_covariate,
        total_covariate=arm.total_covariate - slope * arm.covariate_covariate,
    )


def _reduction(before: UnitMoments, after: UnitMoments) -> float:
    """Share of the variance of the mean that is gone."""
    variance = before.variance_of_mean
    return 1.0 - after.variance_of_mean / variance if variance > 0.0 else 0.0
