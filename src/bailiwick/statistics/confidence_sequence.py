"""Confidence sequences: comparisons that may be read after every event, by anyone, as often as they like.

A 95 % confidence interval is right 95 % of the time *once*; looked at daily it is wrong far more often (a plain z test
watched at every event rejects about half of all comparisons of a version with itself). A 95 % confidence sequence is
right at all times together, with probability 95 %. It costs width: about 1.5 times that of the fixed interval.

What is computed: the score of the difference (`bailiwick.statistics.score`) goes through the normal mixture
(`bailiwick.statistics.normal_mixture`) with its information as clock. The evidence against no difference is an e-value
(20 means significant at 5 %, at any time); the always-valid p-value is one over the largest e-value so far; the
interval holds every difference that was never rejected; the lift's interval inverts the same test (Fieller), so that
difference, lift and p-value cannot contradict each other.

Valid when: units were assigned at random, and after the burn-in, which makes the central limit theorem honest: in the
tail of a watched test it is otherwise not (0.1 % rates: 13 % false alarms). Two rules make it hold where users keep
coming back and the moments of a unit change after it entered. The mixture's width is frozen when the burn-in ends, from
the planned number of units, and never tuned again. And the clock never runs backwards: where a few heavy users make the
estimate *less* certain than it was, the boundary stays that of the largest information seen.

Sources: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence
sequences", Annals of Statistics 52(6), 2024, arXiv 2103.06476; Ramdas, Gruenwald, Vovk, Shafer, "Game-theoretic
statistics and safe anytime-valid inference", Statistical Science 38(4), 2023 (p-values of e-processes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from scipy.special import log_ndtr

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import Alternative, Effect, require_level, unknown_effect
from bailiwick.statistics.fieller import fieller_interval
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.normal_mixture import bound_above, mixture_precision
from bailiwick.statistics.score import BurnIn, Score, Support, combine

METHOD = "asymptotic confidence sequence"


@dataclass(frozen=True, slots=True)
class Tuning:
    """What is decided before the first look and never changed: changing it afterwards voids the guarantee.

    Args:
        planned_units: how many units both arms are expected to hold together at the end; the sequence is tightest
            near it and stays valid at any number.
        level: confidence at all times together, such as 0.95.
        alternative: what is looked for; one-sided sequences have one finite end.
        support: which values the metric takes.
        burn_in: what each arm must hold before anything is said.

    Raises:
        InvalidInput: a level outside 0 to 1, or fewer than one planned unit.
    """

    planned_units: float
    level: float = 0.95
    alternative: Alternative = Alternative.TWO_SIDED
    support: Support = Support.REAL
    burn_in: BurnIn = field(default_factory=BurnIn)

    def __post_init__(self) -> None:
        require_level(self.level)
        if not (math.isfinite(self.planned_units) and self.planned_units >= 1):
            raise InvalidInput(
                f"planned_units {self.planned_units!r} is not a number of units",
                what="planned_units",
                requested=repr(self.planned_units),
                allowed="a finite number of at least 1",
                remedy="give the number of units that both arms should hold together when the test ends",
            )


@dataclass(frozen=True, slots=True)
class Watch:
    """What a watched comparison remembers between looks; start with ``Watch()``, keep what each look returns.

    A value like any other: replaying the looks of a history gives the same watch.

    Args:
        planned_information: frozen when the burn-in ended; None before.
        information: the largest seen.
        log_e_value: the largest seen, natural logarithm.
        low: lower end of the intersection of all intervals of the difference so far.
        high: upper end.
        lift_low: lower end of the intersection of all intervals of the lift so far.
        lift_high: upper end.
        moved: the intersection of all intervals became empty, which has at most the probability ``1 - level`` while
            the true effect stays what it is. The effect changes over time: the interval is the last one that was not
            empty, and the epochs should be read one by one.
    """

    planned_information: float | None = None
    information: float = 0.0
    log_e_value: float = 0.0
    low: float = -math.inf
    high: float = math.inf
    lift_low: float = -math.inf
    lift_high: float = math.inf
    moved: bool = False


@dataclass(frozen=True, slots=True)
class SequentialResult:
    """One look at a watched comparison.

    Args:
        effect: with the always-valid p-value and intervals; ``effect.rejects`` stays true once it was true.
        e_value: of this look, the evidence against the hypothesis; combine these, not their maxima, over arms with
            `bailiwick.statistics.closed_testing`. 1 before the burn-in.
        state: give it to the next look.
        reason: why nothing can be said yet, in words; None after the burn-in.
    """

    effect: Effect
    e_value: float
    state: Watch
    reason: str | None = None

    @property
    def inconclusive(self) -> bool:
        """Whether the arms are still in their burn-in."""
        return self.reason is not None


def compare(
    control: Sequence[UnitMoments], treatment: Sequence[UnitMoments], tuning: Tuning, state: Watch = Watch()
) -> SequentialResult:
    """One look at two arms.

    >>> tuning = Tuning(planned_units=4_000)
    >>> control, treatment = UnitMoments.of([0.0, 1.0] * 500), UnitMoments.of([0.2, 1.2] * 500)
    >>> look = compare([control], [treatment], tuning)
    >>> round(look.effect.difference, 6), round(look.effect.low, 4), round(look.effect.high, 4), look.effect.rejects
    (0.2, 0.131, 0.269, True)
    >>> compare([control], [treatment], tuning, look.state).effect == look.effect  # looking again changes nothing
    True
    >>> compare([UnitMoments.of([1.0])], [UnitMoments.of([2.0])], tuning).reason
    'needs 200 independent units in the control, has 1'

    Args:
        control: moments per epoch, of all units since the test began.
        treatment: moments of the same epochs, in the same order.
        tuning: frozen before the first look.
        state: what the previous look returned.

    Raises:
        InvalidInput: the arms have different numbers of epochs, or sums that are not finite.
    """
    score = combine(control, treatment, tuning.support, tuning.burn_in)
    if score.reason is not None and not score.information:
        return _nothing_new(control, treatment, tuning, state, score.reason)
    planned = state.planned_information or score.information * tuning.planned_units / score.units
    clock = max(state.information, score.information)
    one_sided = tuning.alternative is not Alternative.TWO_SIDED
    rho = mixture_precision(planned, 1 - tuning.level, one_sided=one_sided)
    z = score.difference * math.sqrt(score.information)
    log_e = _log_e_value(-z if tuning.alternative is Alternative.LESS else z, clock, rho, one_sided=one_sided)
    boundary = _boundary(clock, rho, 1 - tuning.level, one_sided=one_sided)
    low, high, lift_low, lift_high = _intervals(score, boundary, tuning.alternative)
    low, high = max(low, state.low), min(high, state.high)
    lift_low, lift_high = max(lift_low, state.lift_low), min(lift_high, state.lift_high)
    moved = low > high or lift_low > lift_high
    if moved:
        low, high, lift_low, lift_high = state.low, state.high, state.lift_low, state.lift_high
    state = Watch(
        planned, clock, max(state.log_e_value, log_e), low, high, lift_low, lift_high, moved=moved or state.moved
    )
    return SequentialResult(_effect(score, state, tuning), _exp(log_e), state)


def _nothing_new(
    control: Sequence[UnitMoments], treatment: Sequence[UnitMoments], tuning: Tuning, state: Watch, reason: str
) -> SequentialResult:
    ours, theirs = sum(control, UnitMoments()), sum(treatment, UnitMoments())
    unknown = unknown_effect(METHOD, ours.mean, theirs.mean, tuning.level, tuning.alternative)
    # what earlier looks proved stays proven, even where a heavy user takes the present look below the burn-in
    effect = replace(unknown, p_value=math.exp(-state.log_e_value), low=state.low, high=state.high)
    return SequentialResult(effect, 1.0, state, reason)


def _log_e_value(z: float, clock: float, rho: float, *, one_sided: bool) -> float:
    """`normal_mixture.log_e_value` of one number, where the cost of arrays would matter."""
    whole = clock + rho
    squared = z * z * clock / whole
    if not one_sided:
        return 0.5 * (math.log(rho / whole) + squared)
    return 0.5 * (math.log(4 * rho / whole) + squared) + float(log_ndtr(math.copysign(math.sqrt(squared), z)))


def _boundary(clock: float, rho: float, alpha: float, *, one_sided: bool) -> float:
    """`normal_mixture.bound` of one number, in standard errors."""
    if one_sided:
        return float(bound_above(clock, alpha, rho)) / math.sqrt(clock)
    whole = clock + rho
    return math.sqrt(whole / clock * (math.log(whole / rho) - 2 * math.log(alpha)))


def _intervals(score: Score, boundary: float, alternative: Alternative) -> tuple[float, float, float, float]:
    """Ends of the difference and of the lift at this look."""
    half = boundary / math.sqrt(score.information)
    lift = fieller_interval(
        score.difference, score.control, 1 / score.information, score.control_variance, score.covariance, boundary
    )
    low, high = score.difference - half, score.difference + half
    lift_low, lift_high = lift or (-math.inf, math.inf)
    if alternative is Alternative.GREATER:
        return low, math.inf, lift_low, math.inf
    if alternative is Alternative.LESS:
        return -math.inf, high, -math.inf, lift_high
    return low, high, lift_low, lift_high


def _effect(score: Score, state: Watch, tuning: Tuning) -> Effect:
    size = abs(score.control)
    return Effect(
        method=METHOD,
        control=score.control,
        treatment=score.control + score.difference,
        difference=score.difference,
        standard_error=1 / math.sqrt(score.information),
        degrees_of_freedom=math.inf,
        low=state.low,
        high=state.high,
        lift=score.difference / size if size else None,
        lift_low=state.lift_low if math.isfinite(state.lift_low) else None,
        lift_high=state.lift_high if math.isfinite(state.lift_high) else None,
        p_value=math.exp(-state.log_e_value),
        level=tuning.level,
        alternative=tuning.alternative,
    )


def _exp(log_e: float) -> float:
    return math.exp(min(log_e, 700.0))
