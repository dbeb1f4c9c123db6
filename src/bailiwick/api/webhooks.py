"""Webhooks over REST. Neither secrets (but the generated one, once) nor the paths of addresses are given out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.api.traffic import Reason, because
from bailiwick.governance.audit import Actor
from bailiwick.governance.notifications.endpoints import endpoint_document
from bailiwick.governance.notifications.model import DeliveryStatus, Format
from bailiwick.platform import Platform

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Text = Annotated[str, Field(max_length=2_000, pattern=r"^[^\x00]*$")]


class WebhookRequest(BaseModel):
    """Who shall be told of what."""

    model_config = ConfigDict(extra="forbid")

    name: Text
    url: Text = Field(description="https, on the public internet or in one of the setting webhook_networks")
    on: list[Text] = Field(min_length=1, max_length=50, description="actions: NOUN.VERB, NOUN.* or *")
    format: Format = Format.JSON
    secret_env: Annotated[Text | None, Field(description="the servers' variable with the secret; else generated")] = (
        None
    )
    reason: Reason = None


class RetryRequest(BaseModel):
    """What is sent again."""

    model_config = ConfigDict(extra="forbid")

    delivery: Annotated[Text | None, Field(description="default: every one that was given up")] = None
    reason: Reason = None


@router.get("")
def list_webhooks(platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """Every webhook, with its deliveries by status."""
    counts = platform.notifications.counts()
    found = [
        {
            **endpoint_document(each),
            "deliveries": {status: count for (name, status), count in counts.items() if name == each.name},
        }
        for each in platform.notifications.endpoints()
    ]
    return {"webhooks": found}


@router.post("", status_code=201)
def add(
    body: WebhookRequest, platform: Platform = Depends(platform_of), actor: Actor = Depends(actor_of)
) -> dict[str, Any]:
    """Tell an address of every matching change from now on. ``generated_secret`` is in this answer only."""
    added = platform.notifications.add(
        body.name,
        body.url,
        body.on,
        actor=because(actor, body.reason),
        form=body.format,
        secret_variable=body.secret_env,
    )
    return {**endpoint_document(added.endpoint), "generated_secret": added.secret}


@router.get("/{name}")
def show(name: Name, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """One webhook."""
    return endpoint_document(platform.notifications.get(name))


@router.delete("/{name}", status_code=204)
def remove(name: Name, platform: Platform = Depends(platform_of), actor: Actor = Depends(actor_of)) -> None:
    """Tell it nothing more."""
    platform.notifications.remove(name, actor=actor)


@router.post("/{name}/test")
def test(name: Name, platform: Platform = Depends(platform_of), actor: Actor = Depends(actor_of)) -> dict[str, Any]:
    """Send an event ``webhook.test`` now; ``problem`` says why it was not taken."""
    return asdict(platform.notifications.test(name, actor=actor))


@router.get("/{name}/deliveries")
def deliveries(
    name: Name,
    status: DeliveryStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """What became of each event, newest first."""
    found = platform.notifications.deliveries(name, status=status, limit=limit)
    return {"deliveries": [asdict(each) for each in found]}


@router.post("/{name}/retry")
def retry(
    name: Name,
    body: RetryRequest | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Send again what was given up."""
    asked = body or RetryRequest()
    revived = platform.notifications.retry(name, asked.delivery, actor=because(actor, asked.reason))
    return {"deliveries": revived}
