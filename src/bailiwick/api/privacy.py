"""Privacy budgets and report cards over REST."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr

from bailiwick.api.app import actor_of, platform_of
from bailiwick.errors import NotFound
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.documents import parse_settings
from bailiwick.privacy.terms import Adjacency

router = APIRouter(prefix="/v1/privacy", tags=["privacy"])

_NAME = r"^[^/\x00]{1,200}$"
Name = Annotated[str, Path(pattern=_NAME)]
Domain = Annotated[str | None, Query(pattern=_NAME, description="a domain's share instead of the global account")]
Column = Annotated[str, Field(pattern=_NAME)]
Amount = Annotated[StrictStr | StrictInt | StrictFloat, Field(description="exact as text, such as '0.1'")]


class SettingsBody(BaseModel):
    """The terms that releases have; public knowledge only."""

    model_config = ConfigDict(extra="forbid")

    contribution_cap: int | None = Field(None, ge=1, description="rows of one unit used at most")
    bounds: dict[Column, tuple[float, float]] = Field(default_factory=dict, max_length=1_000)
    categories: dict[Column, list[Annotated[str, Field(max_length=1_000)]]] = Field(
        default_factory=dict, max_length=1_000
    )
    level: str | None = Field(None, description="low, medium or high: what a release costs that names no epsilon")
    default_epsilon: Amount | None = Field(None, description="instead of a level")
    default_delta: Amount | None = Field(None, description="with a default epsilon; default: 0")


class BudgetBody(BaseModel):
    """A new budget. Everything but its settings is fixed for good."""

    model_config = ConfigDict(extra="forbid")

    namespace: Column
    lineage: Column
    domain: Annotated[str, Field(pattern=_NAME)] | None = None
    column: Column | None = Field(None, description="names the unit; default for a domain: the global account's")
    epsilon: Amount | None = None
    delta: Amount = 0
    rho: Amount | None = None
    adjacency: Adjacency | None = Field(None, description="default: add-remove")
    reset_days: int | None = Field(None, ge=1, le=36_500)
    settings: SettingsBody | None = None


@router.get("/budgets")
def budgets(domain: Domain = None, platform: Platform = Depends(platform_of)) -> list[dict[str, Any]]:
    """Every budget, or one domain's: used, held, remaining, and how many entries."""
    return platform.privacy.statistics(domain=domain)


@router.post("/budgets", status_code=201)
def create_budget(
    body: BudgetBody, platform: Platform = Depends(platform_of), actor: Actor = Depends(actor_of)
) -> dict[str, Any]:
    """Create a budget; the same data under a second name or namespace is refused (409)."""
    key = AccountKey(body.namespace, body.lineage, body.domain or "")
    platform.privacy.create_budget(
        key,
        column=body.column,
        epsilon=body.epsilon,
        delta=body.delta,
        rho=body.rho,
        adjacency=body.adjacency,
        reset_days=body.reset_days,
        settings=parse_settings(body.settings.model_dump()) if body.settings else None,
        actor=actor,
    )
    return platform.privacy.describe(key)


@router.get("/budgets/{namespace}/{lineage}")
def budget(
    namespace: Name,
    lineage: Name,
    domain: Domain = None,
    entries: Annotated[int, Query(ge=0, le=10_000)] = 20,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """One budget, recomputed from its entries with every hash checked, and its newest entries."""
    key = AccountKey(namespace, lineage, domain or "")
    ledger = platform.privacy.ledger
    ledger.recompute(key)
    history = ledger.entries(key, newest=entries) if entries else []
    return {**platform.privacy.describe(key), "verified": True, "history": history}


@router.put("/budgets/{namespace}/{lineage}/settings")
def set_settings(
    namespace: Name,
    lineage: Name,
    body: SettingsBody,
    domain: Domain = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Replace the terms of a budget; once it was charged, all but its price is fixed (409)."""
    key = AccountKey(namespace, lineage, domain or "")
    platform.privacy.set_settings(key, parse_settings(body.model_dump()), actor)
    return platform.privacy.describe(key)


@router.get("/releases")
def releases(
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50, platform: Platform = Depends(platform_of)
) -> list[dict[str, Any]]:
    """Report cards, newest first."""
    return [dict(release.card) for release in platform.privacy.ledger.releases(limit=limit)]


@router.get("/releases/{charge}")
def release(
    charge: Annotated[str, Path(pattern=r"^[a-zA-Z0-9-]{1,64}$")], platform: Platform = Depends(platform_of)
) -> dict[str, Any]:
    """One release: its report card and its output, exactly as first given."""
    ledger = platform.privacy.ledger
    found = ledger.released(ledger.charge(charge))
    if found is None:
        raise NotFound(f"the charge {charge!r} has released nothing", what="charge", requested=charge)
    return {"card": found.card, "output": found.output}
