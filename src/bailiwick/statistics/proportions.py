"""Shares of successes: of one arm Wilson's interval, of two the score test with its own intervals, or the z test.

`score_test` is the one to use. Its p-value is that of the pooled z test (the square of its statistic is the chi-square
of the two by two table); its interval of the difference is Mee's, that of the ratio Koopman's: both hold exactly the
values that this same test does not reject, so difference, lift and p-value agree by construction. All of it stays
meaningful at zero successes. The normal approximation holds from about five expected successes and failures per arm;
below that take `bailiwick.statistics.exact_proportions`. One value per unit only: successes of units with many
trials are clustered and belong to `bailiwick.statistics.welch`.

`z_test` (unpooled, Wald) is what many packages do. With equal arms it decides as the score test does; with unequal ones
and rare events it rejects too often. Size at 5 %, events of 0.1 %, a control nine times as large (computed exactly by
``benchmarks.simulations.fixed_horizon.exact_size``): 8.1 % with 5 expected events in the smaller arm, 5.7 % with 25,
where the score test keeps 4.6 % and 4.9 %.

Sources: Mee, Biometrics 40, 1984; Miettinen, Nurminen, "Comparative analysis of two rates", Statistics in Medicine 4,
1985 (restricted estimates, the factor N / (N - 1)); Koopman, Biometrics 40, 1984 (ratio); Newcombe, "Interval
estimation for the difference between independent proportions", Statistics in Medicine 17, 1998 (method 10); Wilson,
"Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.special import chdtrc, ndtr, ndtri

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import Alternative, Effect, require_confidence, unknown_effect
from bailiwick.statistics.root import find_root
from bailiwick.statistics.welch import lift_interval


@dataclass(frozen=True, slots=True)
class Share:
    """Successes among units, one trial each; both whole numbers."""

    successes: int
    trials: int

    def __post_init__(self) -> None:
        whole = all(math.isfinite(value) and value == int(value) for value in (self.successes, self.trials))
        if not whole or not 0 <= self.successes <= self.trials:
            raise InvalidInput(
                f"{self.successes!r} successes in {self.trials!r} trials",
                what="successes",
                requested=repr((self.successes, self.trials)),
                allowed="whole numbers, 0 <= successes <= trials",
                remedy="count each unit once, as a success or not",
            )

    @property
    def value(self) -> float:
        """Successes per trial; NaN without a trial."""
        return self.successes / self.trials if self.trials else math.nan


@dataclass(frozen=True, slots=True)
class ChiSquare:
    """Pearson's statistic with its degrees of freedom, and the probability of a larger one."""

    statistic: float
    degrees_of_freedom: int
    p_value: float


def score_test(
    control: Share,
    treatment: Share,
    level: float = 0.95,
    alternative: Alternative = Alternative.TWO_SIDED,
    corrected: bool = False,
) -> Effect:
    """Pooled z test (chi-square), with the score intervals of difference and lift.

    >>> effect = score_test(Share(10, 100), Share(22, 100))
    >>> round(effect.p_value, 5), round(effect.low, 4), round(effect.high, 4)
    (0.02064, 0.0191, 0.2233)
    >>> round(effect.lift or 0, 2), round(effect.lift_low or 0, 3), round(effect.lift_high or 0, 3)
    (1.2, 0.122, 3.377)

    Args:
        control: the arm compared with.
        treatment: the arm in question.
        level: confidence of the intervals.
        alternative: what is looked for.
        corrected: Miettinen and Nurminen's N / (N - 1) on the variance, in p-value and intervals alike.

    Returns:
        The effect; its standard error is the unpooled one. Without a success in the control there is no lift, and its
        interval reaches to infinity.

    Raises:
        InvalidInput: the level is no confidence.
    """
    require_confidence(level)
    n0, n1 = control.trials, treatment.trials
    if not n0 or not n1 or (corrected and n0 + n1 < 2):
        return unknown_effect("score", control.value, treatment.value, level, alternative)
    p0, p1 = control.value, treatment.value
    factor = (n0 + n1) / (n0 + n1 - 1) if corrected else 1.0
    two_sided = alternative is Alternative.TWO_SIDED
    pooled = (control.successes + treatment.successes) / (n0 + n1)
    error = math.sqrt(factor * pooled * (1 - pooled) * (1 / n0 + 1 / n1))
    statistic = (p1 - p0) / error if error else 0.0
    z = float(ndtri(0.5 + level / 2 if two_sided else level))

    def of_difference(value: float) -> float:
        return _score(p1 - p0 - value, factor * _variance_at_difference(control, treatment, value))

    def of_ratio(value: float) -> float:
        return _score(p1 - value * p0, factor * _variance_at_ratio(control, treatment, value))

    lower, upper = alternative is not Alternative.LESS, alternative is not Alternative.GREATER
    low = _end(of_difference, z, p1 - p0, -1.0) if lower else -math.inf
    high = _end(of_difference, -z, p1 - p0, 1.0) if upper else math.inf
    ratio_low, ratio_high = _ratio_interval(of_ratio, z, p0, p1)
    return Effect(
        method="score",
        control=p0,
        treatment=p1,
        difference=p1 - p0,
        standard_error=math.sqrt(p0 * (1 - p0) / n0 + p1 * (1 - p1) / n1),
        degrees_of_freedom=math.inf,
        low=low,
        high=high,
        lift=(p1 - p0) / p0 if p0 else None,
        lift_low=ratio_low - 1 if lower else -math.inf,
        lift_high=ratio_high - 1 if upper else math.inf,
        p_value=_normal_p_value(statistic, alternative),
        level=level,
        alternative=alternative,
    )


