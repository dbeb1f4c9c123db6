"""Canary rollouts over REST."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.api.traffic import Reason, Revision, VersionId, because
from bailiwick.delivery.document import deployment_document
from bailiwick.delivery.model import DeploymentStatus
from bailiwick.delivery.rollout.document import (
    PolicyDocument,
    evidence_document,
    policy_of,
    rollout_document,
    transition_document,
)
from bailiwick.delivery.rollout.report import report
from bailiwick.delivery.rollout.summary import summary
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.traffic.weights import parse_percent

router = APIRouter(prefix="/v1/rollouts", tags=["delivery"])

_DOMAIN = r"^[a-z][a-z0-9_-]{0,63}$"
RolloutId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,100}$", description="a rollout, or a domain: its rollout")]
Expected = Annotated[int | None, Field(ge=1, description="change only if the rollout still has this row version")]


class StartRequest(BaseModel):
    """What shall be let in, and how."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[VersionId, Field(description="a version, or a domain: its newest version")]
    policy: Annotated[PolicyDocument | None, Field(description="default: 1, 10, 50, 100 %, on failures")] = None
    adapt: bool = Field(True, description="make the first step large enough for its sample at the present traffic")
    force: bool = Field(False, description="although a gate does not pass; needs a reason")
    break_glass: bool = Field(False, description="although the domain is frozen; needs a reason")
    reason: Reason = None
    revision: Revision = None


class MoveRequest(BaseModel):
    """Why, and on which state it was decided."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = None
    row_version: Expected = None


class PromoteRequest(MoveRequest):
    """How far."""

    full: Annotated[bool, Field(description="to all but the hold-back at once")] = False
    force: Annotated[bool, Field(description="without the evidence, or in a freeze; needs a reason")] = False


class WeightRequest(MoveRequest):
    """How much."""

    share_percent: float = Field(gt=0, le=100, description="of the domain's users, at most two decimals")
    force: bool = Field(False, description="more without the evidence, or in a freeze; needs a reason")


@router.post("", status_code=201)
def start(
    body: StartRequest,
    response: Response,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Let a version in as a canary. Answers 409 with the held deployment if the gates do not allow it.

    Answers 202 with the deployment, ``status`` ``waiting``, where the domain's gate policy asks for approvals: start it
    again once people have agreed.
    """
    version = platform.delivery.find(body.version)
    steps, policy = policy_of(body.policy or PolicyDocument.model_validate({}))
    started = platform.rollouts.start(
        version.domain,
        version.id,
        actor=because(actor, body.reason),
        steps=steps,
        policy=policy,
        adapt=body.adapt,
        force=body.force,
        break_glass=body.break_glass,
        expected_revision=body.revision,
    )
    if started.deployment.status is DeploymentStatus.HELD:
        response.status_code = 409
    elif started.deployment.status is DeploymentStatus.WAITING:
        response.status_code = 202
    return {
        "deployment": deployment_document(started.deployment),
        "rollout": None if started.rollout is None else rollout_document(started.rollout),
    }


@router.get("")
def all_rollouts(
    domain: Annotated[str | None, Query(pattern=_DOMAIN)] = None,
    active: bool = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """Rollouts, the newest first, and how these have gone all together; medians in seconds."""
    found = platform.rollouts.list(domain, active=active, limit=limit)
    return {"rollouts": [rollout_document(each) for each in found], "summary": asdict(summary(found))}


@router.get("/{id}")
def one(id: RolloutId, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """Where a rollout stands, what is known of each metric now, and by how many gateways it is applied."""
    rollout = platform.rollouts.get(id)
    gateways, revision = platform.gateway_reports.live(), platform.traffic.revision()
    return {
        **rollout_document(rollout),
        "evidence": evidence_document(platform.rollouts.evidence(rollout.id)),
        "gateways": {"live": len(gateways), "applied": sum(each.revision >= revision for each in gateways)},
    }


@router.get("/{id}/transitions")
def moves(id: RolloutId, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """Every move of a rollout with the evidence that it rested on, the first one first."""
    rollout = platform.rollouts.get(id)
    return {"transitions": [transition_document(each) for each in platform.rollouts.transitions(rollout.id)]}


@router.get("/{id}/report")
def retrospect(id: RolloutId, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """What a rollout did: whom it exposed, how long it took to decide, and why."""
    rollout = platform.rollouts.get(id)
    evidence = platform.rollouts.evidence(rollout.id)
    made = report(rollout, platform.rollouts.transitions(rollout.id), evidence, platform.clock.now())
    return {
        "rollout": rollout_document(rollout),
        "evidence": evidence_document(evidence),
        "phases": list(made.phases),
        "decided_s": made.decided_s,
        "total_s": made.total_s,
        "peak_percent": made.peak_weight / 100,
        "forced": made.forced,
    }


@router.post("/{id}/pause")
def pause(
    id: RolloutId,
    body: MoveRequest | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Hold it where it is; evidence of harm still takes it back."""
    asked = body or MoveRequest()
    return rollout_document(platform.rollouts.pause(id, actor=because(actor, asked.reason), expected=asked.row_version))


@router.post("/{id}/resume")
def resume(
    id: RolloutId,
    body: MoveRequest | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Let it go on."""
    asked = body or MoveRequest()
    return rollout_document(
        platform.rollouts.resume(id, actor=because(actor, asked.reason), expected=asked.row_version)
    )


@router.post("/{id}/abort")
def abort(
    id: RolloutId,
    body: MoveRequest | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Take the canary out, whatever its state. It asks nobody and needs nothing but the database."""
    asked = body or MoveRequest()
    return rollout_document(platform.rollouts.abort(id, actor=because(actor, asked.reason), expected=asked.row_version))


@router.post("/{id}/approve")
def approve(
    id: RolloutId,
    body: MoveRequest | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Let the present step be left, where its schedule asks for it."""
    asked = body or MoveRequest()
    return rollout_document(
        platform.rollouts.approve(id, actor=because(actor, asked.reason), expected=asked.row_version)
    )


@router.post("/{id}/promote")
def promote(
    id: RolloutId,
    body: PromoteRequest | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Go on to the next step now, if the evidence allows it."""
    asked = body or PromoteRequest()
    moved = platform.rollouts.promote(
        id,
        actor=because(actor, asked.reason),
        full=asked.full,
        force=asked.force,
        expected=asked.row_version,
    )
    return rollout_document(moved)


@router.put("/{id}/weight")
def weight(
    id: RolloutId,
    body: WeightRequest,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Give the canary less, which is free, or more, which needs the evidence."""
    moved = platform.rollouts.set_weight(
        id,
        parse_percent(str(body.share_percent)),
        actor=because(actor, body.reason),
        force=body.force,
        expected=body.row_version,
    )
    return rollout_document(moved)
