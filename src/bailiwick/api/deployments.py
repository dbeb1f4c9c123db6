"""Deployments and rollbacks over REST."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.api.traffic import DomainId, Reason, Revision, VersionId, because
from bailiwick.delivery.document import deployment_document, event_document, rollback_document
from bailiwick.delivery.model import DeploymentStatus
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.traffic.layers import choosing_versions
from bailiwick.traffic.weights import parse_percent

router = APIRouter(tags=["delivery"])

DeploymentId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]
_DOMAIN = r"^[a-z][a-z0-9_-]{0,63}$"


class DeploymentRequest(BaseModel):
    """What shall serve."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[VersionId, Field(description="a version, or a domain: its newest version")]
    domain: Annotated[str | None, Field(pattern=_DOMAIN, description="checked against the version's when given")] = None
    share_percent: float = Field(100, gt=0, le=100, description="of the domain's users, at most two decimals")
    force: bool = Field(False, description="deploy although a gate does not pass; needs a reason")
    break_glass: bool = Field(default=False, description="deploy although the domain is frozen; needs a reason")
    reason: Reason = None
    revision: Revision = None


class ApprovalRequest(BaseModel):
    """Why somebody agrees."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = None
    break_glass: bool = Field(default=False, description="deploy although the domain is frozen; needs a reason")


class RejectionRequest(BaseModel):
    """Why somebody does not."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = None


class RollbackRequest(BaseModel):
    """How to roll back."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = None
    revision: Revision = None


@router.post("/v1/deployments", status_code=201)
def deploy(
    body: DeploymentRequest,
    response: Response,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Deploy a version if the gates allow it.

    Answers 409 with the deployment, ``status`` ``held``, if they do not, and 202 with ``waiting`` where the domain's
    gate policy asks for approvals. ``experiments`` run in the domain and choose the version of those who take part,
    whatever is deployed.
    """
    version = platform.delivery.find(body.version)
    made = platform.delivery.deploy(
        body.domain or version.domain,
        version.id,
        share=parse_percent(str(body.share_percent)),
        actor=because(actor, body.reason),
        force=body.force,
        break_glass=body.break_glass,
        expected_revision=body.revision,
    )
    if made.status is DeploymentStatus.HELD:
        response.status_code = 409
    elif made.status is DeploymentStatus.WAITING:
        response.status_code = 202
    beside = choosing_versions(platform.traffic.experiments(made.domain))
    return {**deployment_document(made), "experiments": [plan.experiment for plan in beside]}


@router.get("/v1/deployments")
def list_deployments(
    domain: Annotated[str | None, Query(pattern=_DOMAIN)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """Deployments, newest first, the held ones included."""
    return {"deployments": [deployment_document(made) for made in platform.delivery.history(domain, limit=limit)]}


@router.get("/v1/deployments/{id}")
def one_deployment(id: DeploymentId, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """One deployment, with its approvals, and what speaks now for taking it back."""
    made = platform.delivery.deployment(id)
    return {**deployment_document(made), "degradation": platform.delivery.degradation(id)}


@router.post("/v1/deployments/{id}/approve")
def approve(
    id: DeploymentId,
    response: Response,
    body: ApprovalRequest | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Agree; deployed once enough people have.

    Answers 409 with the deployment, ``status`` ``voided``, when what was asked has changed or expired. ``X-Actor`` is
    taken on trust until access keys are in force.
    """
    asked = body or ApprovalRequest()
    made = platform.delivery.approve(id, actor=because(actor, asked.reason), break_glass=asked.break_glass)
    if made.status is DeploymentStatus.VOIDED:
        response.status_code = 409
    return deployment_document(made)


@router.post("/v1/deployments/{id}/reject")
def reject(
    id: DeploymentId,
    body: RejectionRequest | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Refuse a deployment that waits."""
    asked = body or RejectionRequest()
    return deployment_document(platform.delivery.reject(id, actor=because(actor, asked.reason)))


@router.get("/v1/rollbacks")
def rollbacks(
    domain: Annotated[str | None, Query(pattern=_DOMAIN)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """Rollbacks that happened, newest first, by hand and automatic, with both metrics."""
    return {"rollbacks": [event_document(each) for each in platform.delivery.rollbacks(domain, limit=limit)]}


@router.post("/v1/domains/{domain}/rollback")
def rollback(
    domain: DomainId,
    body: RollbackRequest | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Bring back what served before the newest version came; once more: go further back."""
    asked = body or RollbackRequest()
    done = platform.delivery.rollback(domain, actor=because(actor, asked.reason), expected_revision=asked.revision)
    return rollback_document(done)