def z_test(
    control: Share, treatment: Share, level: float = 0.95, alternative: Alternative = Alternative.TWO_SIDED
) -> Effect:
    """Unpooled z test (Wald), with the lift after Fieller; arguments as of `score_test`.

    >>> effect = z_test(Share(100, 1_000), Share(130, 1_000))
    >>> round(effect.p_value, 5), round(effect.low, 5), round(effect.high, 5)
    (0.03529, 0.00207, 0.05793)
    """
    require_confidence(level)
    p0, p1 = control.value, treatment.value
    if not control.trials or not treatment.trials:
        return unknown_effect("z", p0, p1, level, alternative)
    control_variance = p0 * (1 - p0) / control.trials
    variance = control_variance + p1 * (1 - p1) / treatment.trials
    if variance == 0:
        return unknown_effect("z", p0, p1, level, alternative)
    error = math.sqrt(variance)
    z = float(ndtri(0.5 + level / 2 if alternative is Alternative.TWO_SIDED else level))
    lift, lift_low, lift_high = lift_interval(
        p1 - p0, p0, variance, control_variance, -control_variance, z, alternative
    )
    return Effect(
        method="z",
        control=p0,
        treatment=p1,
        difference=p1 - p0,
        standard_error=error,
        degrees_of_freedom=math.inf,
        low=-math.inf if alternative is Alternative.LESS else p1 - p0 - z * error,
        high=math.inf if alternative is Alternative.GREATER else p1 - p0 + z * error,
        lift=lift,
        lift_low=lift_low,
        lift_high=lift_high,
        p_value=_normal_p_value((p1 - p0) / error, alternative),
        level=level,
        alternative=alternative,
    )


