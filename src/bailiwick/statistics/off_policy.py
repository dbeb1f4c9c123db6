"""What a policy would have earned, from decisions that another policy made and logged with their probabilities.

A decision that the proposed policy would have made more often than the logging one counts more, by the ratio of the two
probabilities, its *weight*. Three estimates:

- `inverse_propensity`: unbiased; an interval that holds at any sample size, for rewards with known bounds and
  decisions that are independent of each other.
- `self_normalised`: divides by the sum of the weights instead of their number; a little bias for much less variance,
  and never outside the rewards seen.
- `doubly_robust`: weights only what a model of the reward got wrong; unbiased whatever the model, sharp where the model
  is good.

All three are worthless where the proposed policy wants what was never tried. `overlap` says so, and every estimate
carries it: an estimate whose `overlap.reason` is set is inconclusive, whatever its number.

Sources: Horvitz, Thompson, JASA 1952 (inverse propensity); Swaminathan, Joachims, "The self-normalized estimator for
counterfactual learning", NIPS 2015; Dudik, Langford, Li, "Doubly robust policy evaluation and learning", ICML 2011;
Maurer, Pontil, "Empirical Bernstein bounds and sample variance penalization", COLT 2009, theorem 4; Kish, "Survey
sampling", 1965 (effective sample size); arXiv 2103.06476 (the interval that may be watched).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from bailiwick.errors import InvalidInput
from bailiwick.statistics.doubly_robust import half_width
from bailiwick.statistics.effect import require_level

Floats = NDArray[np.float64]

_ENOUGH = 30.0  # effective decisions below which a normal interval is not to be believed
_MISSING_Z = 3.29  # two-sided 0.1 %: the mean weight is not 1


class Interval(StrEnum):
    """Which guarantee an interval gives.

    NORMAL holds once, in large samples; ANYTIME at all times together, in large samples; BERNSTEIN once, in samples of
    any size, for bounded rewards (`inverse_propensity` only).
    """

    NORMAL = "normal"
    ANYTIME = "anytime"
    BERNSTEIN = "bernstein"


@dataclass(frozen=True, slots=True)
class Logged:
    """Logged decisions, one per position.

    Args:
        rewards: what each decision earned.
        propensities: probability with which the logging policy made this decision, above 0.
        targets: probability with which the proposed policy would have made the same decision, 0 to 1.
    """

    rewards: Floats
    propensities: Floats
    targets: Floats

    @classmethod
    def of(cls, rewards: ArrayLike, propensities: ArrayLike, targets: ArrayLike) -> Logged:
        """Checked arrays of shape ``(decisions,)``.

        Raises:
            InvalidInput: lengths differ, there is no decision, a value is not finite or no probability; the message
                names the first position at fault.
        """
        reward, propensity, target = (np.asarray(each, np.float64) for each in (rewards, propensities, targets))
        if reward.ndim != 1 or reward.shape != propensity.shape or reward.shape != target.shape or not reward.size:
            raise InvalidInput(
                f"{reward.shape} rewards, {propensity.shape} propensities and {target.shape} targets do not match",
                what="rewards",
                allowed="three lists of the same length, at least one decision",
            )
        _refuse(~np.isfinite(reward), reward, "rewards", "finite numbers", "leave out decisions without a reward")
        wrong = ~((propensity > 0) & (propensity <= 1))
        _refuse(wrong, propensity, "propensities", "0 < propensity <= 1", "a decision that was made had a probability")
        _refuse(
            ~((target >= 0) & (target <= 1)), target, "targets", "0 to 1", "give probabilities of the logged decision"
        )
        return cls(reward, propensity, target)

    @property
    def weights(self) -> Floats:
        """Target over propensity; their mean is 1 where the logs hold all that the proposed policy would do."""
        return self.targets / self.propensities


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much the logs say about the proposed policy.

    Args:
        decisions: logged.
        effective: equally informative decisions of the proposed policy's own, ``sum(w)^2 / sum(w^2)``.
        mean_weight: near 1, or the proposed policy does what the logs do not hold.
        mean_weight_error: its standard error.
        largest_weight: how much one decision counts at most.
        reason: why no estimate can be believed, in words; None where one can.
    """

    decisions: int
    effective: float
    mean_weight: float
    mean_weight_error: float
    largest_weight: float
    reason: str | None


@dataclass(frozen=True, slots=True)
class PolicyValue:
    """The mean reward of a decision, had the proposed policy made all of them.

    Args:
        method: the estimate, such as ``"doubly robust"``.
        value: in units of the reward; NaN where no logged decision would have been made.
        standard_error: of it; infinite where it cannot be told.
        low: lower end of the interval.
        high: upper end.
        level: of the interval.
        interval: what the interval guarantees.
        clipped: how many weights were cut to the largest allowed; each draws the value towards zero or the model.
        overlap: whether it can be believed.
    """

    method: str
    value: float
    standard_error: float
    low: float
    high: float
    level: float
    interval: Interval
    clipped: int
    overlap: Overlap

    @property
    def inconclusive(self) -> bool:
        """Whether the logs do not hold enough of what the proposed policy would do."""
        return self.overlap.reason is not None


