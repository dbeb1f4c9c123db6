"""Guardrails: has a treatment worsened by more than the margin, and is it shown that it has not? Pure.

Both questions are one-sided tests at every look together. The treatment is held against the *limit*: the control moved
by the margin (absolute), or scaled by it (relative, so that the control's own uncertainty counts). Shown beyond the
limit: breached; the level of that test is split over all guardrails and arms, so that a false alarm stops at most
``1 - level`` of all harmless experiments. Shown within the limit: it holds; every guardrail must, so nothing is split.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bailiwick.experiments.effects import treatments, tuning_of
from bailiwick.experiments.evidence import Totals, carried_watch, watch_of
from bailiwick.experiments.findings import Carried, GuardrailFinding, Interval, Standing
from bailiwick.experiments.model import Experiment, Guardrail
from bailiwick.statistics.bernoulli_sequence import compare_rates
from bailiwick.statistics.confidence_sequence import Tuning, compare
from bailiwick.statistics.effect import Alternative
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.score import Support


def watch_mean(
    experiment: Experiment, totals: Totals, guardrail: Guardrail, evidence: Mapping[str, Carried]
) -> tuple[list[GuardrailFinding], dict[str, Carried]]:
    """A guardrail on a mean or a rate, for every treatment."""
    control, metric = experiment.design.control.name, guardrail.metric
    level = experiment.design.rule.level
    split = 1 - (1 - level) / (len(experiment.design.guardrails) * len(treatments(experiment)))
    beyond, within = (
        (Alternative.LESS, Alternative.GREATER)
        if guardrail.better.sign > 0
        else (Alternative.GREATER, Alternative.LESS)
    )
    base = totals.pooled(metric, control)
    margin = guardrail.margin * abs(base.mean) if guardrail.relative else guardrail.margin
    found, carried = [], {}
    for arm in treatments(experiment):
        theirs = totals.of(metric, arm)
        limit = [limit_of(each, guardrail, base.mean) for each in totals.of(metric, control)]
        tuning = tuning_of(experiment, totals, metric, arm, level)
        if totals.support(metric, [control, arm]) is Support.BINARY and (
            rare := _rare(experiment, totals, guardrail, arm, margin, tuning)
        ):
            found.append(rare)
            continue
        looks = {}
        for question, alternative, at in (("harm", beyond, split), ("holds", within, level)):
            name = f"guard/{guardrail.name}/{arm}/{question}"
            look = compare(
                limit, theirs, replace(tuning, level=at, alternative=alternative), watch_of(evidence.get(name))
            )
            looks[question], carried[name] = look, carried_watch(look.state)
        name = f"guard/{guardrail.name}/{arm}/size"
        size = compare(totals.of(metric, control), theirs, tuning, watch_of(evidence.get(name)))
        carried[name] = carried_watch(size.state)
        p_harm, p_holds = looks["harm"].effect.p_value, looks["holds"].effect.p_value
        worsening = _worsening(size.effect.difference, size.effect.low, size.effect.high, guardrail)
        standing = standing_of(p_harm, 1 - split, p_holds, 1 - level)
        found.append(GuardrailFinding(guardrail.name, arm, worsening, margin, p_harm, p_holds, standing))
    return found, carried


def _rare(
    experiment: Experiment, totals: Totals, guardrail: Guardrail, arm: str, margin: float, tuning: Tuning
) -> GuardrailFinding | None:
    """The exact test of two rates, where events are too few for the asymptotic one; None where they are not.

    Epochs are pooled, and values are taken to be independent: a handful of failures gives nothing else to go by.
    """
    control, level = experiment.design.control.name, experiment.design.rule.level
    ours, theirs = totals.pooled(guardrail.metric, control), totals.pooled(guardrail.metric, arm)
    fewest = min(arm.units for arm in (ours, theirs))
    events = min(min(each.total, each.count - each.total) for each in (ours, theirs))
    if fewest < experiment.design.rule.burn_in_units or events >= experiment.design.rule.burn_in_events:
        return None
    look = compare_rates(
        (ours.total, ours.count), (theirs.total, theirs.count), level, max(1.0, tuning.planned_units / 2)
    )
    worsening = _worsening(look.difference, look.low, look.high, guardrail)
    # the interval is two-sided: whatever it leaves out is refuted at the level
    refuted, open_ = 1 - level, 1.0
    p_harm = refuted if worsening.low > margin else open_
    p_holds = refuted if worsening.high < margin else open_
    standing = standing_of(p_harm, refuted, p_holds, refuted)
    return GuardrailFinding(guardrail.name, arm, worsening, margin, p_harm, p_holds, standing)


def standing_of(p_harm: float, harm_at: float, p_holds: float, holds_at: float) -> Standing:
    """Where two p-values leave a guardrail; damage counts more than the absence of it.

    >>> standing_of(0.5, 0.05, 0.01, 0.05).value
    'holds'
    """
    if p_harm <= harm_at:
        return Standing.BREACHED
    return Standing.HOLDS if p_holds <= holds_at else Standing.OPEN


def limit_of(control: UnitMoments, guardrail: Guardrail, mean: float) -> UnitMoments:
    """The control's moments as they would be at the limit: worse by the margin.

    >>> from bailiwick.experiments.model import Direction
    >>> arm = UnitMoments.of([1.0, 3.0])
    >>> limit_of(arm, Guardrail("latency_ms", Direction.LOWER, 0.1, relative=True), arm.mean).mean
    2.2
    >>> limit_of(arm, Guardrail("score", Direction.HIGHER, 0.5), arm.mean).mean
    1.5
    """
    worse = -guardrail.better.sign * guardrail.margin
    if not guardrail.relative:
        return _shifted(control, worse)
    return _scaled(control, 1 + worse if mean >= 0 else 1 - worse)


def _worsening(difference: float, low: float, high: float, guardrail: Guardrail) -> Interval:
    return Interval(-difference, -high, -low) if guardrail.better.sign > 0 else Interval(difference, low, high)


def _shifted(arm: UnitMoments, by: float) -> UnitMoments:
    """Every single value larger by ``by``: a unit's total grows with its count."""
    return replace(
        arm,
        total=arm.total + by * arm.count,
        total_total=arm.total_total + 2 * by * arm.total_count + by * by * arm.count_count,
        total_count=arm.total_count + by * arm.count_count,
        total_covariate=arm.total_covariate + by * arm.count_covariate,
    )


def _scaled(arm: UnitMoments, by: float) -> UnitMoments:
    """Every single value times ``by``."""
    return replace(
        arm,
        total=arm.total * by,
        total_total=arm.total_total * by * by,
        total_count=arm.total_count * by,
        total_covariate=arm.total_covariate * by,
    )
