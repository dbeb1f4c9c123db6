"""The policy that holds where nobody gave another, and what a policy must fulfil. Pure."""

from __future__ import annotations

import math

from bailiwick.delivery.rollout.model import (
    Direction,
    JudgeRule,
    MetricRule,
    RolloutPolicy,
    Statistic,
)
from bailiwick.delivery.rollout.thresholds import THRESHOLD_METRICS
from bailiwick.errors import InvalidInput

DEFAULT_METRICS = (
    MetricRule("failed", Statistic.RATE, Direction.LOWER, 0.01),
    MetricRule("latency_ms", Statistic.P95, Direction.LOWER, 0.25, relative=True, required=False),
    MetricRule("correct", Statistic.RATE, Direction.HIGHER, 0.02, required=False),
)
"""Failures must be shown not to rise by a point; slower or less correct answers abort once they are shown.

Feedback is rare or late in many domains, so that ``correct`` guards without being waited for; where there is enough of
it, require it.
"""

_MOST_METRICS = 20
_LARGEST_MARGIN = 1e12


def default_policy(rule: JudgeRule = JudgeRule.SEQUENTIAL) -> RolloutPolicy:
    """The policy of a rule with its usual metrics."""
    metrics = THRESHOLD_METRICS if rule is JudgeRule.THRESHOLDS else DEFAULT_METRICS
    return RolloutPolicy(metrics, rule)


def check_policy(policy: RolloutPolicy) -> RolloutPolicy:
    """The policy itself.

    Raises:
        InvalidInput: no metric is required, one stands twice, or a number is out of bounds.
    """
    if not 0 < len(policy.metrics) <= _MOST_METRICS:
        raise InvalidInput(
            f"a policy of {len(policy.metrics)} metrics", what="metrics", allowed=f"1 to {_MOST_METRICS}"
        )
    if not any(rule.required for rule in policy.metrics):
        raise InvalidInput(
            "no metric is required, so that nothing would have to be shown before the canary gets everything",
            what="metrics",
            remedy="require at least one, such as failed",
        )
    names = [(rule.metric, rule.statistic) for rule in policy.metrics]
    if len(set(names)) != len(names):
        raise InvalidInput("a metric stands twice in the policy", what="metrics", requested=[name for name, _ in names])
    for rule in policy.metrics:
        if not rule.metric.strip() or not 0 <= rule.margin <= _LARGEST_MARGIN:
            raise InvalidInput(
                f"{rule.metric!r} has a margin of {rule.margin!r}", what="margin", allowed=f"0 to {_LARGEST_MARGIN:g}"
            )
        if rule.required and rule.margin == 0 and policy.rule is JudgeRule.SEQUENTIAL:
            raise InvalidInput(
                f"{rule.metric!r} is required with a margin of 0: only a better canary could ever show that",
                what="margin",
                remedy="say how much worse is still harmless, or do not require it",
            )
    _check_numbers(policy)
    return policy


def _check_numbers(policy: RolloutPolicy) -> None:
    for name, value, fits, allowed in (
        ("alpha", policy.alpha, 1e-6 <= policy.alpha < 0.5, "at least 1e-6, below 0.5"),
        ("hold_back", policy.hold_back, 0 <= policy.hold_back <= 5_000, "0 to 50 %"),
        ("guard_s", policy.guard_s, 0 <= policy.guard_s < math.inf, "at least 0 seconds"),
        ("max_hold_s", policy.max_hold_s, policy.max_hold_s is None or 0 <= policy.max_hold_s < math.inf, "seconds"),
        ("planned_units", policy.planned_units, policy.planned_units >= 1, "at least 1"),
        ("blast_radius.requests", policy.blast_radius.requests, _counts(policy.blast_radius.requests), "at least 1"),
        ("blast_radius.units", policy.blast_radius.units, _counts(policy.blast_radius.units), "at least 1"),
    ):
        if not fits:
            raise InvalidInput(f"{name} is {value!r}", what=name, requested=repr(value), allowed=allowed)


def _counts(limit: int | None) -> bool:
    return limit is None or limit >= 1
