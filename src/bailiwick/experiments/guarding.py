"""Guardrails: has a treatment worsened by more than the margin, and is it shown that it has not? Pure.

Both questions are one-sided tests at every look together (`bailiwick.statistics.guardrail`). Shown beyond the margin:
breached; the error of that test is split over all guardrails and arms, so that a false alarm stops at most
``1 - level`` of all harmless experiments. Shown within it: the guardrail holds; every one must, so nothing is split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace

from bailiwick.experiments.effects import treatments, tuning_of
from bailiwick.experiments.evidence import Totals, carried_watch, watch_of
from bailiwick.experiments.findings import Carried, GuardrailFinding, Interval, Standing
from bailiwick.experiments.model import Experiment, Guardrail
from bailiwick.experiments.rates import size_of, watch_rates
from bailiwick.statistics.confidence_sequence import Tuning, compare
from bailiwick.statistics.guardrail import GuardrailWatch, Margin, guard
from bailiwick.statistics.score import Support


def watch_mean(
    experiment: Experiment, totals: Totals, guardrail: Guardrail, evidence: Mapping[str, Carried]
) -> tuple[list[GuardrailFinding], dict[str, Carried]]:
    """A guardrail on a mean or a rate, for every treatment.

    A rate has two tests with half of the error each: the exact one while its events are few, then the asymptotic one.
    """
    control, metric = experiment.design.control.name, guardrail.metric
    alpha = 1 - experiment.design.rule.level
    found: list[GuardrailFinding] = []
    carried: dict[str, Carried] = {}
    for arm in treatments(experiment):
        tuning = tuning_of(experiment, totals, metric, arm, 1 - alpha)
        binary = totals.support(metric, [control, arm]) is Support.BINARY
        half = 0.5 if binary else 1.0
        errors = {
            "harm": half * alpha / (len(experiment.design.guardrails) * len(treatments(experiment))),
            "holds": half * alpha,
        }
        looks = {}
        for question, error in errors.items():
            name = f"guardrail/{guardrail.name}/{arm}/{question}"
            looks[question] = guard(
                totals.of(metric, control),
                totals.of(metric, arm),
                replace(tuning, level=1 - error),
                Margin(guardrail.margin, guardrail.relative, guardrail.better.sign > 0),
                _watch(evidence.get(name)),
            )
            carried[name] = asdict(looks[question].state)
        size, more = _size(experiment, totals, guardrail, arm, tuning, evidence)
        carried |= more
        p_harm, p_holds = looks["harm"].harmed_p_value, looks["holds"].holds_p_value
        margin = guardrail.margin * (abs(totals.pooled(metric, control).mean) if guardrail.relative else 1.0)
        if binary and not guardrail.relative:
            name, pair = f"rate/{guardrail.name}/{arm}", (control, arm)
            rule, planned = experiment.design.rule, max(1.0, tuning.planned_units / 2)
            exact = watch_rates(totals, guardrail, pair, rule, planned, evidence.get(name, {}))
            carried[name] = exact
            p_harm, p_holds = min(p_harm, exact["harm"] or 1.0), min(p_holds, exact["holds"] or 1.0)
            if not math.isfinite(size.low) and (seen := size_of(totals, guardrail, pair, rule, planned)):
                size = _worsening(seen.difference, seen.low, seen.high, guardrail)
        standing = standing_of(p_harm, errors["harm"], p_holds, errors["holds"])
        found.append(GuardrailFinding(guardrail.name, arm, size, margin, p_harm, p_holds, standing))
    return found, carried


def _size(
    experiment: Experiment,
    totals: Totals,
    guardrail: Guardrail,
    arm: str,
    tuning: Tuning,
    evidence: Mapping[str, Carried],
) -> tuple[Interval, dict[str, Carried]]:
    """By how much it is worse, to be shown; the standing has tests of its own."""
    name = f"guardrail/{guardrail.name}/{arm}/size"
    ours, theirs = totals.of(guardrail.metric, experiment.design.control.name), totals.of(guardrail.metric, arm)
    size = compare(ours, theirs, tuning, watch_of(evidence.get(name)))
    effect = size.effect
    return _worsening(effect.difference, effect.low, effect.high, guardrail), {name: carried_watch(size.state)}


def _watch(carried: Carried | None) -> GuardrailWatch:
    """What a guardrail remembers; a fresh one where nothing was carried."""
    if carried is None:
        return GuardrailWatch()
    given = dict(carried)
    planned = given.pop("planned_information")
    return GuardrailWatch(planned, **{name: float(value) for name, value in given.items() if value is not None})


def standing_of(p_harm: float, harm_at: float, p_holds: float, holds_at: float) -> Standing:
    """Where two p-values leave a guardrail; damage counts more than the absence of it.

    >>> standing_of(0.5, 0.05, 0.01, 0.05).value
    'holds'
    """
    if p_harm <= harm_at:
        return Standing.BREACHED
    return Standing.HOLDS if p_holds <= holds_at else Standing.OPEN


def _worsening(difference: float, low: float, high: float, guardrail: Guardrail) -> Interval:
    return Interval(-difference, -high, -low) if guardrail.better.sign > 0 else Interval(difference, low, high)
