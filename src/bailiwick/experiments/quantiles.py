"""Guardrails on a quantile, such as the p95 of the latency, from sketches: exact for any distribution. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from bailiwick.experiments.effects import treatments, tuning_of
from bailiwick.experiments.evidence import Totals, epoch_share
from bailiwick.experiments.findings import Carried, GuardrailFinding, Interval, Standing
from bailiwick.experiments.model import Experiment, Guardrail
from bailiwick.experiments.rates import effective
from bailiwick.statistics.quantile_sequence import Empirical, QuantileComparison, compare_quantiles


def watch_quantile(
    experiment: Experiment, totals: Totals, guardrail: Guardrail, evidence: Mapping[str, Carried]
) -> tuple[list[GuardrailFinding], dict[str, Carried]]:
    """A guardrail on a quantile, for every treatment.

    Epochs are tested one by one, each with its part of the error, because pooled over changing weights two quantiles
    compare different users; what all of them refute together is refuted. Requests of one unit count for as many
    independent ones as they are worth. The error of "breached" is split over all guardrails and arms, that of "holds"
    is not.
    """
    assert guardrail.quantile is not None, "a guardrail on a mean is not watched here"
    control, alpha = experiment.design.control.name, 1 - experiment.design.rule.level
    split = alpha / (len(experiment.design.guardrails) * len(treatments(experiment)))
    ours = _empirical(totals, guardrail.metric, control)
    found: list[GuardrailFinding] = []
    carried: dict[str, Carried] = {}
    for arm in treatments(experiment):
        planned = max(1.0, tuning_of(experiment, totals, guardrail.metric, arm, 1 - alpha).planned_units / 2)
        theirs = _empirical(totals, guardrail.metric, arm)
        name = f"quantile/{guardrail.name}/{arm}"
        before = evidence.get(name, {})
        least, most = _known(before.get("least"), -math.inf), _known(before.get("most"), math.inf)
        looks = []
        for number, pair in enumerate(zip(ours, theirs, strict=True), start=1):
            part = epoch_share(number)
            within = compare_quantiles(*pair, guardrail.quantile, planned, 1 - alpha * part)
            beyond = compare_quantiles(*pair, guardrail.quantile, planned, 1 - split * part)
            least = max(least, _worse(beyond, guardrail).low)
            most = min(most, _worse(within, guardrail).high)
            looks.append((min(arm.size for arm in pair), number, within))
        carried[name] = {"least": least, "most": most}
        found.append(_finding(experiment, guardrail, arm, max(looks)[2], least, most, split))
    return found, carried


def _finding(
    experiment: Experiment,
    guardrail: Guardrail,
    arm: str,
    look: QuantileComparison,
    least: float,
    most: float,
    split: float,
) -> GuardrailFinding:
    breached, holds = least > guardrail.margin, most < guardrail.margin
    size = abs(look.control) if guardrail.relative else 1.0
    estimate = -guardrail.better.sign * (look.treatment - look.control)
    standing = Standing.BREACHED if breached else Standing.HOLDS if holds else Standing.OPEN
    return GuardrailFinding(
        name=guardrail.name,
        arm=arm,
        worsening=Interval(estimate, least * size, most * size),
        margin=guardrail.margin * size,
        p_harm=split if breached else 1.0,
        p_holds=1 - experiment.design.rule.level if holds else 1.0,
        standing=standing,
    )


def _worse(look: QuantileComparison, guardrail: Guardrail) -> Interval:
    """By how much it is worse, in the metric's unit or as a share of the control's quantile."""
    if not guardrail.relative:
        low, high = look.low, look.high
    else:
        low = -math.inf if look.ratio_low is None else look.ratio_low - 1
        high = math.inf if look.ratio_high is None else look.ratio_high - 1
    return Interval(math.nan, -high, -low) if guardrail.better.sign > 0 else Interval(math.nan, low, high)


def _empirical(totals: Totals, metric: str, arm: str) -> list[Empirical]:
    """Of each epoch."""
    return [
        Empirical(sketch.values(), sketch.counts.astype(np.float64), effective(moments))
        for sketch, moments in zip(totals.sketches_of(metric, arm), totals.of(metric, arm), strict=True)
    ]


def _known(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
