"""What is believed about arms: normal estimates under a proper prior on the relative lift.

The arms' true means are taken to scatter around a common level that nothing is known of, so that the difference of any
two has the prior ``Normal(mean, standard deviation)``, as shares of the control's size. Two arms give the textbook
normal-normal posterior of the difference; more arms give a probability to be best that agrees with it for every pair
alone. Large samples make the estimates normal; the control's size, by which lifts are divided, is taken as known.

A belief is not a guarantee: stopping when a probability looks good is wrong more often than the number says if the
prior was too wide. Verdicts come from the always-valid tests; this is the second opinion, with its dependence on the
prior.

Sources: Gelman, Carlin, Stern, Dunson, Vehtari, Rubin, "Bayesian data analysis", 3rd ed. 2013, sec. 2.5 and 5.4; Clark,
"The greatest of a finite set of random variables", Operations Research 1961 (expected loss); Deng, "Objective Bayesian
two sample hypothesis testing for online controlled experiments", WWW 2015 (why the prior must be proper).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bailiwick.errors import InvalidInput
from bailiwick.statistics.best_of import best_of_normals
from bailiwick.statistics.effect import require_finite, require_level
from bailiwick.statistics.moments import UnitMoments

Floats = NDArray[np.float64]

_HERMITE_X, _HERMITE_W = np.polynomial.hermite_e.hermegauss(16)


@dataclass(frozen=True, slots=True)
class LiftPrior:
    """What is believed of a lift before any data, 0.1 meaning ten per cent of the control's size.

    Args:
        mean: usually 0, neither arm favoured.
        standard_deviation: 95 % of lifts are believed within twice this; infinite says that every lift is as likely.

    Raises:
        InvalidInput: the standard deviation is not above zero, or the mean not finite.
    """

    mean: float = 0.0
    standard_deviation: float = 0.1

    def __post_init__(self) -> None:
        if not self.standard_deviation > 0 or not math.isfinite(self.mean):
            raise InvalidInput(
                f"Normal({self.mean!r}, {self.standard_deviation!r}) is not a distribution of lifts",
                what="prior",
                requested=[self.mean, self.standard_deviation],
                allowed="a finite mean and a standard deviation above 0",
                remedy="state both as shares of the control, such as 0 and 0.1",
            )


SCEPTICAL = LiftPrior(0.0, 0.02)
"""Most versions change a metric by less than four per cent."""
DEFAULT = LiftPrior(0.0, 0.1)
"""Most versions change a metric by less than twenty per cent."""
WIDE = LiftPrior(0.0, 1.0)
"""Anything from half as much to three times as much would not surprise."""


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of a treatment and its control. Where nothing can be told, the probability is 1/2.

    Args:
        difference: posterior mean of treatment less control, in the metric's unit; NaN where nothing can be told.
        low: lower end of its credible interval.
        high: upper end.
        lift: the difference over the control's absolute size; None where the control is zero, then only the data
            count and the prior does not.
        lift_low: lower end of its credible interval.
        lift_high: upper end.
        probability_better: of the treatment being the better one.
        loss_of_treatment: what choosing the treatment costs on average if it is the worse one, in the metric's unit.
        loss_of_control: what keeping the control costs on average.
        level: of the intervals.
        prior: under which this is believed.
    """

    difference: float
    low: float
    high: float
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    probability_better: float
    loss_of_treatment: float
    loss_of_control: float
    level: float
    prior: LiftPrior


@dataclass(frozen=True, slots=True)
class PriorSensitivity:
    """The same data under three priors."""

    sceptical: Belief
    default: Belief
    wide: Belief

    def robust(self, certainty: float = 0.95) -> bool:
        """Whether all three priors are this certain of the same winner."""
        found = [each.probability_better for each in (self.sceptical, self.default, self.wide)]
        return min(found) >= certainty or max(found) <= 1 - certainty


@dataclass(frozen=True, slots=True)
class Standing:
    """One arm among several.

    Args:
        mean: its posterior mean, drawn towards the other arms, in the metric's unit; NaN where nothing can be told.
        probability_best: of being the best of all.
        expected_loss: what choosing it costs on average, compared with the best, in the metric's unit.
    """

    mean: float
    probability_best: float
    expected_loss: float


def compare_arms(
    control: UnitMoments,
    treatment: UnitMoments,
    prior: LiftPrior = DEFAULT,
    *,
    level: float = 0.95,
    larger_is_better: bool = True,
) -> Belief:
    """The posterior of a treatment against its control, in closed form.

    >>> control, treatment = UnitMoments.of([9.0, 10.0, 11.0] * 40), UnitMoments.of([9.5, 10.5, 11.5] * 40)
    >>> found = compare_arms(control, treatment)
    >>> round(found.difference, 3), round(found.lift_low, 3), round(found.lift_high, 3)
    (0.494, 0.029, 0.07)

    Args:
        control: its moments.
        treatment: its moments.
        prior: of the lift.
        level: of the credible intervals.
        larger_is_better: False for latency, cost and errors.

    Raises:
        InvalidInput: the level is not between 0 and 1, or a sum is not finite.
    """
    require_level(level)
    for arm in (control, treatment):
        require_finite(arm.total + arm.total_total + arm.count_count, "moments")
    size = abs(control.mean)
    observed, variance = treatment.mean - control.mean, control.variance_of_mean + treatment.variance_of_mean
    if not (math.isfinite(observed) and variance > 0):
        return _nothing_known(size, level, prior)
    mean, deviation = _shrunk(observed, variance, prior, size)
    half = float(ndtri(0.5 + level / 2)) * deviation
    z = mean / deviation
    density = deviation * math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    above = 0.5 * math.erfc(-z / math.sqrt(2))
    gain, harm = max(0.0, density + mean * above), max(0.0, density - mean * (0.5 * math.erfc(z / math.sqrt(2))))
    better = above if larger_is_better else 0.5 * math.erfc(z / math.sqrt(2))
    return Belief(
        difference=mean,
        low=mean - half,
        high=mean + half,
        lift=mean / size if size else None,
        lift_low=(mean - half) / size if size else None,
        lift_high=(mean + half) / size if size else None,
        probability_better=better,
        loss_of_treatment=harm if larger_is_better else gain,
        loss_of_control=gain if larger_is_better else harm,
        level=level,
        prior=prior,
    )


