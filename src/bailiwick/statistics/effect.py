"""What a comparison of two arms found: the noun that every test of two arms returns.

The treatment is compared with the control. The *difference* is in the metric's own unit, the *lift* is the difference
divided by the size of the control (its absolute value, so that a lift has the sign of its difference even where the
control is negative). Both intervals hold what one and the same test does not reject, so they cannot contradict each
other or the p-value: zero lies outside both, or inside both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from bailiwick.errors import InvalidInput


class Alternative(StrEnum):
    """What the test looks for: any difference, a treatment above the control, or one below it."""

    TWO_SIDED = "two_sided"
    GREATER = "greater"
    LESS = "less"


@dataclass(frozen=True, slots=True)
class Effect:
    """A treatment against its control.

    An analysis that cannot tell (fewer than two units in an arm, or no spread at all) is an effect too: its standard
    error and both ends of its interval are infinite, its p-value is 1 and its lift has no interval.

    Args:
        method: the test, such as ``"welch"``.
        control: the control's estimate, in the metric's unit; NaN without a value.
        treatment: the treatment's estimate, likewise.
        difference: treatment less control.
        standard_error: of the difference.
        degrees_of_freedom: of the t distribution; infinite where the normal distribution was used.
        low: lower end of the interval of the difference; minus infinity where the alternative is ``LESS``.
        high: upper end; infinity where the alternative is ``GREATER``.
        lift: difference over absolute control, 0.1 for ten per cent more; None where the control is zero or unknown.
        lift_low: lower end of the interval of the lift; None where the data allow any lift (the control may be zero).
        lift_high: upper end, likewise.
        p_value: of no difference, against the alternative.
        level: confidence of both intervals, such as 0.95; the test rejects when the p-value is below ``1 - level``.
        alternative: what was looked for.
    """

    method: str
    control: float
    treatment: float
    difference: float
    standard_error: float
    degrees_of_freedom: float
    low: float
    high: float
    lift: float | None
    lift_low: float | None
    lift_high: float | None
    p_value: float
    level: float
    alternative: Alternative = Alternative.TWO_SIDED

    @property
    def rejects(self) -> bool:
        """Whether no difference is rejected at the level: exactly when the interval leaves zero out."""
        return self.p_value < 1.0 - self.level

    @property
    def known(self) -> bool:
        """Whether the data could tell anything at all."""
        return math.isfinite(self.standard_error)


def unknown_effect(
    method: str, control: float, treatment: float, level: float, alternative: Alternative = Alternative.TWO_SIDED
) -> Effect:
    """The effect of an analysis that cannot tell."""
    difference = treatment - control
    lift = difference / abs(control) if control and math.isfinite(difference) else None
    return Effect(
        method=method,
        control=control,
        treatment=treatment,
        difference=difference,
        standard_error=math.inf,
        degrees_of_freedom=0.0,
        low=-math.inf,
        high=math.inf,
        lift=lift,
        lift_low=None,
        lift_high=None,
        p_value=1.0,
        level=level,
        alternative=alternative,
    )


def require_confidence(level: float) -> float:
    """The level itself, where it is a confidence from 0.5 up to below 1.

    Raises:
        InvalidInput: it is not; 95 instead of 0.95 is the usual reason.
    """
    if 0.5 <= level < 1.0:
        return level
    raise InvalidInput(
        f"level {level!r} is not a confidence from 0.5 to below 1",
        what="level",
        requested=level,
        allowed="0.5 <= level < 1",
        remedy="give a share, such as 0.95",
    )


def require_level(level: float, what: str = "level") -> float:
    """The number itself, where it lies strictly between 0 and 1.

    Raises:
        InvalidInput: it is not.
    """
    if not 0.0 < level < 1.0:
        raise InvalidInput(
            f"{what} {level!r} is not between 0 and 1",
            what=what,
            requested=level,
            allowed="0 < value < 1",
            remedy=f"give a share, such as 0.95, as the {what}",
        )
    return level


def require_finite(value: float, what: str, *, least: float | None = None) -> float:
    """The value itself, where it is a number, finite, and not below ``least``.

    Raises:
        InvalidInput: it is not.
    """
    if not math.isfinite(value) or (least is not None and value < least):
        bound = "" if least is None else f" of at least {least:g}"
        raise InvalidInput(
            f"{what} {value!r} is not a finite number{bound}",
            what=what,
            requested=repr(value),
            allowed=f"a finite number{bound}",
            remedy="leave out observations that were not measured",
        )
    return value