def overlap(logged: Logged) -> Overlap:
    """Whether the logs can tell anything about the proposed policy.

    >>> overlap(Logged.of([1.0] * 100, [0.5] * 100, [0.1] * 100)).reason
    'the proposed policy does 80 % of the time what was never logged'
    """
    weights = logged.weights
    total, squares = float(weights.sum()), float(weights @ weights)
    count = len(weights)
    effective = total * total / squares if squares else 0.0
    error = float(weights.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf
    mean = total / count
    reason = None
    if not total:
        reason = "the proposed policy would have made none of the logged decisions"
    elif effective < _ENOUGH:
        reason = f"the logs are worth {effective:.1f} decisions of the proposed policy, {_ENOUGH:.0f} are needed"
    elif 1.0 - mean > _MISSING_Z * error + 1e-9:
        reason = f"the proposed policy does {100 * (1 - mean):.0f} % of the time what was never logged"
    elif mean - 1.0 > _MISSING_Z * error + 1e-9:
        reason = f"weights average {mean:.2f} instead of 1: the logged propensities are not those that were used"
    return Overlap(count, effective, mean, error, float(weights.max()), reason)


def require_support(propensities: ArrayLike, targets: ArrayLike) -> None:
    """Refuse a proposed policy that wants what the logging policy never does, where both are known for all actions.

    Args:
        propensities: of every action, shape ``(decisions, actions)``.
        targets: likewise.

    Raises:
        InvalidInput: an action has a target above 0 and a propensity of 0.
    """
    propensity, target = np.asarray(propensities, np.float64), np.asarray(targets, np.float64)
    if propensity.shape != target.shape or propensity.ndim != 2:
        raise InvalidInput("propensities and targets of all actions must have the same two axes", what="targets")
    missing = (target > 0) & ~(propensity > 0)
    if missing.any():
        decision, action = (int(axis[0]) for axis in np.nonzero(missing))
        raise InvalidInput(
            f"action {action} of decision {decision} is proposed but had no chance of being logged",
            what="propensities",
            where=f"decision {decision}, action {action} (and {int(missing.sum()) - 1} more)",
            requested=float(target[decision, action]),
            remedy="log with a floor under every action, or propose only what was tried",
        )


def inverse_propensity(
    logged: Logged,
    *,
    interval: Interval = Interval.BERNSTEIN,
    bounds: tuple[float, float] = (0.0, 1.0),
    clip: float = math.inf,
    level: float = 0.95,
    planned: float | None = None,
) -> PolicyValue:
    """The mean of weight times reward.

    Clipped weights make the number too small for rewards above zero. The Bernstein interval holds all the same: its
    lower end rests on ``reward - low``, its upper end on ``high - reward``, and clipping makes both smaller.

    >>> logged = Logged.of([1.0, 0.0] * 500, [0.5, 0.5] * 500, [0.2, 0.8] * 500)
    >>> found = inverse_propensity(logged)
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.2, 0.161, 0.295)

    Args:
        logged: the decisions.
        interval: which guarantee.
        bounds: of every reward, for BERNSTEIN.
        clip: the largest weight; infinite for none, then the largest possible one is taken to be the largest seen ratio
            ``1 / propensity``.
        level: of the interval.
        planned: decisions at which ANYTIME is tightest; as many as there are where left out, which is valid only where
            that number was planned.

    Raises:
        InvalidInput: a reward outside the bounds (BERNSTEIN), or a clip that is not above 0.
    """
    weights, clipped = _clipped(logged, clip)
    values = weights * logged.rewards
    common = _common(
        logged, values, interval if interval is not Interval.BERNSTEIN else Interval.NORMAL, level, planned
    )
    value, error, low, high = common
    if interval is Interval.BERNSTEIN:
        low, high = _bernstein(logged, weights, bounds, clip, level)
    return PolicyValue("inverse propensity", value, error, low, high, level, interval, clipped, overlap(logged))


def self_normalised(
    logged: Logged,
    *,
    interval: Interval = Interval.NORMAL,
    clip: float = math.inf,
    level: float = 0.95,
    planned: float | None = None,
) -> PolicyValue:
    """The weighted mean of the rewards; its error by the delta method.

    >>> logged = Logged.of([1.0, 0.0] * 500, [0.5, 0.5] * 500, [0.2, 0.8] * 500)
    >>> found = self_normalised(logged)
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.2, 0.18, 0.22)

    Args:
        logged: the decisions.
        interval: NORMAL or ANYTIME.
        clip: the largest weight.
        level: of the interval.
        planned: decisions at which ANYTIME is tightest.

    Raises:
        InvalidInput: BERNSTEIN, which does not exist for a ratio.
    """
    _refuse_bernstein(interval)
    weights, clipped = _clipped(logged, clip)
    total = float(weights.sum())
    if not total:
        return _unknown("self-normalised", logged, level, interval, clipped)
    value = float(weights @ logged.rewards) / total
    residuals = value + weights * (logged.rewards - value) * len(weights) / total
    _, error, low, high = _common(logged, residuals, interval, level, planned)
    return PolicyValue("self-normalised", value, error, low, high, level, interval, clipped, overlap(logged))


def doubly_robust(
    logged: Logged,
    predictions: ArrayLike,
    baselines: ArrayLike,
    *,
    interval: Interval = Interval.NORMAL,
    clip: float = math.inf,
    level: float = 0.95,
    planned: float | None = None,
) -> PolicyValue:
    """A model's value of the policy, corrected by what the model got wrong where it can be checked.

    >>> logged = Logged.of([1.0, 0.0] * 500, [0.5, 0.5] * 500, [0.2, 0.8] * 500)
    >>> found = doubly_robust(logged, predictions=[0.9, 0.1] * 500, baselines=[0.26] * 1000)
    >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
    (0.2, 0.194, 0.206)

    Args:
        logged: the decisions.
        predictions: the model's reward of the decision that was logged, made without having seen its reward.
        baselines: the model's mean reward of the proposed policy in the same place: over all actions, its prediction
            times the target probability.
        interval: NORMAL or ANYTIME.
        clip: the largest weight; it draws the value towards the model's.
        level: of the interval.
        planned: decisions at which ANYTIME is tightest.

    Raises:
        InvalidInput: predictions of another length or not finite, or BERNSTEIN.
    """
    _refuse_bernstein(interval)
    prediction, baseline = np.asarray(predictions, np.float64), np.asarray(baselines, np.float64)
    for each, name in ((prediction, "predictions"), (baseline, "baselines")):
        if each.shape != logged.rewards.shape:
            raise InvalidInput(f"{each.shape} {name} for {logged.rewards.shape} decisions", what=name)
        _refuse(~np.isfinite(each), each, name, "finite numbers", "predict 0 where the model has no answer")
    weights, clipped = _clipped(logged, clip)
    values = baseline + weights * (logged.rewards - prediction)
    value, error, low, high = _common(logged, values, interval, level, planned)
    return PolicyValue("doubly robust", value, error, low, high, level, interval, clipped, overlap(logged))


def _common(
    logged: Logged, values: Floats, interval: Interval, level: float, planned: float | None
) -> tuple[float, float, float, float]:
    """Mean, standard error and interval of values that are averaged."""
    require_level(level)
    count, mean = len(values), float(values.mean())
    if count < 2 or not logged.targets.any():
        return mean if logged.targets.any() else math.nan, math.inf, -math.inf, math.inf
    variance = float(values.var(ddof=1))
    error = math.sqrt(variance / count)
    if interval is Interval.ANYTIME:
        half = float(half_width(count, variance, planned or count, level))
    else:
        half = float(ndtri(0.5 + level / 2)) * error
    return mean, error, mean - half, mean + half


def _bernstein(
    logged: Logged, weights: Floats, bounds: tuple[float, float], clip: float, level: float
) -> tuple[float, float]:
    """Both one-sided empirical Bernstein bounds, each with half of the error."""
    low, high = bounds
    outside = (logged.rewards < low) | (logged.rewards > high)
    _refuse(outside, logged.rewards, "rewards", f"{low:g} to {high:g}", "give the bounds that rewards really have")
    largest = min(clip, float(1.0 / logged.propensities.min()))
    span, count, log = (high - low) * largest, len(weights), math.log(4 / (1 - level))
    if count < 2:
        return low, high
    slack = 7 * span * log / (3 * (count - 1))

    def least(values: Floats) -> float:
        return float(values.mean()) - math.sqrt(2 * float(values.var(ddof=1)) * log / count) - slack

    found = low + least(weights * (logged.rewards - low)), high - least(weights * (high - logged.rewards))
    return max(low, found[0]), min(high, found[1])


def _clipped(logged: Logged, clip: float) -> tuple[Floats, int]:
    if not clip > 0:
        raise InvalidInput(f"clip {clip!r} leaves no weight", what="clip", requested=clip, allowed="above 0")
    weights = logged.weights
    return np.minimum(weights, clip), int((weights > clip).sum())


def _refuse_bernstein(interval: Interval) -> None:
    if interval is Interval.BERNSTEIN:
        raise InvalidInput(
            "there is no empirical Bernstein interval of this estimate",
            what="interval",
            requested=interval,
            allowed="normal or anytime",
            remedy="use the inverse-propensity estimate for exact bounds",
        )


def _unknown(method: str, logged: Logged, level: float, interval: Interval, clipped: int) -> PolicyValue:
    return PolicyValue(method, math.nan, math.inf, -math.inf, math.inf, level, interval, clipped, overlap(logged))


def _refuse(wrong: NDArray[np.bool_], values: Floats, what: str, allowed: str, remedy: str) -> None:
    if wrong.any():
        position = int(np.argmax(wrong))
        raise InvalidInput(
            f"{what}: {float(values[position])!r} is not accepted",
            what=what,
            where=f"position {position} (and {int(wrong.sum()) - 1} more)",
            requested=float(values[position]) if math.isfinite(values[position]) else repr(float(values[position])),
            allowed=allowed,
            remedy=remedy,
        )
