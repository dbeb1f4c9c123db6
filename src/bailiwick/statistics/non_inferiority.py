"""Guardrails read once: is the treatment not worse than the control by more than a margin, or the same within margins?

A difference that is not significant is no evidence that nothing broke; a small arm never finds anything. Here the
burden lies with the treatment: what must be rejected is "worse by the margin or more". With a margin relative to the
control the test is that of `treatment - control + margin |control|`, with the error of just that quantity, so that it
agrees with the one-sided interval of the lift. For a guardrail that is watched take `bailiwick.statistics.guardrail`.

Sources: Schuirmann, "A comparison of the two one-sided tests procedure and the power approach for assessing the
equivalence of average bioavailability", Journal of Pharmacokinetics and Biopharmaceutics 15, 1987; Hasler, Vonk,
Hothorn, "Assessing non-inferiority of a new treatment in a three-arm trial in the presence of heteroscedasticity",
Statistics in Medicine 27, 2008 (relative margins).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import stdtr

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import Alternative, Effect, require_finite
from bailiwick.statistics.welch import ArmEstimate, compare_estimates


@dataclass(frozen=True, slots=True)
class NonInferiority:
    """Whether a guardrail holds.

    Args:
        effect: the one-sided effect whose finite end is to be compared with the margin.
        margin: the largest loss that is accepted, positive.
        relative: whether the margin is a share of the control's size, else in the metric's unit.
        p_value: of the treatment being worse by the margin or more.
        holds: whether that is rejected at the effect's level.
    """

    effect: Effect
    margin: float
    relative: bool
    p_value: float
    holds: bool


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Whether two arms are the same for practical purposes.

    Args:
        effect: at the confidence ``1 - 2 alpha``, whose interval lies within the margins exactly when it holds.
        margin: largest difference either way that counts as none.
        relative: whether the margin is a share of the control's size.
        p_value: the larger of the two one-sided ones.
        holds: whether both are below alpha.
    """

    effect: Effect
    margin: float
    relative: bool
    p_value: float
    holds: bool


def non_inferiority(
    control: ArmEstimate,
    treatment: ArmEstimate,
    margin: float,
    *,
    relative: bool = False,
    higher_is_better: bool = True,
    level: float = 0.95,
) -> NonInferiority:
    """Test that the treatment loses less than the margin.

    >>> control, treatment = ArmEstimate(200.0, 4.0, 500), ArmEstimate(203.0, 4.0, 500)  # p95 in ms, lower is better
    >>> found = non_inferiority(control, treatment, 0.05, relative=True, higher_is_better=False)
    >>> found.holds, round(found.p_value, 4), round(found.effect.lift_high or 0, 4)
    (True, 0.008, 0.0387)

    Args:
        control: the arm compared with, such as `bailiwick.statistics.welch.estimate_arm` gives it.
        treatment: the arm in question.
        margin: 0 or more; 0 asks for superiority.
        relative: whether the margin is a share of the control's size.
        higher_is_better: the metric's direction.
        level: one-sided confidence.

    Raises:
        InvalidInput: the margin is negative or not finite, or the level is no confidence.
    """
    require_finite(margin, "margin", least=0.0)
    alternative = Alternative.GREATER if higher_is_better else Alternative.LESS
    effect = compare_estimates(control, treatment, level, alternative, "non_inferiority")
    p_value = _one_sided(effect, control, treatment, -margin if higher_is_better else margin, relative, alternative)
    return NonInferiority(effect, margin, relative, p_value, p_value < 1.0 - level)


def equivalence(
    control: ArmEstimate, treatment: ArmEstimate, margin: float, *, relative: bool = False, alpha: float = 0.05
) -> Equivalence:
    """Two one-sided tests (TOST) that the arms differ by less than the margin.

    >>> found = equivalence(ArmEstimate(200.0, 4.0, 500), ArmEstimate(203.0, 4.0, 500), 10.0)
    >>> found.holds, round(found.p_value, 5)
    (True, 0.00675)

    Args:
        control: the arm compared with.
        treatment: the arm in question.
        margin: above 0; in the metric's unit, or a share of the control's size.
        relative: which of the two.
        alpha: probability of calling arms the same that are not, at most a quarter.

    Raises:
        InvalidInput: the margin is not positive, or alpha is not between 0 and 0.25.
    """
    require_finite(margin, "margin", least=0.0)
    if margin == 0 or not 0 < alpha <= 0.25:
        raise InvalidInput(
            f"a margin of {margin!r} at alpha {alpha!r} cannot show equivalence",
            what="margin" if margin == 0 else "alpha",
            requested=margin if margin == 0 else alpha,
            allowed="a margin above 0, 0 < alpha <= 0.25",
            remedy="name the smallest difference that would matter",
        )
    effect = compare_estimates(control, treatment, 1 - 2 * alpha, method="equivalence")
    p_value = max(
        _one_sided(effect, control, treatment, -margin, relative, Alternative.GREATER),
        _one_sided(effect, control, treatment, margin, relative, Alternative.LESS),
    )
    return Equivalence(effect, margin, relative, p_value, p_value < alpha)


def _one_sided(
    effect: Effect, control: ArmEstimate, treatment: ArmEstimate, bound: float, relative: bool, side: Alternative
) -> float:
    """The p-value of the effect not lying beyond the bound on that side."""
    if not effect.known:
        return 1.0
    excess, variance = effect.difference - bound, control.variance + treatment.variance
    if relative:
        excess = effect.difference - bound * abs(control.mean)
        weight = 1 + math.copysign(bound, bound * control.mean)
        variance = treatment.variance + weight * weight * control.variance
    if variance == 0:
        return 1.0
    statistic = excess / math.sqrt(variance)
    return float(stdtr(effect.degrees_of_freedom, -statistic if side is Alternative.GREATER else statistic))
