"""Keys of clients of the gateway over REST. A secret is in the answer to its making or rotation, and nowhere else."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.api.traffic import Reason, because
from bailiwick.governance.access.document import domain_limits_document, key_document, usage_document
from bailiwick.governance.access.model import IssuedKey, Limits
from bailiwick.governance.access.usage import day_of
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform

router = APIRouter(prefix="/v1/keys", tags=["keys"])

Named = Annotated[str, Path(pattern=r"^[a-z][A-Za-z0-9_.-]{0,63}$", description="a key's name or id")]
Domain = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]


class LimitsRequest(BaseModel):
    """Limits; null takes one away, what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    in_flight: int | None = None
    tokens_per_day: int | None = None

    def given(self) -> dict[str, int | None]:
        """Those that the client named."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class KeyRequest(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid")

    name: Text
    owner: Text = ""
    team: Text = ""
    domains: list[Text] = Field(default_factory=list, max_length=200, description="ids or patterns; empty: all")
    limits: LimitsRequest = Field(default_factory=LimitsRequest)
    expires_at: datetime | None = None
    reason: Reason = None


class KeyChange(BaseModel):
    """What shall be otherwise."""

    model_config = ConfigDict(extra="forbid")

    owner: Text | None = None
    team: Text | None = None
    domains: Annotated[list[Text] | None, Field(max_length=200)] = None
    limits: LimitsRequest = Field(default_factory=LimitsRequest)
    expires_at: Annotated[datetime | None, Field(description="null: never; not given: as before")] = None
    reason: Reason = None


class RotateRequest(BaseModel):
    """How to rotate."""

    model_config = ConfigDict(extra="forbid")

    grace_s: Annotated[float, Field(ge=0, le=30 * 86_400, description="how long the old secret stays valid")] = 86_400
    reason: Reason = None


class ReasonRequest(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = None


class DomainLimits(LimitsRequest):
    """What everybody together may ask of a domain; null takes a limit away, what is not given stays."""

    reason: Reason = None

    def given(self) -> dict[str, int | None]:
        """Those that the client named."""
        return {name: value for name, value in super().given().items() if name != "reason"}


@router.get("")
def list_keys(platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """Every key, revoked ones too, by name."""
    now = platform.clock.now()
    return {"keys": [key_document(key, now) for key in platform.access.list_keys()]}


@router.post("", status_code=201)
def create(
    body: KeyRequest, platform: Platform = Depends(platform_of), actor: Actor = Depends(actor_of)
) -> dict[str, Any]:
    """Make a key. ``secret`` is in this answer only."""
    issued = platform.access.create(
        body.name,
        actor=because(actor, body.reason),
        owner=body.owner,
        team=body.team,
        domains=body.domains,
        limits=Limits(**body.limits.given()),
        expires_at=body.expires_at,
    )
    return _issued(platform, issued)


@router.get("/usage")
def usage(
    key: Annotated[str | None, Query(max_length=64, description="a key's name or id; default: all")] = None,
    days: Annotated[int, Query(ge=1, le=3_660)] = 7,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """Requests and tokens per key and day of UTC, newest day first."""
    names = {each.id: each.name for each in platform.access.list_keys()}
    chosen = None if key is None else platform.access.get(key).id
    since = day_of(platform.clock.now() - timedelta(days=days - 1))
    found = platform.access.usage.per_day(key=chosen, since=since)
    return {"usage": [usage_document(each, names.get(each.key, each.key)) for each in found]}


@router.get("/domains")
def list_domain_limits(platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """What everybody together may ask of each domain that is limited."""
    return {"domains": [domain_limits_document(*each) for each in platform.access.domain_limits().items()]}


@router.patch("/domains/{domain}")
def limit_domain(
    domain: Domain,
    body: DomainLimits,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Limit what everybody together may ask of a domain."""
    limits = platform.access.limit_domain(domain, body.given(), actor=because(actor, body.reason))
    return domain_limits_document(domain, limits)


@router.get("/{named}")
def show(named: Named, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """One key, without its secret."""
    return key_document(platform.access.get(named), platform.clock.now())


@router.patch("/{named}")
def change(
    named: Named, body: KeyChange, platform: Platform = Depends(platform_of), actor: Actor = Depends(actor_of)
) -> dict[str, Any]:
    """Change what a key may do. What is not given stays."""
    changed = platform.access.change(
        named,
        actor=because(actor, body.reason),
        limits=body.limits.given(),
        domains=body.domains,
        owner=body.owner,
        team=body.team,
        expires_at=body.expires_at,
        never_expires="expires_at" in body.model_fields_set and body.expires_at is None,
    )
    return key_document(changed, platform.clock.now())


@router.post("/{named}/rotate")
def rotate(
    named: Named,
    body: RotateRequest | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Give a key a new secret, in this answer only; the old one stays valid for the grace time."""
    asked = body or RotateRequest()
    grace = timedelta(seconds=asked.grace_s)
    return _issued(platform, platform.access.rotate(named, actor=because(actor, asked.reason), grace=grace))


@router.post("/{named}/revoke")
def revoke(
    named: Named,
    body: ReasonRequest | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Let a key in no more, for good."""
    revoked = platform.access.revoke(named, actor=because(actor, (body or ReasonRequest()).reason))
    return key_document(revoked, platform.clock.now())


def _issued(platform: Platform, issued: IssuedKey) -> dict[str, Any]:
    return {**key_document(issued.key, platform.clock.now()), "secret": issued.secret}
