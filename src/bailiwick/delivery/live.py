"""What the metric store knows of a version over a span, as gates and degradation need it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from bailiwick.delivery.degradation import Observed, Rate
from bailiwick.metrics.model import Mark

if TYPE_CHECKING:
    from bailiwick.metrics.service import MetricsService

FAILED, LATENCY, CORRECT = "failed", "latency_ms", "correct"


class Live(Protocol):
    """Where live numbers come from."""

    def observed(self, domain: str, version: str, since: datetime, until: datetime) -> Observed:
        """Of one version; empty where nothing was observed. ``until`` is excluded."""
        ...

    def mark(self, domain: str, since: datetime) -> Mark:
        """Cheap to read; another one than before: something of the domain was observed since."""
        ...


class LiveMetrics:
    """Live numbers from the metric store: whole minutes of requests, and feedback by when it was given."""

    def __init__(self, metrics: Callable[[], MetricsService]) -> None:
        """Take the store as a callable: it is opened when first asked for."""
        self._metrics = metrics

    def observed(self, domain: str, version: str, since: datetime, until: datetime) -> Observed:
        """See `Live.observed`."""
        if since >= until:
            return Observed()
        metrics = self._metrics()
        failed = metrics.query(domain, FAILED, since, until, version=version)
        latency = metrics.query(domain, LATENCY, since, until, version=version)
        judged = [
            each
            for each in metrics.feedback_summary(domain, since, until)
            if each.version == version and each.metric == CORRECT
        ]
        return Observed(
            correct=Rate(sum(each.total for each in judged), sum(each.count for each in judged)),
            failed=Rate(failed.total, failed.count),
            latencies=latency.count,
            latency_p95_ms=latency.quantile(0.95),
        )

    def mark(self, domain: str, since: datetime) -> Mark:
        """See `Live.mark`."""
        return self._metrics().mark(domain, since)
