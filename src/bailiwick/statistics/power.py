"""Planning a fixed-horizon test: power, smallest detectable effect, units and days, all from one standard-error curve.

For a number of units the curve gives the error that the difference will have; everything else is read off it. Asking
for the units that detect an effect and then for the effect that those units detect therefore leads back to the start,
on the absolute and on the relative scale alike (the test of a lift is that of its difference, see
`bailiwick.statistics.fieller`). The tests planned for are those of this package: Welch's for means and ratios (power
by the noncentral t distribution), the score test for shares (pooled error under no difference, unpooled under the
effect).

Several treatments are planned for jointly: the power is that of the smallest arm's comparison, at the critical value
of `Correction`. With a margin the question is non-inferiority: the effect may be zero, the distance to the margin
counts.

Sources: Cohen, "Statistical power analysis for the behavioral sciences", 1988 (noncentral t); Fleiss, Levin, Paik,
"Statistical methods for rates and proportions", 2003, 4.2 (shares); Deng, Knoblich, Lu, KDD 2018 (ratios).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from scipy.special import nctdtr, ndtr, ndtri, stdtrit

from bailiwick.errors import InvalidInput
from bailiwick.statistics.dunnett import dunnett_quantile
from bailiwick.statistics.effect import Alternative, require_confidence, require_finite, require_level
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.root import find_root

# From here on the noncentral t distribution is taken from its expansion, right to eight digits; the routine for the
# exact one now and then gives no number when degrees of freedom are many.
_LARGE = 1e4
_MOST_UNITS = 1e15


class Correction(StrEnum):
    """How the error rate is kept over several treatments."""

    NONE = "none"
    BONFERRONI = "bonferroni"
    DUNNETT = "dunnett"


@dataclass(frozen=True, slots=True)
class Metric:
    """What one unit is like under the control.

    Args:
        mean: mean per value, or the share, or the ratio.
        variance: per unit: ``units * standard_error**2``. For a share ``mean * (1 - mean)``.
        share: whether it is a share of units, whose variance follows its mean.
    """

    mean: float
    variance: float
    share: bool = False

    def __post_init__(self) -> None:
        require_finite(self.mean, "mean")
        require_finite(self.variance, "variance", least=0.0)
        if self.variance == 0 or (self.share and not 0 < self.mean < 1):
            raise InvalidInput(
                f"a metric of mean {self.mean!r} and variance {self.variance!r} never varies",
                what="variance",
                requested=self.variance,
                allowed="a variance above 0; for a share a mean between 0 and 1",
                remedy="measure the metric on past traffic first",
            )

    @classmethod
    def of_share(cls, mean: float) -> Metric:
        """A share of units that succeed.

        >>> Metric.of_share(0.2).variance
        0.16000000000000003
        """
        return cls(mean, mean * (1 - mean) if math.isfinite(mean) else mean, share=True)

    @classmethod
    def of_moments(cls, moments: UnitMoments) -> Metric:
        """A mean or ratio as past traffic shows it, clustered by unit."""
        return cls(moments.mean, moments.units * moments.variance_of_mean)

    def adjusted(self, correlation: float) -> Metric:
        """With a covariate (CUPED) of this correlation with the metric: variance times ``1 - correlation**2``."""
        if not -1 < correlation < 1:
            raise InvalidInput(f"correlation {correlation!r}", what="correlation", allowed="-1 < value < 1")
        return replace(self, variance=self.variance * (1 - correlation * correlation), share=False)

    def absolute(self, lift: float) -> float:
        """The difference that a lift of the mean amounts to.

        Raises:
            InvalidInput: the mean is zero.
        """
        if self.mean == 0:
            raise InvalidInput(
                "a metric of mean 0 has no lift", what="lift", requested=lift, remedy="give a difference"
            )
        return lift * abs(self.mean)


@dataclass(frozen=True, slots=True)
class Design:
    """A planned comparison of one or more treatments with a control.

    Args:
        metric: of one unit.
        weights: shares of traffic, the control's first; any positive scale.
        level: confidence, family-wise over the treatments unless the correction is ``NONE``.
        power: probability to find the effect, where it is asked for.
        alternative: what is looked for.
        margin: None for a test of difference; else the largest loss accepted, in the metric's unit. The alternative
            then says which direction is good.
        correction: over treatments.
    """

    metric: Metric
    weights: tuple[float, ...] = (1.0, 1.0)
    level: float = 0.95
    power: float = 0.8
    alternative: Alternative = Alternative.TWO_SIDED
    margin: float | None = None
    correction: Correction = Correction.DUNNETT

    def __post_init__(self) -> None:
        require_confidence(self.level)
        require_level(self.power, "power")
        if len(self.weights) < 2 or not all(0 < weight < math.inf for weight in self.weights):
            raise InvalidInput(
                f"weights {self.weights!r} are not those of a control and treatments",
                what="weights",
                requested=self.weights,
                allowed="two or more finite numbers above 0",
            )
        if self.margin is not None:
            require_finite(self.margin, "margin", least=0.0)
            if self.alternative is Alternative.TWO_SIDED:
                raise InvalidInput(
                    "a margin needs a direction",
                    what="alternative",
                    requested=self.alternative.value,
                    allowed="greater where higher is better, less where lower is",
                )
        if self.power <= 1 - self.level:
            raise InvalidInput(
                f"power {self.power!r} is no more than the error rate {1 - self.level:g}",
                what="power",
                requested=self.power,
                allowed=f"above {1 - self.level:g}",
            )

    @property
    def null(self) -> float:
        """The difference that the test has to reject."""
        if self.margin is None:
            return 0.0
        return -self.margin if self.alternative is Alternative.GREATER else self.margin

    def arms(self, units: float) -> tuple[float, float]:
        """Units of the control and of the smallest treatment, of so many in all."""
        whole = sum(self.weights)
        return units * self.weights[0] / whole, units * min(self.weights[1:]) / whole


@dataclass(frozen=True, slots=True)
class StandardError:
    """A point of the curve: error of the difference where the null holds, where the effect does, and its freedom."""

    null: float
    effect: float
    degrees_of_freedom: float


@dataclass(frozen=True, slots=True)
class SampleSize:
    """Units in all, and of each arm in the order of the weights; rounded up."""

    total: int
    arms: tuple[int, ...]


def standard_error(design: Design, effect: float, units: float) -> StandardError:
    """The curve, at so many units in all.

    >>> point = standard_error(Design(Metric(10.0, 4.0)), 0.0, 1600)
    >>> point.effect, round(point.degrees_of_freedom)
    (0.1, 1598)
    """
    metric = design.metric
    base, other = design.arms(units)
    if not metric.share:
        one, two = metric.variance / base, metric.variance / other
        freedom = (one + two) ** 2 / (one * one / (base - 1) + two * two / (other - 1))
        error = math.sqrt(one + two)
        return StandardError(error, error, freedom)
    treated = metric.mean + effect
    at_effect = math.sqrt(metric.variance / base + treated * (1 - treated) / other)
    if design.margin is not None:
        return StandardError(at_effect, at_effect, math.inf)
    pooled = (metric.mean * base + treated * other) / (base + other)
    return StandardError(math.sqrt(pooled * (1 - pooled) * (1 / base + 1 / other)), at_effect, math.inf)


def power(design: Design, effect: float, units: float) -> float:
    """The probability to find an effect in the smallest treatment, with so many units in all.

    >>> round(power(Design(Metric(0.0, 1.0)), 0.5, 128), 4)  # Cohen 1988, table 2.3.5: 0.80 at d = 0.5, n = 64
    0.8015

    Args:
        design: the plan.
        effect: true difference, in the metric's unit.
        units: over all arms.

    Raises:
        InvalidInput: an arm would have fewer than two units, or the share would leave 0 to 1.
    """
    require_finite(effect, "effect")
    require_finite(units, "units", least=0.0)
    if min(design.arms(units)) < 2:
        raise InvalidInput(
            f"{units:g} units leave an arm with fewer than two",
            what="units",
            requested=units,
            allowed=f"at least {_fewest(design):g}",
        )
    if design.metric.share and not 0 <= design.metric.mean + effect <= 1:
        raise InvalidInput(
            f"an effect of {effect:g} takes the share {design.metric.mean:g} out of 0 to 1",
            what="effect",
            requested=effect,
            allowed=f"{-design.metric.mean:g} to {1 - design.metric.mean:g}",
        )
    return _power(design, effect, units)


def sample_size(design: Design, effect: float = 0.0) -> SampleSize:
    """The fewest units with which the design's power is reached.

    >>> sample_size(Design(Metric.of_share(0.10)), Metric.of_share(0.10).absolute(0.05))
    SampleSize(total=115526, arms=(57763, 57763))

    Args:
        design: the plan.
        effect: true difference to be found; with a margin usually 0, no change at all.

    Raises:
        InvalidInput: no number of units finds it, because it lies on the wrong side or on the null itself.
    """
    low = _fewest(design)
    distance = effect - design.null
    wrong = {Alternative.GREATER: distance <= 0, Alternative.LESS: distance >= 0}.get(design.alternative, distance == 0)
    if wrong:
        raise InvalidInput(
            f"no number of units shows an effect of {effect:g} against {design.null:g}",
            what="effect",
            requested=effect,
            allowed={Alternative.GREATER: f"above {design.null:g}", Alternative.LESS: f"below {design.null:g}"}.get(
                design.alternative, f"other than {design.null:g}"
            ),
            remedy="name the smallest effect that would matter, or a margin",
        )
    if power(design, effect, low) >= design.power:
        return _rounded(design, low)
    high = 2 * low
    while _power(design, effect, high) < design.power:
        high *= 4
        if high > _MOST_UNITS:
            raise InvalidInput(
                f"an effect of {effect:g} needs more than {_MOST_UNITS:g} units",
                what="effect",
                requested=effect,
                allowed=f"{minimum_effect(design, _MOST_UNITS):g} at that number",
                remedy="look for a larger effect",
            )
    units = find_root(lambda size: _power(design, effect, size) - design.power, low, high, 1e-12)
    return _rounded(design, units)


def minimum_effect(design: Design, units: float) -> float:
    """The smallest true difference that so many units find with the design's power.

    It has the sign of the alternative, and is positive for a two-sided one. With a margin it may be of the other sign:
    even a small loss would be found to lie within the margin.

    >>> round(minimum_effect(Design(Metric(10.0, 4.0)), 1600), 4)
    0.2803

    Args:
        design: the plan.
        units: over all arms.

    Raises:
        InvalidInput: the share's bounds leave no room for such an effect; the error says how many units would do.
    """
    sign = -1.0 if design.alternative is Alternative.LESS else 1.0
    null = design.null
    power(design, max(-design.metric.mean, min(null, 1 - design.metric.mean)) if design.metric.share else null, units)
    if design.metric.share:
        furthest = 1 - design.metric.mean if sign > 0 else -design.metric.mean
        nearest = max(-design.metric.mean, min(null, 1 - design.metric.mean))
        if _power(design, furthest, units) < design.power:
            possible = sample_size(design, furthest).total
            raise InvalidInput(
                f"with {units:g} units no effect on a share of {design.metric.mean:g} reaches power {design.power:g}",
                what="units",
                requested=units,
                allowed=f"at least {possible} units, which find an effect of {furthest:g}",
                remedy="give more units, less power, or a lower level",
            )
        return find_root(lambda effect: _power(design, effect, units) - design.power, nearest, furthest, 1e-13)
    scale = standard_error(design, 0.0, units).null
    reach = 4 * scale
    while _power(design, null + sign * reach, units) < design.power:
        reach *= 2
    distance = find_root(lambda step: _power(design, null + sign * step, units) - design.power, 0.0, reach, 1e-13)
    return null + sign * distance


def duration_days(design: Design, effect: float, units_per_day: float, maximum_days: float | None = None) -> float:
    """Days until the design's power is reached, if so many new units arrive in all arms together every day.

    >>> round(duration_days(Design(Metric.of_share(0.10)), 0.005, 10_000), 2)
    11.55

    Args:
        design: the plan.
        effect: true difference to be found.
        units_per_day: new ones; a returning user is no new unit.
        maximum_days: how long the experiment may take; None for any time.

    Raises:
        InvalidInput: it would take longer; the error names the effect that can be found in that time.
    """
    require_finite(units_per_day, "units_per_day", least=0.0)
    if units_per_day == 0:
        raise InvalidInput("without new units nothing is found", what="units_per_day", requested=0, allowed="above 0")
    days = sample_size(design, effect).total / units_per_day
    if maximum_days is not None and days > maximum_days:
        units = units_per_day * maximum_days
        possible = f"an effect of {minimum_effect(design, units):g}" if units >= _fewest(design) else "nothing"
        raise InvalidInput(
            f"an effect of {effect:g} takes {days:.1f} days",
            what="maximum_days",
            requested=maximum_days,
            allowed=f"at least {days:.1f} days; in {maximum_days:g} days {possible} can be found",
            remedy="give it more time or traffic, or look for a larger effect",
        )
    return days


def _power(design: Design, effect: float, units: float) -> float:
    point = standard_error(design, effect, units)
    critical = _critical(design, point.degrees_of_freedom)
    distance = effect - design.null
    if design.alternative is Alternative.LESS:
        distance = -distance
    found = _beyond(distance, critical, point)
    if design.alternative is Alternative.TWO_SIDED:
        found += _beyond(-distance, critical, point)
    return found


def _beyond(distance: float, critical: float, point: StandardError) -> float:
    """The probability that the statistic exceeds the critical value."""
    if point.effect == 0:
        return 1.0 if distance > critical * point.null else 0.0
    freedom = point.degrees_of_freedom
    if freedom == math.inf:
        return float(ndtr((distance - critical * point.null) / point.effect))
    if freedom >= _LARGE:
        # Abramowitz and Stegun, 26.7.10
        excess = distance / point.effect - critical * (1 - 1 / (4 * freedom))
        return float(ndtr(excess / math.sqrt(1 + critical * critical / (2 * freedom))))
    # the upper tail as the lower one of the mirrored statistic, which keeps its digits
    return float(nctdtr(freedom, -distance / point.effect, -critical))


def _critical(design: Design, freedom: float) -> float:
    treatments = len(design.weights) - 1
    two_sided = design.alternative is Alternative.TWO_SIDED
    if treatments > 1 and design.correction is Correction.DUNNETT:
        loadings = [math.sqrt(weight / (weight + design.weights[0])) for weight in design.weights[1:]]
        return dunnett_quantile(design.level, loadings, freedom if freedom < 1e3 else math.inf, two_sided)
    alpha = 1 - design.level
    if design.correction is not Correction.NONE:
        alpha /= treatments
    upper = 1 - (alpha / 2 if two_sided else alpha)
    return float(ndtri(upper) if freedom == math.inf else stdtrit(freedom, upper))


def _fewest(design: Design) -> float:
    """Units in all that give the smallest arm two."""
    return 2 * sum(design.weights) / min(design.weights)


def _rounded(design: Design, units: float) -> SampleSize:
    whole = sum(design.weights)
    # a root is right to twelve digits: what lies above a whole number by less is that number
    arms = tuple(math.ceil(units * weight / whole * (1 - 1e-11)) for weight in design.weights)
    return SampleSize(sum(arms), arms)
