"""How many units, and how long: answered before the experiment is created, with the test that will decide. Pure.

The verdict comes from an always-valid test, tuned to the planned sample. At that sample its critical value is
``z = sqrt(2 (k + 1) / k * ln(sqrt(k + 1) / a))`` standard errors, ``k = -2 ln a + ln(1 - 2 ln a)`` (Waudby-Smith and
others, "Time-uniform central limit theory and asymptotic confidence sequences", AoS 2024, arXiv 2103.06476, section 2
with the tuning of appendix B.2). With ``n`` units over all arms and shares ``w``, the squared standard error of a
difference is ``s^2 / n * (1 / w_control + 1 / w_treatment)``, so ``n`` follows from the power. Sample size, effect and
duration are one curve read in three directions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtri

from bailiwick.errors import InvalidInput
from bailiwick.experiments.model import ExperimentDesign, PowerCheck
from bailiwick.traffic.model import SLOTS

WITHOUT_HISTORY = 10_000
"""Planned units where there is nothing to plan from; the test holds for any number, it is sharpest near this one."""

_MOST_UNITS = 2_000_000_000


@dataclass(frozen=True, slots=True)
class MetricHistory:
    """What a metric showed lately.

    Args:
        mean: of all values.
        deviation: of one unit's value.
        values: how many values that rests on.
        per_day: units that gave a value, per day.
        distinct: units are distinct users; else each request counts as one.
    """

    mean: float
    deviation: float
    values: int
    per_day: float
    distinct: bool = False


def critical_value(level: float) -> float:
    """Standard errors that an effect must reach at the planned sample.

    >>> round(critical_value(0.95), 3)
    3.035
    """
    a = 1 - level
    k = -2 * math.log(a) + math.log(1 - 2 * math.log(a))
    return math.sqrt(2 * (k + 1) / k * math.log(math.sqrt(k + 1) / a))


def units_needed(effect: float, deviation: float, spread: float, level: float, power: float) -> int:
    """Units over all arms at which an effect is found with this power.

    Args:
        effect: in the metric's unit.
        deviation: of one unit's value.
        spread: ``1 / w_control + 1 / w_treatment`` of the arm with the smallest share.
        level: confidence of the test, already corrected for several treatments.
        power: chance of finding it.

    Raises:
        InvalidInput: the effect is so small that no experiment can find it.

    >>> units_needed(0.02, 0.5, 4.0, 0.95, 0.8)
    37575
    """
    units = ((critical_value(level) + float(ndtri(power))) * deviation / effect) ** 2 * spread
    if not units < _MOST_UNITS:
        raise InvalidInput(
            f"finding an effect of {effect:g} where values deviate by {deviation:g} takes {units:.3g} units",
            what="minimum_effect",
            requested=effect,
            remedy="ask for a larger effect, or measure something less noisy",
        )
    return max(2, math.ceil(units))


def detectable_effect(units: float, deviation: float, spread: float, level: float, power: float) -> float:
    """The effect that so many units find with this power: the inverse of `units_needed`."""
    return (critical_value(level) + float(ndtri(power))) * deviation * math.sqrt(spread / units)


def check_power(design: ExperimentDesign, history: MetricHistory) -> PowerCheck:
    """How long a design needs.

    Raises:
        InvalidInput: the history cannot tell: the metric never varied, or a relative effect on a mean of zero.
    """
    effect = effect_size(design, history)
    if not history.deviation > 0:
        raise InvalidInput(
            f"{design.primary.metric!r} was {history.mean:g} every time: it cannot tell arms apart",
            what="primary",
            requested=design.primary.metric,
            remedy="choose a metric that varies",
        )
    # Bonferroni is the closed test's worst case
    level = 1 - (1 - design.rule.level) / (len(design.arms) - 1)
    spread = widest_spread(design)
    planned = units_needed(effect, history.deviation, spread, level, design.power)
    per_day = history.per_day * design.coverage / SLOTS
    days = planned / per_day if per_day > 0 else None
    within = days is not None and days <= design.maximum_days
    reachable = per_day * design.maximum_days
    return PowerCheck(
        metric=design.primary.metric,
        mean=history.mean,
        deviation=history.deviation,
        per_day=per_day,
        effect=effect,
        level=design.rule.level,
        power=design.power,
        planned_units=planned,
        days=days,
        within=within,
        detectable=detectable_effect(reachable, history.deviation, spread, level, design.power) if reachable else None,
        distinct=history.distinct,
    )


def effect_size(design: ExperimentDesign, history: MetricHistory) -> float:
    """The minimum effect in the metric's unit.

    Raises:
        InvalidInput: it is a share of a mean of zero, or leaves the range of a metric between 0 and 1.
    """
    wanted = design.minimum_effect
    size = wanted.size * abs(history.mean) if wanted.relative else wanted.size
    if not size > 0:
        raise InvalidInput(
            f"a share of {design.primary.metric!r}, whose mean is 0, is no effect",
            what="minimum_effect",
            requested=f"{wanted.size:.3%}",
            remedy="give the effect in the metric's unit",
        )
    return size


def widest_spread(design: ExperimentDesign) -> float:
    """``1 / w_control + 1 / w_treatment`` of the treatment with the smallest share; 4 for two equal arms."""
    control = design.weights[design.control.name] / SLOTS
    treatment = min(design.weights[arm.name] for arm in design.arms[1:]) / SLOTS
    return 1 / control + 1 / treatment


def require_reachable(check: PowerCheck, design: ExperimentDesign) -> None:
    """Refuse a design whose maximum duration cannot reach the planned sample.

    Raises:
        InvalidInput: with what could be reached.
    """
    if check.within or check.days is None:
        return
    detectable = f"{check.detectable:.3g}" if check.detectable is not None else "nothing"
    raise InvalidInput(
        f"it takes {check.days:,.0f} days to find an effect of {check.effect:.3g} on {check.metric!r}; "
        f"at most {design.maximum_days:g} are allowed",
        what="maximum_days",
        requested=design.maximum_days,
        allowed=f"{check.planned_units:,} units at {check.per_day:,.0f} a day; in {design.maximum_days:g} days "
        f"an effect of {detectable} can be found",
        remedy="ask for a larger effect, give it longer (--max-days), or --force it with a --reason",
    )
