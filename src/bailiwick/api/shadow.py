"""Shadows of domains over REST."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.api.traffic import DomainId, Reason, Revision, VersionId, because
from bailiwick.delivery.shadow import shadow_report
from bailiwick.errors import NotFound
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.traffic.document import plan_document
from bailiwick.traffic.weights import parse_percent

router = APIRouter(prefix="/v1/traffic", tags=["traffic"])


class ShadowRequest(BaseModel):
    """Who answers copies of requests."""

    model_config = ConfigDict(extra="forbid")

    version: VersionId
    share_percent: float = Field(100, gt=0, le=100, description="of the requests, at most two decimals")
    reason: Reason = None
    revision: Revision = None


@router.put("/{domain}/shadow")
def cast(
    domain: DomainId,
    body: ShadowRequest,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Let a version answer copies of requests in the background, unseen."""
    plan = platform.delivery.shadow(
        domain,
        body.version,
        share=parse_percent(str(body.share_percent)),
        actor=because(actor, body.reason),
        expected_revision=body.revision,
    )
    return plan_document(plan)


@router.delete("/{domain}/shadow")
def off(
    domain: DomainId, platform: Platform = Depends(platform_of), actor: Actor = Depends(actor_of)
) -> dict[str, Any]:
    """Copy no more requests."""
    return plan_document(platform.delivery.shadow(domain, None, actor=actor))


@router.get("/{domain}/shadow")
def show(
    domain: DomainId,
    hours: Annotated[float, Query(ge=0.1, le=8_760)] = 24,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """How often it agrees with what was served, and the most frequent disagreements (labels of classifiers only)."""
    plan = platform.traffic.plan(domain)
    if plan is None or plan.shadow is None:
        raise NotFound(f"no version answers in the shadow of {domain!r}", what="domain", requested=domain)
    now = platform.clock.now() + timedelta(microseconds=1)
    found = platform.metrics.shadow_summary(domain, plan.shadow.version, now - timedelta(hours=hours), now)
    return asdict(shadow_report(domain, plan.shadow.version, found))
