"""Traffic plans over REST. Weights are percentages here, basis points inside."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.api.instants import Instant
from bailiwick.delivery.document import served_document
from bailiwick.errors import NotFound
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.traffic.document import plan_document, record_document
from bailiwick.traffic.model import TrafficPlan
from bailiwick.traffic.weights import parse_percent
from bailiwick.traffic.who import whereabouts, whereabouts_document

router = APIRouter(prefix="/v1/traffic", tags=["traffic"])

# PostgreSQL stores no NUL, so none is let in.
DomainId = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
VersionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:@+-]{1,200}$")]
Reason = Annotated[
    str | None, Field(max_length=2000, pattern=r"^[^\x00]*$", description="why; else the X-Reason header")
]
Revision = Annotated[int | None, Field(ge=0, description="change only if the plan still has this revision")]


class ShiftRequest(BaseModel):
    """New shares."""

    model_config = ConfigDict(extra="forbid")

    weights: dict[VersionId, float] = Field(
        min_length=1, max_length=100, description="percent by version, summing to 100"
    )
    reason: Reason = None
    revision: Revision = None
    break_glass: bool = Field(default=False, description="although the domain is frozen; needs a reason")


class PromoteRequest(BaseModel):
    """Who takes all."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[VersionId | None, Field(description="default: the one that was deployed last")] = None
    reason: Reason = None
    revision: Revision = None
    break_glass: bool = Field(default=False, description="although the domain is frozen; needs a reason")


@router.get("")
def all_plans(platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """The plans in force, and the counter that moves with each change."""
    revision = platform.traffic.revision()
    return {"revision": revision, "plans": [plan_document(plan) for plan in platform.traffic.plans().values()]}


@router.get("/{domain}")
def one_plan(domain: DomainId, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """The plan in force."""
    return plan_document(_plan(platform, domain))


@router.put("/{domain}")
def shift(
    domain: DomainId,
    body: ShiftRequest,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Give deployed versions new shares."""
    weights = {version: parse_percent(str(share)) for version, share in body.weights.items()}
    plan = platform.delivery.shift(
        domain,
        weights,
        actor=because(actor, body.reason),
        expected_revision=body.revision,
        break_glass=body.break_glass,
    )
    return plan_document(plan)


@router.post("/{domain}/promote")
def promote(
    domain: DomainId,
    body: PromoteRequest | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Give one of the versions in service all the traffic."""
    asked = body or PromoteRequest()
    plan = platform.delivery.promote(
        domain,
        asked.version,
        actor=because(actor, asked.reason),
        expected_revision=asked.revision,
        break_glass=asked.break_glass,
    )
    return plan_document(plan)


@router.get("/{domain}/history")
def history(
    domain: DomainId,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """Every change, newest first."""
    return {"history": [record_document(record) for record in platform.traffic.history(domain, limit=limit)]}


@router.get("/{domain}/at")
def at(domain: DomainId, instant: Instant, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """What served at an instant: versions, artefacts, and on whose word."""
    record = platform.traffic.plan_at(domain, instant)
    if record is None:
        raise NotFound(f"nothing was deployed in {domain!r} at {instant.isoformat()}", what="domain", requested=domain)
    served = [served_document(each) for each in platform.delivery.served_at(domain, instant)]
    return {**record_document(record), "served": served}


@router.get("/{domain}/assignment")
def assignment(
    domain: DomainId,
    unit: Annotated[str, Query(min_length=1, max_length=1000)],
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """Which version serves a user, and the arms of experiments behind it; conditions see no attribute."""
    plan, traffic = _plan(platform, domain), platform.traffic
    found = whereabouts(plan, traffic.experiments(domain), traffic.holdout(), unit)
    return whereabouts_document(domain, unit, plan.revision, found)


def _plan(platform: Platform, domain: str) -> TrafficPlan:
    plan = platform.traffic.plan(domain)
    if plan is None:
        raise NotFound(
            f"nothing is deployed in {domain!r}", what="domain", requested=domain, remedy="POST /v1/deployments"
        )
    return plan


def because(actor: Actor, reason: str | None) -> Actor:
    """The actor with the reason of the body, where it gives one."""
    return replace(actor, reason=reason) if reason else actor
