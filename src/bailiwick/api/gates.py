"""Gate policies over REST."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.api.traffic import DomainId, Reason, Revision, VersionId, because
from bailiwick.delivery.gates import explain
from bailiwick.delivery.policy import policy_document
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform

router = APIRouter(prefix="/v1/gates", tags=["delivery"])

Environment = Annotated[
    str | None, Query(pattern=r"^[a-z][a-z0-9_-]{0,63}$", description="default: the setting `environment`")
]


class PolicyRequest(BaseModel):
    """What to change; null brings a key's default back."""

    model_config = ConfigDict(extra="forbid")

    changes: dict[str, Any] = Field(min_length=1, max_length=100, description="see GET for the keys")
    reason: Reason = None
    revision: Revision = None


class CheckRequest(BaseModel):
    """What to judge."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[VersionId, Field(description="a version, or a domain: its newest version")]


@router.get("/{domain}")
def show(
    domain: DomainId, environment: Environment = None, platform: Platform = Depends(platform_of)
) -> dict[str, Any]:
    """The policy in force."""
    return policy_document(platform.delivery.policies.current(domain, environment))


@router.get("/{domain}/history")
def history(
    domain: DomainId,
    environment: Environment = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """Every revision, newest first."""
    found = platform.delivery.policies.history(domain, environment, limit=limit)
    return {"history": [policy_document(record) for record in found]}


@router.put("/{domain}")
def change(
    domain: DomainId,
    body: PolicyRequest,
    environment: Environment = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Change some keys. Whatever waits for approval then becomes void."""
    record = platform.delivery.policies.change(
        domain,
        body.changes,
        actor=because(actor, body.reason),
        environment=environment,
        expected_revision=body.revision,
    )
    return policy_document(record)


@router.post("/check")
def check(body: CheckRequest, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """What the gates say of a version, changing nothing."""
    version = platform.delivery.find(body.version)
    verdict = platform.delivery.judge(version.domain, version.id)
    return {
        "version": version.id,
        "passed": verdict.passed,
        "decision": explain(verdict.gates),
        "champion": verdict.champion,
        "policy_revision": verdict.policy.revision,
        "approvals_needed": verdict.policy.policy.approvals,
        "gates": verdict.gates,
    }
