"""What is known of the replicas of upstream models: as Prometheus families, and as ``/v1/backends`` shows it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal

from bailiwick.backends.breaker import BreakerState
from bailiwick.backends.pool import UpstreamPool
from bailiwick.metrics.prometheus import Family, Sample


def upstreams_document(pool: UpstreamPool) -> list[dict[str, Any]]:
    """One object per replica, by domain and address."""
    return [
        {
            **asdict(report),
            "state": report.state.value,
            "share": round(report.share, 3),
            "latency_ms": round(report.latency_ms, 3),
        }
        for report in pool.reports()
    ]


def upstream_families(pool: UpstreamPool) -> list[Family]:
    """The replicas' states and counts, and how often their domains' calls were sent again."""
    reports = pool.reports()
    retried = pool.retried()

    def each(name: str, kind: Literal["counter", "gauge"], meaning: str, field: str) -> Family:
        samples = [
            Sample(getattr(report, field), {"domain": report.domain, "replica": report.replica}) for report in reports
        ]
        return Family(f"bailiwick_upstream_{name}", kind, meaning, samples)

    def total(name: str, meaning: str, index: int) -> Family:
        samples = [Sample(counts[index], {"domain": domain}) for domain, counts in retried.items()]
        return Family(f"bailiwick_upstream_{name}_total", "counter", meaning, samples)

    states = [
        Sample(float(report.state is state), {"domain": report.domain, "replica": report.replica, "state": state.value})
        for report in reports
        for state in BreakerState
    ]
    return [
        each("calls_total", "counter", "Calls sent to a replica, retries and hedges included.", "calls"),
        each("failures_total", "counter", "Failed calls and health checks of a replica.", "failures"),
        each("breaker_openings_total", "counter", "How often a replica was left alone.", "openings"),
        Family("bailiwick_upstream_breaker", "gauge", "1 for the state that a replica's breaker is in.", states),
        each("in_flight", "gauge", "Calls that a replica has not answered yet.", "under_way"),
        each("share", "gauge", "Part of its traffic that a replica gets; below 1 while it comes back.", "share"),
        each("latency_milliseconds", "gauge", "Peak-sensitive average of a replica's latency.", "latency_ms"),
        total("retries", "Calls that were sent again.", 0),
        total("retries_refused", "Calls that were not sent again because the budget was spent.", 1),
        total("hedges", "Calls that were also sent to a second replica.", 2),
    ]
