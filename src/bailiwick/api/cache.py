"""Kept answers over REST."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.api.traffic import DomainId, VersionId
from bailiwick.domains.cache import Scope
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform

router = APIRouter(prefix="/v1/cache", tags=["cache"])

Hours = Annotated[float, Query(ge=0.1, le=8_760, description="look back so many hours")]


class CacheChange(BaseModel):
    """Fields of the section ``cache``; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool | None = None
    ttl_s: float | None = Field(None, gt=0, le=30 * 86_400, description="seconds that an answer serves")
    max_entries: int | None = Field(None, ge=1, le=10_000_000)
    max_bytes: int | None = Field(None, ge=1 << 10, le=64 << 30)
    max_answer_bytes: int | None = Field(None, ge=64, le=64 << 20)
    sampled: bool | None = Field(None, description="also keep what an upstream drew at random")
    scope: Scope | None = Field(None, description="who shares answers")
    shared: bool | None = Field(None, description="also keep answers of upstreams in Redis")


class SimilarRequest(BaseModel):
    """What proves that similar questions may share an answer."""

    model_config = ConfigDict(extra="forbid")

    dataset: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
    max_wrong: float = Field(0.02, gt=0, le=0.5, description="share of such hits that may be wrong")
    model: VersionId | None = Field(None, description="a version whose labels say what a question means")


@router.get("")
def show_all(hours: Hours = 24, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """Every domain that has a cache, with its use over all gateways."""
    return {"caches": [report.document() for report in platform.caching.show_all(hours)]}


@router.get("/{domain}")
def show(domain: DomainId, hours: Hours = 24, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """How a domain's answers are kept, and how often one was there."""
    return platform.caching.show(domain, hours).document()


@router.patch("/{domain}")
def change(
    domain: DomainId,
    body: CacheChange,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Switch the cache on or off, or change its settings."""
    return asdict(platform.caching.change(domain, body.model_dump(exclude_none=True), actor))


@router.post("/{domain}/clear")
def clear(
    domain: DomainId, platform: Platform = Depends(platform_of), actor: Actor = Depends(actor_of)
) -> dict[str, Any]:
    """Forget what was kept, in every gateway and in Redis."""
    return asdict(platform.caching.clear(domain, actor))


@router.post("/{domain}/similar")
def similar(
    domain: DomainId,
    body: SimilarRequest,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Let similar questions share answers, if the examples prove that they may; else 409 and nothing changes."""
    found = platform.caching.similar(domain, body.dataset, actor, max_wrong=body.max_wrong, model=body.model)
    return asdict(found)


@router.get("/{domain}/similar")
def measure(
    domain: DomainId,
    dataset: Annotated[str, Query(min_length=1, max_length=200, pattern=r"^[^\x00]*$")],
    model: VersionId | None = None,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """How often similar questions would share an answer at which likeness, and how often wrongly. Changes nothing."""
    found = platform.caching.measure(domain, dataset, model=model)
    return {"domain": domain, "dataset": dataset, "model": model, "thresholds": [asdict(each) for each in found]}


@router.delete("/{domain}/similar")
def exact(
    domain: DomainId, platform: Platform = Depends(platform_of), actor: Actor = Depends(actor_of)
) -> dict[str, Any]:
    """Give kept answers to the same question only."""
    return asdict(platform.caching.exact(domain, actor))