def chi_square(arms: Sequence[Share]) -> ChiSquare:
    """Pearson's test that all arms have the same share; for two arms the p-value of `score_test`.

    >>> round(chi_square([Share(10, 100), Share(22, 100), Share(15, 100)]).p_value, 4)
    0.0639

    Raises:
        InvalidInput: fewer than two arms have a trial.
    """
    seen = [arm for arm in arms if arm.trials]
    if len(seen) < 2:
        raise InvalidInput("fewer than two arms with a trial", what="arms", requested=len(seen), allowed="at least 2")
    trials = sum(arm.trials for arm in seen)
    pooled = sum(arm.successes for arm in seen) / trials
    spread = pooled * (1 - pooled)
    if spread == 0:
        return ChiSquare(0.0, len(seen) - 1, 1.0)
    statistic = sum(arm.trials * (arm.value - pooled) ** 2 for arm in seen) / spread
    return ChiSquare(statistic, len(seen) - 1, float(chdtrc(len(seen) - 1, statistic)))


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a share; good for small counts and for shares near 0 or 1.

    >>> low, high = wilson_interval(90, 100)
    >>> round(low, 4), round(high, 4)
    (0.8256, 0.9448)

    Returns:
        Lower and upper bound; ``(0.0, 1.0)`` when there was no trial.

    Raises:
        InvalidInput: more successes than trials, a negative count, or a level that is no confidence.
    """
    require_confidence(level)
    if not 0 <= successes <= trials < math.inf:
        raise InvalidInput(
            f"{successes!r} successes in {trials!r} trials",
            what="successes",
            requested=repr((successes, trials)),
            allowed="0 <= successes <= trials",
        )
    if trials == 0:
        return 0.0, 1.0
    z = float(ndtri(0.5 + level / 2))
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # Rounding must not push a bound past the share itself.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def newcombe_interval(control: Share, treatment: Share, level: float = 0.95) -> tuple[float, float]:
    """Newcombe's hybrid interval of the difference, from the Wilson intervals of the shares; no test belongs to it.

    >>> low, high = newcombe_interval(Share(48, 80), Share(56, 70))  # the example of Newcombe 1998
    >>> round(-high, 4), round(-low, 4)
    (-0.3339, -0.0524)
    """
    require_confidence(level)
    if not control.trials or not treatment.trials:
        return -1.0, 1.0
    low_0, high_0 = wilson_interval(control.successes, control.trials, level)
    low_1, high_1 = wilson_interval(treatment.successes, treatment.trials, level)
    p0, p1 = control.value, treatment.value
    return (
        p1 - p0 - math.hypot(p1 - low_1, high_0 - p0),
        p1 - p0 + math.hypot(high_1 - p1, p0 - low_0),
    )


def _normal_p_value(statistic: float, alternative: Alternative) -> float:
    if alternative is Alternative.TWO_SIDED:
        return 2 * float(ndtr(-abs(statistic)))
    return float(ndtr(-statistic if alternative is Alternative.GREATER else statistic))


def _score(excess: float, variance: float) -> float:
    if variance > 0:
        return excess / math.sqrt(variance)
    return 0.0 if excess == 0 else math.copysign(math.inf, excess)


def _variance_at_difference(control: Share, treatment: Share, difference: float) -> float:
    """Of the difference, at the most likely shares that differ by just that (the root of a cubic, by cosine)."""
    x0, n0, n1 = control.successes, control.trials, treatment.trials
    n, both = n0 + n1, control.successes + treatment.successes
    square = ((n1 + 2 * n0) * difference - n - both) / (3 * n)
    linear = ((n0 * difference - n - 2 * x0) * difference + both) / (3 * n)
    constant = x0 * difference * (1 - difference) / n
    q = square**3 - 1.5 * square * linear + constant / 2
    p = math.copysign(math.sqrt(max(0.0, square * square - linear)), q)
    angle = (math.pi + math.acos(max(-1.0, min(1.0, q / p**3)))) / 3 if p else math.pi / 2
    share = min(max(2 * p * math.cos(angle) - square, 0.0, -difference), 1.0, 1.0 - difference)
    other = min(max(share + difference, 0.0), 1.0)
    return share * (1 - share) / n0 + other * (1 - other) / n1


def _variance_at_ratio(control: Share, treatment: Share, ratio: float) -> float:
    """Of ``treatment - ratio * control``, at the most likely shares in just that ratio (the root of a quadratic)."""
    x0, n0, x1, n1 = control.successes, control.trials, treatment.successes, treatment.trials
    linear = ratio * (n1 + x0) + x1 + n0
    root = math.sqrt(max(0.0, linear * linear - 4 * (n0 + n1) * ratio * (x0 + x1)))
    share = 2 * (x0 + x1) / (linear + root)
    share = min(share, 1.0, 1.0 / ratio if ratio > 1 else 1.0)
    other = min(ratio * share, 1.0)
    return other * (1 - other) / n1 + ratio * ratio * share * (1 - share) / n0


def _end(score: Callable[[float], float], z: float, estimate: float, limit: float) -> float:
    """Where the falling score passes ``z`` between the estimate, where it is zero, and the limit of what there is."""

    def excess(value: float) -> float:
        return max(-1e6, min(1e6, score(value))) - z

    rejected = excess(limit) > 0 if limit < estimate else excess(limit) < 0
    return find_root(excess, estimate, limit) if rejected else limit


def _ratio_interval(score: Callable[[float], float], z: float, p0: float, p1: float) -> tuple[float, float]:
    if p0 == 0 and p1 == 0:
        return 0.0, math.inf
    estimate = p1 / p0 if p0 else math.inf
    low = 0.0
    if p1:
        above = estimate if p0 else 1.0
        while score(above) > z:  # only without a success in the control, where the score never reaches zero
            above *= 4
        low = _end(score, z, above, 0.0) if score(0.0) > z else 0.0
    if not p0:
        return low, math.inf
    above = 2 * max(estimate, 1e-12)
    while score(above) > -z:
        above *= 4
    return low, _end(score, -z, estimate, above)
