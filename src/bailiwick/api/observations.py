"""Observations from outside: what an application measured of a version itself."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt

from bailiwick.api.app import platform_of
from bailiwick.api.instants import Instant
from bailiwick.api.traffic import VersionId
from bailiwick.platform import Platform

router = APIRouter(prefix="/v1/observations", tags=["metrics"])

MOST = 10_000


class ObservationBody(BaseModel):
    """One number about one version."""

    model_config = ConfigDict(extra="forbid")

    domain: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
    version: VersionId
    metric: Annotated[str, Field(pattern=r"^[^\x00-\x1f]{1,200}$", description="with its unit, such as latency_ms")]
    value: Annotated[StrictBool | StrictInt | StrictFloat, Field(description="finite; true and false count as 1 and 0")]
    at: Instant | None = Field(None, description="default: now; not older than the store keeps minutes")
    arm: Annotated[str, Field(max_length=200)] = ""


class BulkBody(BaseModel):
    """Many of them."""

    model_config = ConfigDict(extra="forbid")

    observations: list[ObservationBody] = Field(min_length=1, max_length=MOST)


@router.post("", status_code=202)
def observe(body: ObservationBody | BulkBody, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """Take one observation, or up to 10,000 in ``observations``.

    They are in the database about a second later. ``dropped`` counts what the queue had no room for: send it again
    later. ``refused`` lists what can be in no rollup, by its place, with the reason.
    """
    listed = body.observations if isinstance(body, BulkBody) else [body]
    refused: list[dict[str, Any]] = []
    accepted = 0
    for place, each in enumerate(listed):
        at = each.at or platform.clock.now()
        reason = platform.metrics.reason_to_refuse(each.domain, each.version, each.metric, each.value, each.arm, at)
        if reason is not None:
            refused.append({"place": place, "reason": reason})
        else:
            accepted += platform.metrics.record(each.domain, each.version, each.metric, each.value, arm=each.arm, at=at)
    return {"accepted": accepted, "dropped": len(listed) - len(refused) - accepted, "refused": refused}
