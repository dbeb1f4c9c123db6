"""What a version in the shadow has shown: how often it agrees with what was served, and where it does not. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bailiwick.metrics.model import MetricSummary
from bailiwick.statistics.proportions import wilson_interval

MOST_PAIRS = 20
_DISAGREEMENT = "disagreement:"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """What was served, what the shadow said, and how often. Labels of classifiers only; never anybody's text."""

    labels: str
    count: int


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """A version in the shadow over a span.

    Args:
        answered: copies that it answered.
        failed: copies that it did not.
        compared: answered copies whose two answers could be compared.
        agreed: of those, the ones with the same label or text.
        interval: of the share that agrees, 95 %, as if requests were independent (Wilson); None where none compared.
        p50_ms, p95_ms: its latency; None where it answered nothing.
        disagreements: the most frequent, most first.
    """

    domain: str
    version: str
    answered: int
    failed: int
    compared: int
    agreed: int
    interval: tuple[float, float] | None
    p50_ms: float | None
    p95_ms: float | None
    disagreements: tuple[Disagreement, ...]


def shadow_report(domain: str, version: str, summaries: Iterable[MetricSummary]) -> ShadowReport:
    """The report, from the summaries of the arm of shadows (`MetricsService.shadow_summary`)."""
    found = {each.metric: each for each in summaries if each.version == version}
    agreement, failed, latency = found.get("agreement"), found.get("failed"), found.get("latency_ms")
    compared = agreement.count if agreement else 0
    agreed = round(agreement.mean * compared) if agreement else 0
    failures = round(failed.mean * failed.count) if failed else 0
    pairs = sorted(
        (
            Disagreement(metric.removeprefix(_DISAGREEMENT), each.count)
            for metric, each in found.items()
            if metric.startswith(_DISAGREEMENT)
        ),
        key=lambda pair: (-pair.count, pair.labels),
    )
    return ShadowReport(
        domain=domain,
        version=version,
        answered=(failed.count if failed else 0) - failures,
        failed=failures,
        compared=compared,
        agreed=agreed,
        interval=wilson_interval(agreed, compared) if compared else None,
        p50_ms=latency.p50 if latency else None,
        p95_ms=latency.p95 if latency else None,
        disagreements=tuple(pairs[:MOST_PAIRS]),
    )
