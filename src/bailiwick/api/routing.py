"""Routing over REST: explanations, rules, mode, policies and their evaluation, analytics."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.api.traffic import Reason, because
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.routing.document import analytics_document, evaluation_document, proposal_document
from bailiwick.routing.explain import Asking
from bailiwick.routing.model import Mode
from bailiwick.routing.policy import Knobs, knobs_document, parse_knobs
from bailiwick.routing.revisions import revision_document
from bailiwick.routing.rules import parse_rules, rule_document

router = APIRouter(prefix="/v1/routing", tags=["routing"])

Text = Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00]*$")]
RequestId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:-]{1,100}$")]


class ExplainRequest(BaseModel):
    """A query to explain; nothing is sent."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=1, max_length=100_000)]
    model: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")] = "auto"
    unit: Text = "anonymous"
    attributes: dict[Text, Text] = Field(default_factory=dict, max_length=100, description="headers and the like")
    request_id: Text | None = None


class RulesRequest(BaseModel):
    """The rules that take the place of all others."""

    model_config = ConfigDict(extra="forbid")

    rules: list[dict[str, Any]] = Field(max_length=1_000)
    reason: Reason = None


class ModeRequest(BaseModel):
    """What learning may do."""

    model_config = ConfigDict(extra="forbid")

    mode: Mode
    reason: Reason = None


class PolicyRequest(BaseModel):
    """Knobs; what is left out stays as it is in force."""

    model_config = ConfigDict(extra="forbid")

    policy: dict[str, Any] = Field(default_factory=dict)
    reason: Reason = None
    force: bool = Field(default=False, description="although the logs show harm; needs a reason")


@router.get("")
def status(platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """What is in force."""
    published = platform.routing.published()
    return {
        "revision": published.revision,
        "mode": published.mode.value,
        "policy_revision": published.policy_revision,
        "policy": knobs_document(published.policy.knobs),
        "decisions_learned_from": published.policy.decisions,
        "rules": [rule_document(rule) for rule in published.rules.rules],
    }


@router.get("/history")
def history(
    limit: Annotated[int, Query(ge=1, le=1000)] = 100, platform: Platform = Depends(platform_of)
) -> dict[str, Any]:
    """Every change, newest first."""
    return {"revisions": [revision_document(each) for each in platform.routing.history(limit)]}


@router.get("/revisions/{revision}")
def one_revision(
    revision: Annotated[int, Path(ge=1, le=1 << 30)], platform: Platform = Depends(platform_of)
) -> dict[str, Any]:
    """A change with its document."""
    found, body = platform.routing.body(revision)
    return {**revision_document(found), "body": dict(body)}


@router.post("/explain")
def explain(body: ExplainRequest, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """Where a query would go, and why."""
    asking = Asking(body.text, body.model, body.unit, dict(body.attributes), request_id=body.request_id)
    return platform.routing_explainer.explain(asking)


@router.get("/decisions/{request_id}")
def explain_request(request_id: RequestId, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """What was decided for a request of the log."""
    return platform.routing_explainer.request(request_id)


@router.put("/rules")
def set_rules(
    body: RulesRequest, platform: Platform = Depends(platform_of), actor: Actor = Depends(actor_of)
) -> dict[str, Any]:
    """Put rules in the place of all others."""
    rules = parse_rules(body.rules)
    revision = platform.routing.set_rules(rules, because(actor, body.reason))
    return {"revision": revision, "rules": [rule_document(rule) for rule in platform.routing.rules()]}


@router.put("/mode")
def set_mode(
    body: ModeRequest, platform: Platform = Depends(platform_of), actor: Actor = Depends(actor_of)
) -> dict[str, Any]:
    """Turn learning off, to shadow, or on."""
    return {"revision": platform.routing.set_mode(body.mode, because(actor, body.reason)), "mode": body.mode.value}


@router.get("/proposal")
def propose(platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """What the learner would publish now."""
    return proposal_document(platform.routing.propose())


@router.post("/evaluations")
def evaluate(body: PolicyRequest, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """What a policy would have earned on the log."""
    return evaluation_document(platform.routing.evaluate(_knobs(platform, body)))


@router.post("/policies", status_code=201)
def apply(
    body: PolicyRequest, platform: Platform = Depends(platform_of), actor: Actor = Depends(actor_of)
) -> dict[str, Any]:
    """Publish a policy, unless the log shows that it does harm."""
    asked = because(actor, body.reason)
    revision, found = platform.routing.apply(_knobs(platform, body), asked, force=body.force)
    return {"revision": revision, "evaluation": evaluation_document(found)}


@router.get("/analytics")
def analytics(
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """What routing did, by default over the last day."""
    end = until or platform.clock.now() + timedelta(microseconds=1)
    return analytics_document(platform.routing.analytics(since or end - timedelta(days=1), end))


def _knobs(platform: Platform, body: PolicyRequest) -> Knobs:
    return parse_knobs({**knobs_document(platform.routing.knobs()), **body.policy}, "policy")
