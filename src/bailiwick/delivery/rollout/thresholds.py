"""The rule of fixed tolerances: worse by more than the margin, on enough samples. Simple, and blind to chance. Pure.

It may abort a harmless canary whose few samples were unlucky, and promote a harmful one whose harm is within the
tolerance; the sequential rule bounds both errors. Kept for who must follow a policy written as numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from bailiwick.delivery.rollout.evidence import counted, gathered, margin_of, values_of
from bailiwick.delivery.rollout.model import (
    Direction,
    EpochWeights,
    Evidence,
    Finding,
    MetricEvidence,
    MetricRule,
    RolloutPolicy,
    Statistic,
)
from bailiwick.delivery.rollout.wording import finding_words
from bailiwick.metrics.exposures import ArmTotals, ArmUnits

SAMPLES = 50
"""Values that each arm must have."""

THRESHOLD_METRICS = (
    MetricRule("correct", Statistic.RATE, Direction.HIGHER, 0.05, relative=True, required=False),
    MetricRule("latency_ms", Statistic.MEAN, Direction.LOWER, 0.5, relative=True),
    MetricRule("failed", Statistic.RATE, Direction.LOWER, 0.10),
)
"""Accuracy down by 5 %, latency 1.5 times as long, error rate up by 10 points."""


def assess_thresholds(
    policy: RolloutPolicy, epochs: Sequence[EpochWeights], totals: Sequence[ArmTotals], units: Sequence[ArmUnits]
) -> Evidence:
    """What the totals say by fixed tolerances; margins are not scaled by the step."""
    found = []
    for rule in policy.metrics:
        strata = gathered(rule.metric, epochs, totals)
        values = values_of(rule, strata)
        samples = min(
            sum(each.canary.count for each in strata),
            sum(each.control.count for each in strata),
        )
        if values is None:
            words = finding_words(rule, Finding.NO_DATA, None, None, None, 0.0)
            found.append(MetricEvidence(rule, Finding.NO_DATA, None, None, None, None, None, 0.0, words))
            continue
        canary, control = values
        margin = margin_of(rule, control, 1.0)
        worse = (canary - control) * (1.0 if rule.direction is Direction.LOWER else -1.0)
        finding = Finding.HARMFUL if worse > margin else Finding.HARMLESS
        if samples < SAMPLES:
            finding = Finding.UNDECIDED
        words = finding_words(rule, finding, canary, control, None, margin)
        found.append(MetricEvidence(rule, finding, canary, control, canary - control, None, None, margin, words))
    return counted(tuple(found), units)
