"""Figures for people from rollups."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from bailiwick.metrics.model import FeedbackSummary, MetricSummary, Point
from bailiwick.metrics.rollup import Rollup


def summarise(points: Iterable[Point]) -> list[MetricSummary]:
    """One line per version, arm and metric, over all the minutes of the points."""
    series: dict[tuple[str, str, str], list[Rollup]] = {}
    for point in points:
        series.setdefault((point.key.version, point.key.arm, point.key.metric), []).append(point.rollup)
    return [_line(*key, Rollup.merged(series[key])) for key in sorted(series)]


def merged_arms(feedback: Iterable[FeedbackSummary]) -> list[FeedbackSummary]:
    """The feedback on each version and metric, whichever arm the requests belonged to."""
    found: dict[tuple[str | None, str], FeedbackSummary] = {}
    for each in feedback:
        key = each.version, each.metric
        known = found.get(key, FeedbackSummary(each.version, "", each.metric, 0, 0.0, 0.0))
        found[key] = replace(
            known,
            count=known.count + each.count,
            total=known.total + each.total,
            squares=known.squares + each.squares,
        )
    return list(found.values())


def _line(version: str, arm: str, metric: str, rollup: Rollup) -> MetricSummary:
    deviation = math.sqrt(rollup.variance) if rollup.count > 1 else None
    return MetricSummary(
        version=version,
        arm=arm,
        metric=metric,
        count=rollup.count,
        mean=rollup.mean,
        deviation=deviation,
        minimum=rollup.minimum,
        p50=rollup.quantile(0.5),
        p95=rollup.quantile(0.95),
        p99=rollup.quantile(0.99),
        maximum=rollup.maximum,
    )
