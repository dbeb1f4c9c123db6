"""What was observed, over REST, and this process's counters for Prometheus."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, Response
from pydantic import AwareDatetime

from bailiwick.api.app import platform_of
from bailiwick.api.traffic import DomainId
from bailiwick.metrics.prometheus import CONTENT_TYPE, Family, Sample, render
from bailiwick.platform import Platform
from bailiwick.traffic.model import SLOTS

router = APIRouter(tags=["metrics"])


@router.get("/v1/metrics/{domain}")
def domain_metrics(
    domain: DomainId,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """Every metric of every version of a domain, and the feedback on it; by default over the last hour."""
    metrics = platform.metrics
    return {
        "domain": domain,
        "metrics": [asdict(line) for line in metrics.summary(domain, since, until)],
        "feedback": [{**asdict(line), "mean": line.mean} for line in metrics.feedback_summary(domain, since, until)],
    }


@router.get("/metrics")
def prometheus(platform: Platform = Depends(platform_of)) -> Response:
    """Counters of this process and the weights in force, in the Prometheus text format."""
    weights = [
        Sample(weight / SLOTS, {"domain": plan.domain, "version": version})
        for plan in platform.traffic.plans().values()
        for version, weight in plan.weights.items()
    ]
    ratio = Family("bailiwick_traffic_weight_ratio", "gauge", "Share of a domain's users.", weights)
    families = [*platform.metrics.families(), ratio, *platform.privacy_gauges()]
    return Response(render(families), media_type=CONTENT_TYPE)
