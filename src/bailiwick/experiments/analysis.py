"""From totals to findings: everything that is known of an experiment, at this look and valid at every look. Pure.

One look costs the same for ten requests and for ten million: it reads sums per arm, metric and epoch, nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from bailiwick.experiments.effects import Compared, arm_effect, compare_goal, estimates, present_arms, ranking
from bailiwick.experiments.evidence import Totals, lay_out, smallest
from bailiwick.experiments.findings import Analysis, ArmCount, ArmEffect, Carried, GuardrailFinding
from bailiwick.experiments.guarding import watch_mean
from bailiwick.experiments.model import Experiment
from bailiwick.experiments.quantiles import watch_quantile
from bailiwick.experiments.ratios import watch_ratios
from bailiwick.metrics.exposures import ArmTotals, ArmUnits
from bailiwick.statistics.closed_testing import closed_mean, e_benjamini_hochberg


def analyse(
    experiment: Experiment,
    totals: Sequence[ArmTotals],
    units: Sequence[ArmUnits],
    evidence: Mapping[str, Carried],
    now: datetime,
) -> Analysis:
    """One look at an experiment that has started.

    Args:
        experiment: design, epochs and planned units.
        totals: moments and sketches per epoch, arm and metric.
        units: how many units entered each arm in each epoch.
        evidence: what the last look carried; empty at the first.
        now: of this look.

    Returns:
        Findings, with the evidence to be carried to the next look. The same arguments give the same findings.
    """
    laid_out = lay_out(totals, len(experiment.epochs))
    primary, carried = _primary(experiment, laid_out, evidence)
    secondary, more = _secondary(experiment, laid_out, evidence)
    guardrails, guarded = _guardrails(experiment, laid_out, evidence)
    ratios, counted = watch_ratios(experiment, units, evidence)
    effects = [effect for effect, _ in primary]
    return Analysis(
        experiment=experiment.id,
        at=now,
        units=sum(each.units for each in units),
        planned_units=experiment.planned_units,
        waiting=_waiting(experiment, [compared for _, compared in primary]),
        arms=tuple(_count(arm.name, units) for arm in experiment.arms),
        estimates=tuple(each for m in experiment.design.metrics for each in estimates(experiment, laid_out, m)),
        primary=tuple(effects),
        secondary=tuple(secondary),
        guardrails=tuple(guardrails),
        sample_ratio=tuple(ratios),
        ranking=tuple(ranking(experiment, laid_out)),
        evidence={**carried, **more, **guarded, **counted},
    )


def _primary(
    experiment: Experiment, totals: Totals, evidence: Mapping[str, Carried]
) -> tuple[list[tuple[ArmEffect, Compared]], dict[str, Carried]]:
    """The primary metric: any false verdict on any arm, ever, with at most the error of the level (closed testing).

    Intervals hold for all designed treatments together; what closed testing rejects beyond them it rejects rightly.
    """
    design = experiment.design
    alpha = 1 - design.rule.level
    level = 1 - alpha / (len(design.arms) - 1)
    compared, carried = compare_goal(experiment, totals, design.primary, level, evidence)
    adjusted = closed_mean([each.look.e_value for each in compared])
    found = []
    for each, e_value in zip(compared, adjusted, strict=True):
        name = f"primary/{each.arm}"
        p = smallest(evidence, name, 1 / max(1.0, float(e_value)))
        carried[name] = {"p": p}
        found.append((arm_effect(each, p, significant=p <= alpha), each))
    return found, carried


def _secondary(
    experiment: Experiment, totals: Totals, evidence: Mapping[str, Carried]
) -> tuple[list[ArmEffect], dict[str, Carried]]:
    """The secondary metrics: of what is called different at this look, at most the error of the level is not (e-BH)."""
    level = experiment.design.rule.level
    compared: list[Compared] = []
    carried: dict[str, Carried] = {}
    for goal in experiment.design.secondary:
        found, more = compare_goal(experiment, totals, goal, level, evidence)
        compared += found
        carried |= more
    if not compared:
        return [], carried
    rejected = e_benjamini_hochberg([each.look.e_value for each in compared], 1 - level)
    effects = [
        arm_effect(each, each.look.effect.p_value, significant=bool(shown))
        for each, shown in zip(compared, rejected, strict=True)
    ]
    return effects, carried


def _guardrails(
    experiment: Experiment, totals: Totals, evidence: Mapping[str, Carried]
) -> tuple[list[GuardrailFinding], dict[str, Carried]]:
    found: list[GuardrailFinding] = []
    carried: dict[str, Carried] = {}
    for guardrail in experiment.design.guardrails:
        watch = watch_mean if guardrail.quantile is None else watch_quantile
        findings, more = watch(experiment, totals, guardrail, evidence)
        found += findings
        carried |= more
    return found, carried


def _waiting(experiment: Experiment, compared: Sequence[Compared]) -> str | None:
    """Why nothing can be decided yet: no treatment that takes part has come through its burn-in."""
    present = set(present_arms(experiment))
    reasons = {each.arm: each.look.reason for each in compared if each.arm in present}
    if not reasons or any(reason is None for reason in reasons.values()):
        return None
    metric = experiment.design.primary.metric
    arm, reason = next(iter(reasons.items()))
    named = (reason or "").replace("in the control", f"in {experiment.design.control.name}")
    return f"burn-in: {metric} {named.replace('in the treatment', f'in {arm}')}"


def _count(arm: str, units: Sequence[ArmUnits]) -> ArmCount:
    mine = [each for each in units if each.arm == arm]
    return ArmCount(arm, sum(e.units for e in mine), sum(e.requests for e in mine), sum(e.crossed for e in mine))
