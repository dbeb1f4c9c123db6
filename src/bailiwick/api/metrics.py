"""What was observed, over REST, and this process's counters for Prometheus."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from bailiwick.api.app import platform_of
from bailiwick.api.instants import Instant
from bailiwick.api.traffic import DomainId
from bailiwick.delivery.track_record import record_document
from bailiwick.metrics.better import lower_is_better
from bailiwick.metrics.comparison import Ranked, compare, rank
from bailiwick.metrics.document import point_document
from bailiwick.metrics.prometheus import CONTENT_TYPE, render
from bailiwick.metrics.resolution import Resolution
from bailiwick.metrics.rollup import Rollup
from bailiwick.platform import Platform

router = APIRouter(tags=["metrics"])

_VERSION = r"^[A-Za-z0-9._:@+-]{1,200}$"
Metric = Annotated[str, Query(pattern=r"^[^\x00-\x1f]{1,200}$")]
Version = Annotated[str | None, Query(pattern=_VERSION)]
NeededVersion = Annotated[str, Query(pattern=_VERSION)]


@router.get("/v1/metrics/{domain}")
def domain_metrics(
    domain: DomainId,
    since: Instant | None = None,
    until: Instant | None = None,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """Every metric of every version of a domain, and the feedback on it; by default over the last hour."""
    metrics = platform.metrics
    return {
        "domain": domain,
        "metrics": [asdict(line) for line in metrics.summary(domain, since, until)],
        "feedback": [{**asdict(line), "mean": line.mean} for line in metrics.feedback_summary(domain, since, until)],
    }


@router.get("/v1/metrics/{domain}/trend")
def metric_trend(
    domain: DomainId,
    metric: Metric,
    since: Instant | None = None,
    until: Instant | None = None,
    version: Version = None,
    resolution: Resolution | None = None,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """Whether a metric rises or falls, by default over the last day, and its points; the slope is per day."""
    begin, end = _span(platform, since, until)
    found, points = platform.metrics.trend(domain, metric, begin, end, version=version, resolution=resolution)
    return {"domain": domain, "metric": metric, "trend": found, "points": [point_document(each) for each in points]}


@router.get("/v1/metrics/{domain}/compare")
def metric_comparison(
    domain: DomainId,
    metric: Metric,
    first: NeededVersion,
    second: NeededVersion,
    since: Instant | None = None,
    until: Instant | None = None,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """The mean of one version less that of another, by default over the last day."""
    found = platform.metrics.versions_by(domain, metric, *_span(platform, since, until))
    empty = Rollup.of([])
    return {"metric": metric, **asdict(compare(found.get(first, empty), found.get(second, empty)))}


@router.get("/v1/metrics/{domain}/ranking")
def metric_ranking(
    domain: DomainId,
    metric: Metric,
    since: Instant | None = None,
    until: Instant | None = None,
    lowest_first: bool | None = None,
    platform: Platform = Depends(platform_of),
) -> list[Ranked]:
    """The versions of a domain by the mean of a metric, best first, by default over the last day."""
    found = platform.metrics.versions_by(domain, metric, *_span(platform, since, until))
    return list(rank(found, lowest_first=lower_is_better(metric) if lowest_first is None else lowest_first))


@router.get("/v1/metrics/{domain}/versions")
def version_records(
    domain: DomainId,
    since: Instant | None = None,
    until: Instant | None = None,
    version: Version = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 20,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """Each version, newest first, with its training run, held-out metrics, live metrics and deployments.

    The live metrics are, by default, of the last day.
    """
    platform.domains.get(domain)
    begin, end = _span(platform, since, until)
    found = platform.track_records.of(domain, begin, end, version=version, limit=limit)
    return {"domain": domain, "since": begin, "until": end, "versions": list(map(record_document, found))}


@router.get("/metrics")
def prometheus(platform: Platform = Depends(platform_of)) -> Response:
    """Counters of this process, and what the database says of budgets, traffic, rollouts and webhooks."""
    return Response(render([*platform.metrics.families(), *platform.gauges()]), media_type=CONTENT_TYPE)


def _span(platform: Platform, since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    end = until or platform.clock.now() + timedelta(microseconds=1)
    return since or end - timedelta(days=1), end
