"""Dunnett's test: many treatments against one control, at one family-wise error rate.

All comparisons share the control, so their statistics are correlated, and knowing how much wins back what Bonferroni
gives away. The correlation of treatments i and j is ``l_i l_j``: with that product structure the distribution of the
largest of K statistics is a double integral whatever K is, over the control's part z of the error (normal) and over the
error s of the estimated deviation (chi over the square root of its degrees of freedom):

    P(max |T_i| <= d) = E_s E_z prod_i [ Phi((d s - l_i z) / r_i) - Phi((-d s - l_i z) / r_i) ],  r_i^2 = 1 - l_i^2

Both are taken by Gauss-Legendre rules, exact to about 1e-10. The classic test pools the variance of all arms; without
pooling, each comparison has Welch's error and degrees of freedom and the correlations follow from the arms' variances.

Sources: Dunnett, "A multiple comparison procedure for comparing several treatments with a control", JASA 50, 1955, and
"New tables for multiple comparisons with a control", Biometrics 20, 1964; Hasler, Hothorn, "Multiple contrast tests in
the presence of heteroscedasticity", Biometrical Journal 50, 2008 (unequal variances).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri, ndtr, ndtri, stdtrit

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import Alternative, Effect, require_confidence, unknown_effect
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.root import find_root
from bailiwick.statistics.welch import ArmEstimate, estimate_arm, lift_interval

Floats = NDArray[np.float64]

# From here on the estimated deviation is the true one to more digits than the rule gives.
_LARGE = 1e7
_FEW = 60.0
_REACH = 9.0
_LARGEST_LOADING = 0.9998


def dunnett(
    control: UnitMoments,
    treatments: Sequence[UnitMoments],
    level: float = 0.95,
    alternative: Alternative = Alternative.TWO_SIDED,
    pooled: bool = False,
) -> tuple[Effect, ...]:
    """Each treatment against the control, with p-values and intervals that hold for all of them together.

    >>> control = UnitMoments.of([7.40, 8.50, 7.20, 8.24, 9.84, 8.32])  # Dunnett 1955, blood counts
    >>> a, b = UnitMoments.of([9.76, 8.80, 7.68, 9.36]), UnitMoments.of([12.80, 9.68, 12.16, 9.20, 10.55])
    >>> [round(effect.p_value, 5) for effect in dunnett(control, [a, b], pooled=True)]
    [0.6201, 0.00583]

    Args:
        control: the arm that all are compared with.
        treatments: the others; a single one gives the t test.
        level: joint confidence: all true differences lie in their intervals with this probability.
        alternative: what is looked for, the same in each.
        pooled: one variance for all arms, as in the textbooks; only where they are known to be equal.

    Returns:
        Effects in the order of the treatments; some may be such that cannot tell (see `Effect`).

    Raises:
        InvalidInput: no treatment, a sum that is not finite, a negative count, or a level that is no confidence.
    """
    if not treatments:
        raise InvalidInput("no treatment to compare", what="treatments", requested=0, allowed="at least one")
    require_confidence(level)
    arms = [estimate_arm(arm) for arm in (control, *treatments)]
    if pooled:
        arms, freedom_of_all = _pool((control, *treatments), arms)
    base, others = arms[0], arms[1:]
    known = [0.0 < base.variance + arm.variance < math.inf for arm in others]
    loadings = np.array(
        [
            math.sqrt(base.variance / (base.variance + arm.variance)) if good else 0.0
            for arm, good in zip(others, known, strict=True)
        ]
    )
    effects = []
    for arm, good in zip(others, known, strict=True):
        if not good:
            effects.append(unknown_effect("dunnett", base.mean, arm.mean, level, alternative))
            continue
        freedom = freedom_of_all if pooled else _satterthwaite(base, arm)
        effects.append(_compare(base, arm, freedom, loadings[known], level, alternative))
    return tuple(effects)


def dunnett_probability(
    bound: float, loadings: ArrayLike, degrees_of_freedom: float = math.inf, two_sided: bool = True
) -> float:
    """The probability that all statistics stay within the bound, in absolute value where two-sided.

    >>> round(1 - dunnett_probability(2.76, [0.5**0.5] * 3, 10), 3)  # three equal arms, ten degrees of freedom
    0.05

    Args:
        bound: the same for all.
        loadings: shape ``(treatments,)``, 0 to 1; ``sqrt(n_i / (n_i + n_0))`` with one variance. The correlation of two
            statistics is the product of their loadings; with equal arms each is ``sqrt(1/2)``.
        degrees_of_freedom: of the estimated deviation.
        two_sided: else only large statistics count.
    """
    # a correlation beyond 0.9996 is read as that, which makes the probability smaller, hence the test safer
    given = np.clip(np.asarray(loadings, np.float64), 0.0, _LARGEST_LOADING)
    # equal arms are the usual case: one factor to a power instead of a factor each
    distinct, multiplicity = np.unique(given, return_counts=True)
    # the narrower the step that a factor makes along z, the more panels
    nodes, weights = _normal_rule(2 * math.ceil(0.65 / math.sqrt(1 - distinct[-1] ** 2)))
    scales, scale_weights = _chi_rule(float(degrees_of_freedom))
    spread = np.sqrt(1 - distinct * distinct)
    shift = distinct[:, None] * nodes / spread[:, None]
    edge = bound * scales[:, None, None] / spread[:, None]
    inside = ndtr(edge - shift)
    if two_sided:
        inside = np.maximum(0.0, inside - ndtr(-edge - shift))
    product = np.prod(inside ** multiplicity[:, None], axis=1)
    return float(min(1.0, scale_weights @ (product @ weights)))


def dunnett_quantile(
    level: float, loadings: ArrayLike, degrees_of_freedom: float = math.inf, two_sided: bool = True
) -> float:
    """The bound that all statistics keep with probability ``level``: the critical value of Dunnett's tables.

    >>> round(dunnett_quantile(0.95, [0.5**0.5] * 4, 60), 2)
    2.51
    >>> round(dunnett_quantile(0.95, [0.5**0.5] * 4, 30, two_sided=False), 2)  # Dunnett 1955, table 1a
    2.25

    Args:
        level: joint confidence.
        loadings: as of `dunnett_probability`.
        degrees_of_freedom: as of `dunnett_probability`.
        two_sided: as of `dunnett_probability`.
    """
    require_confidence(level)
    given = np.asarray(loadings, np.float64)
    alpha = (1 - level) / 2 if two_sided else 1 - level
    # one comparison needs less, Bonferroni's is enough: the answer lies between
    low, high = _t_quantile(1 - alpha, degrees_of_freedom), _t_quantile(1 - alpha / len(given), degrees_of_freedom)
    if len(given) == 1:
        return low

    def excess(bound: float) -> float:
        return dunnett_probability(bound, given, degrees_of_freedom, two_sided) - level

    return low if excess(low) >= 0 else find_root(excess, low, high)


def _compare(
    base: ArmEstimate, arm: ArmEstimate, freedom: float, loadings: Floats, level: float, alternative: Alternative
) -> Effect:
    two_sided = alternative is Alternative.TWO_SIDED
    difference, variance = arm.mean - base.mean, base.variance + arm.variance
    error = math.sqrt(variance)
    statistic = difference / error
    bound = abs(statistic) if two_sided else statistic if alternative is Alternative.GREATER else -statistic
    quantile = dunnett_quantile(level, loadings, freedom, two_sided)
    lift, lift_low, lift_high = lift_interval(
        difference, base.mean, variance, base.variance, -base.variance, quantile, alternative
    )
    return Effect(
        method="dunnett",
        control=base.mean,
        treatment=arm.mean,
        difference=difference,
        standard_error=error,
        degrees_of_freedom=freedom,
        low=-math.inf if alternative is Alternative.LESS else difference - quantile * error,
        high=math.inf if alternative is Alternative.GREATER else difference + quantile * error,
        lift=lift,
        lift_low=lift_low,
        lift_high=lift_high,
        p_value=max(0.0, 1.0 - dunnett_probability(bound, loadings, freedom, two_sided)),
        level=level,
        alternative=alternative,
    )


def _pool(moments: Sequence[UnitMoments], arms: list[ArmEstimate]) -> tuple[list[ArmEstimate], float]:
    """Every arm with the variance of all; ratios keep their mean number of values per unit."""
    freedom = sum(arm.units - 1 for arm in arms)
    if not freedom > 0 or any(math.isnan(arm.variance) and arm.units != 1 for arm in arms):
        return [ArmEstimate(arm.mean, math.nan, arm.units) for arm in arms], freedom
    # the variance of a unit's residual, whatever the number of values per unit
    per_unit = [
        0.0 if arm.units < 2 else arm.variance * own.count**2 / own.units
        for arm, own in zip(arms, moments, strict=True)
    ]
    variance = sum(value * (arm.units - 1) for value, arm in zip(per_unit, arms, strict=True)) / freedom
    return [
        ArmEstimate(arm.mean, variance * own.units / own.count**2, arm.units)
        for arm, own in zip(arms, moments, strict=True)
    ], freedom


def _satterthwaite(one: ArmEstimate, two: ArmEstimate) -> float:
    share = one.variance / (one.variance + two.variance)
    return 1.0 / (share * share / (one.units - 1) + (1 - share) * (1 - share) / (two.units - 1))


def _t_quantile(probability: float, freedom: float) -> float:
    return float(ndtri(probability) if freedom >= _LARGE else stdtrit(freedom, probability))


@lru_cache(maxsize=16)
def _normal_rule(panels: int) -> tuple[Floats, Floats]:
    """Nodes and weights of a mean over a standard normal, which is nothing beyond nine deviations."""
    local, weights = np.polynomial.legendre.leggauss(48)
    half = _REACH / panels
    nodes = ((2 * np.arange(panels) + 1 - panels)[:, None] * half + local * half).ravel()
    return nodes, np.tile(weights, panels) * half * np.exp(-nodes * nodes / 2) / math.sqrt(2 * math.pi)


@lru_cache(maxsize=256)
def _chi_rule(freedom: float) -> tuple[Floats, Floats]:
    """Nodes and weights of a mean over the estimated deviation, in units of the true one."""
    if freedom >= _LARGE:
        return np.ones(1), np.ones(1)
    low = math.sqrt(float(chdtri(freedom, 1 - 1e-16)) / freedom)
    high = math.sqrt(float(chdtri(freedom, 1e-16)) / freedom)
    # few degrees of freedom start with a broken power of s at zero; as a function of its fourth root they do not
    bend, count = (4, 64) if freedom < _FEW else (1, 32)
    nodes, weights = np.polynomial.legendre.leggauss(count)
    roots = low ** (1 / bend) + (nodes + 1) / 2 * (high ** (1 / bend) - low ** (1 / bend))
    nodes, weights = roots**bend, weights * (bend * roots ** (bend - 1))
    logs = (freedom - 1) * np.log(nodes) - freedom * nodes * nodes / 2
    weights = weights * np.exp(logs - logs.max())
    # only their proportions matter: the length of the interval and what the cut tails took cancel
    return nodes, weights / weights.sum()
