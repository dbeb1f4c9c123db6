"""The fleet's holdout over REST: the share of all users that takes part in no experiment."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.api.traffic import Reason, because
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.traffic.weights import parse_percent

router = APIRouter(prefix="/v1/holdout", tags=["experiments"])


class HoldoutRequest(BaseModel):
    """A new share."""

    model_config = ConfigDict(extra="forbid")

    share: float = Field(ge=0, lt=100, allow_inf_nan=False, description="percent of all users; 0 ends it")
    reason: Reason = None


@router.get("")
def holdout(platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """Who takes part in no experiment."""
    return {"share": platform.traffic.holdout().slots / 100}


@router.put("")
def set_holdout(
    body: HoldoutRequest, platform: Platform = Depends(platform_of), actor: Actor = Depends(actor_of)
) -> dict[str, Any]:
    """Keep a share of all users out of every experiment. Those of a smaller holdout are among those of a larger one."""
    slots = parse_percent(str(body.share))
    with platform.traffic.changing() as connection:
        made = platform.traffic.set_holdout(connection, slots, actor=because(actor, body.reason))
    return {"share": made.slots / 100}
