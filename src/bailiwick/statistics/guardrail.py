"""Guardrails: is the treatment at most a margin worse, and when has it been shown to be more?

Two one-sided questions are watched at once, each with its own e-process and its own error: *harmed*, evidence that the
treatment is worse than the margin allows (stop now), and *holds*, evidence that it is not (ship). With a margin of zero
"harmed" asks for any harm, and "holds" for an improvement. Between the two nothing is shown yet.

A margin may be relative to the control: then the contrast ``treatment - (1 - margin) * control`` is tested, so the
error of the control counts too. Valid as `bailiwick.statistics.confidence_sequence` is: after the burn-in, tuning
frozen. With several guardrails divide the error of "harmed" by their number (tuning level ``1 - alpha / guardrails``);
"holds" needs no division where all guardrails must hold (intersection-union). For one look at a fixed number of units
take `bailiwick.statistics.non_inferiority`.

Source: Howard et al. 2021, arXiv 1810.08240, proposition 6 (one-sided mixture); Schuirmann 1987 (two one-sided tests).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bailiwick.errors import InvalidInput
from bailiwick.statistics.confidence_sequence import Tuning
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.normal_mixture import bound_above, log_e_value_above, mixture_precision
from bailiwick.statistics.score import combine


@dataclass(frozen=True, slots=True)
class Margin:
    """How much worse the treatment may be.

    Args:
        size: at least 0; in the metric's unit, or 0.02 for two per cent of the control.
        relative: whether the size is a share of the control's absolute value.
        higher_is_better: direction of the metric.
    """

    size: float
    relative: bool = True
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.size < math.inf:
            raise InvalidInput(
                f"a margin of {self.size!r} is not a number of at least 0",
                what="margin",
                requested=repr(self.size),
                remedy="give how much worse the treatment may be, as a positive number",
            )


@dataclass(frozen=True, slots=True)
class GuardrailWatch:
    """What a watched guardrail remembers between looks; start with ``GuardrailWatch()``."""

    planned_information: float | None = None
    information: float = 0.0
    log_harmed: float = 0.0
    log_holds: float = 0.0
    low: float = -math.inf
    high: float = math.inf


@dataclass(frozen=True, slots=True)
class GuardrailResult:
    """One look at a guardrail.

    Args:
        advantage: how far the treatment is on the good side of the margin, in the metric's unit; NaN in the burn-in.
        low: lower bound of the advantage, at all times together, one-sided at the tuning's level.
        high: upper bound, likewise.
        harmed: shown to be worse than the margin allows.
        holds: shown not to be.
        harmed_p_value: always valid.
        holds_p_value: always valid.
        harmed_e_value: of this look.
        holds_e_value: of this look.
        state: give it to the next look.
        reason: why nothing can be said yet; None after the burn-in.
    """

    advantage: float
    low: float
    high: float
    harmed: bool
    holds: bool
    harmed_p_value: float
    holds_p_value: float
    harmed_e_value: float
    holds_e_value: float
    state: GuardrailWatch
    reason: str | None = None


def guard(
    control: Sequence[UnitMoments],
    treatment: Sequence[UnitMoments],
    tuning: Tuning,
    margin: Margin,
    state: GuardrailWatch = GuardrailWatch(),
) -> GuardrailResult:
    """One look at a guardrail; the tuning's alternative plays no part.

    >>> control, slower = UnitMoments.of([90.0, 110.0] * 300), UnitMoments.of([110.0, 130.0] * 300)
    >>> look = guard([control], [slower], Tuning(planned_units=1_200), Margin(0.05, higher_is_better=False))
    >>> look.harmed, look.holds, round(look.advantage, 1)
    (True, False, -15.0)

    Args:
        control: moments per epoch, of all units since the test began.
        treatment: of the same epochs.
        tuning: frozen before the first look.
        margin: frozen too.
        state: what the previous look returned.

    Raises:
        InvalidInput: the arms have different numbers of epochs, or sums that are not finite.
    """
    score = combine(control, treatment, tuning.support, tuning.burn_in)
    if not score.information:
        return _result(math.nan, 0.0, 0.0, state, tuning, score.reason)
    direction = 1.0 if margin.higher_is_better else -1.0
    # direction * difference + allowance, where the allowance may be a multiple of the control's estimate
    slope = margin.size * math.copysign(1.0, score.control) if margin.relative else 0.0
    allowance = slope * score.control if margin.relative else margin.size
    advantage = direction * score.difference + allowance
    variance = 1 / score.information + slope * slope * score.control_variance + 2 * direction * slope * score.covariance
    if not variance > 0:  # a margin of 100 % against a treatment that does not vary
        return _result(advantage, 0.0, 0.0, state, tuning, "the values of the treatment do not vary")
    information = 1 / variance
    planned = state.planned_information or information * tuning.planned_units / score.units
    clock = max(state.information, information)
    rho = mixture_precision(planned, 1 - tuning.level, one_sided=True)
    s = advantage * math.sqrt(information * clock)
    holds, harmed = (float(log_e_value_above(value, clock, rho)) for value in (s, -s))
    half = float(bound_above(clock, 1 - tuning.level, rho)) / math.sqrt(clock * information)
    state = replace(
        state,
        planned_information=planned,
        information=clock,
        log_harmed=max(state.log_harmed, harmed),
        log_holds=max(state.log_holds, holds),
        low=max(state.low, advantage - half),
        high=min(state.high, advantage + half),
    )
    return _result(advantage, harmed, holds, state, tuning, None)


def _result(
    advantage: float, log_harmed: float, log_holds: float, state: GuardrailWatch, tuning: Tuning, reason: str | None
) -> GuardrailResult:
    threshold = -math.log(1 - tuning.level)
    return GuardrailResult(
        advantage=advantage,
        low=state.low,
        high=state.high,
        harmed=state.log_harmed >= threshold,
        holds=state.log_holds >= threshold,
        harmed_p_value=math.exp(-state.log_harmed),
        holds_p_value=math.exp(-state.log_holds),
        harmed_e_value=math.exp(min(log_harmed, 700.0)),
        holds_e_value=math.exp(min(log_holds, 700.0)),
        state=state,
        reason=reason,
    )
