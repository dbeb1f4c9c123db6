"""Findings as sentences, with the numbers that they rest on. Pure."""

from __future__ import annotations

import math

from bailiwick.delivery.rollout.model import Finding, MetricRule, Statistic


def finding_words(
    rule: MetricRule,
    finding: Finding,
    canary: float | None,
    control: float | None,
    bound: float | None,
    margin: float,
) -> str:
    """One metric's finding in words.

    Args:
        rule: of the metric.
        finding: what was found.
        canary: its value; None without data.
        control: likewise.
        bound: the most that the canary may be worse, in the metric's units; None where it is open.
        margin: in the metric's units.

    >>> from bailiwick.delivery.rollout.model import Direction
    >>> failed = MetricRule("failed", Statistic.RATE, Direction.LOWER, 0.01)
    >>> finding_words(failed, Finding.HARMFUL, 0.08, 0.03, 0.09, 0.01)
    'failed is worse: 8 % against 3 %'
    """
    name = metric_name(rule)
    if canary is None or control is None:
        return f"no data on {name}"
    values = f"{amount(rule, canary)} against {amount(rule, control)}"
    if finding is Finding.HARMFUL:
        return f"{name} is worse: {values}"
    if finding is Finding.HARMLESS:
        return f"{name} is not worse by {gap(rule, margin)} or more: {values}"
    open_end = "" if bound is None or not math.isfinite(bound) else f", up to {gap(rule, max(bound, 0.0))} worse"
    return f"{name} is not settled: {values}{open_end} (margin {gap(rule, margin)})"


def metric_name(rule: MetricRule) -> str:
    """The metric with its statistic, where that is not plain.

    >>> from bailiwick.delivery.rollout.model import Direction
    >>> metric_name(MetricRule("latency_ms", Statistic.P95, Direction.LOWER, 0.2))
    'latency_ms p95'
    """
    return (
        rule.metric if rule.statistic in {Statistic.RATE, Statistic.MEAN} else f"{rule.metric} {rule.statistic.value}"
    )


def amount(rule: MetricRule, value: float) -> str:
    """A value of the metric for people.

    >>> from bailiwick.delivery.rollout.model import Direction
    >>> amount(MetricRule("failed", Statistic.RATE, Direction.LOWER, 0.01), 0.0123)
    '1.23 %'
    """
    return f"{100 * value:.3g} %" if rule.statistic is Statistic.RATE else f"{value:.4g}"


def gap(rule: MetricRule, value: float) -> str:
    """A difference between two values of the metric for people.

    >>> from bailiwick.delivery.rollout.model import Direction
    >>> gap(MetricRule("failed", Statistic.RATE, Direction.LOWER, 0.01), 0.0123)
    '1.23 points'
    """
    return f"{100 * value:.3g} points" if rule.statistic is Statistic.RATE else f"{value:.4g}"