def prior_sensitivity(
    control: UnitMoments, treatment: UnitMoments, *, level: float = 0.95, larger_is_better: bool = True
) -> PriorSensitivity:
    """`compare_arms` under the sceptical, the default and the wide prior.

    >>> sure = prior_sensitivity(UnitMoments.of([9.0, 11.0] * 500), UnitMoments.of([9.5, 11.5] * 500))
    >>> sure.robust(), round(sure.sceptical.lift, 3), round(sure.wide.lift, 3)
    (True, 0.048, 0.05)
    """
    sceptical, default, wide = (
        compare_arms(control, treatment, prior, level=level, larger_is_better=larger_is_better)
        for prior in (SCEPTICAL, DEFAULT, WIDE)
    )
    return PriorSensitivity(sceptical, default, wide)


def rank_arms(
    arms: Sequence[UnitMoments], prior: LiftPrior = DEFAULT, *, larger_is_better: bool = True
) -> tuple[Standing, ...]:
    """Every arm's probability to be the best, by quadrature: no simulation, hence no noise and no seed.

    >>> ranked = rank_arms([UnitMoments.of([9.0, 11.0] * 50), UnitMoments.of([9.1, 11.1] * 50)])
    >>> [round(arm.probability_best, 4) for arm in ranked]
    [0.243, 0.757]

    Args:
        arms: the control first; an arm with fewer than two units or no spread makes the answer "nothing known".
        prior: of the lift of every later arm over the control.
        larger_is_better: False for latency, cost and errors.

    Raises:
        InvalidInput: fewer than two arms, or a sum that is not finite.
    """
    if len(arms) < 2:
        raise InvalidInput(f"{len(arms)} arms cannot be ranked", what="arms", allowed="two or more")
    for arm in arms:
        require_finite(arm.total + arm.total_total + arm.count_count, "moments")
    means = np.array([arm.mean for arm in arms])
    variances = np.array([arm.variance_of_mean for arm in arms])
    if not (np.isfinite(means).all() and (variances > 0).all()):
        return tuple(Standing(math.nan, 1 / len(arms), math.nan) for _ in arms)
    size = abs(means[0])
    offsets = np.full(len(arms), prior.mean * size)
    offsets[0] = 0.0
    # half of the prior variance of a difference belongs to each of the two arms
    spread = (prior.standard_deviation * size) ** 2 / 2 if size else math.inf
    centres, weights = _common_level(means - offsets, variances, spread)
    share = variances / (variances + spread) if math.isfinite(spread) else np.zeros(len(arms))
    posterior = (1 - share) * means + share * (centres[:, None] + offsets)
    deviation = np.sqrt(variances * (1 - share))
    sign = 1.0 if larger_is_better else -1.0
    best = best_of_normals(sign * posterior, deviation)
    probability, loss, mean = weights @ best.probability, weights @ best.expected_loss, weights @ posterior
    return tuple(Standing(float(a), float(b), float(c)) for a, b, c in zip(mean, probability, loss, strict=True))


def _common_level(means: Floats, variances: Floats, spread: float) -> tuple[Floats, Floats]:
    """Nodes and weights over the posterior of the level around which the arms' true means scatter."""
    if not math.isfinite(spread):
        return np.zeros(1), np.ones(1)
    precision = 1 / (variances + spread)
    centre, deviation = (precision @ means) / precision.sum(), 1 / math.sqrt(precision.sum())
    return centre + deviation * _HERMITE_X, _HERMITE_W / _HERMITE_W.sum()


def _shrunk(observed: float, variance: float, prior: LiftPrior, size: float) -> tuple[float, float]:
    """Posterior mean and standard deviation of a difference observed with this variance."""
    if not size or math.isinf(prior.standard_deviation):
        return observed, math.sqrt(variance)
    believed = (prior.standard_deviation * size) ** 2
    share = variance / (variance + believed)
    return (1 - share) * observed + share * prior.mean * size, math.sqrt(variance * (1 - share))


def _nothing_known(size: float, level: float, prior: LiftPrior) -> Belief:
    known = bool(size) and math.isfinite(size)
    return Belief(
        difference=math.nan,
        low=-math.inf,
        high=math.inf,
        lift=math.nan if known else None,
        lift_low=-math.inf if known else None,
        lift_high=math.inf if known else None,
        probability_better=0.5,
        loss_of_treatment=math.nan,
        loss_of_control=math.nan,
        level=level,
        prior=prior,
    )
