"""Experiments over REST. Weights are percentages here, basis points inside."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.api.traffic import Reason, Revision, because
from bailiwick.experiments.document import ID, ArmBody, DesignBody, Name, design_of, experiment_document
from bailiwick.experiments.export import export_lines
from bailiwick.experiments.model import Experiment, State, Verdict
from bailiwick.experiments.report import plain, report_document
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.traffic.model import Arm
from bailiwick.traffic.weights import parse_percent

router = APIRouter(prefix="/v1/experiments", tags=["experiments"])

ExperimentId = Annotated[str, Path(pattern=ID)]
_DOMAIN = r"^[a-z][a-z0-9_-]{0,63}$"


class _Change(BaseModel):
    """What every change may say."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason = None
    revision: Revision = None


class CreateRequest(DesignBody):
    """A design, and whether to create it against the power check."""

    force: bool = Field(False, description="create it although it cannot be answered in its time; needs a reason")
    reason: Reason = None


class WeightsRequest(_Change):
    """New shares of the arms."""

    weights: dict[Name, float] = Field(min_length=1, max_length=100, description="percent by arm, summing to 100")


class AddArmRequest(_Change):
    """One more arm."""

    arm: ArmBody


class OverrideRequest(_Change):
    """A tester and the arm to see; null: where chance puts the tester."""

    unit: str = Field(min_length=1, max_length=512)
    arm: Name | None


class ConcludeRequest(_Change):
    """How to end it: as the rule says where nothing is given."""

    winner: Name | None = None
    verdict: Verdict | None = None
    deploy: Annotated[bool | None, Field(description="deploy the winner through the gates; default: as designed")] = (
        None
    )


@router.post("", status_code=201)
def create(
    body: CreateRequest, platform: Platform = Depends(platform_of), actor: Actor = Depends(actor_of)
) -> dict[str, Any]:
    """Create an experiment, if it makes sense and can be answered in its time. It does not start by this."""
    made = platform.experiments.create(design_of(body), actor=because(actor, body.reason), force=body.force)
    return _document(made)


@router.post("/power")
def power(body: DesignBody, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """How many units and how long a design needs, changing nothing; null where there is no history to tell from."""
    check = platform.experiments.power(design_of(body))
    return {"power": plain(asdict(check)) if check else None}


@router.get("")
def list_experiments(
    domain: Annotated[str | None, Query(pattern=_DOMAIN)] = None,
    state: Annotated[list[State] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    platform: Platform = Depends(platform_of),
) -> dict[str, Any]:
    """Experiments, newest first."""
    found = platform.experiments.list(domain, state or (), limit=limit)
    return {"experiments": [_document(each) for each in found]}


@router.get("/{id}")
def one(id: ExperimentId, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """One experiment, without its results."""
    return _document(platform.experiments.get(id))


@router.get("/{id}/results")
def results(id: ExperimentId, platform: Platform = Depends(platform_of)) -> dict[str, Any]:
    """What is known now, and what should be done. To be asked as often as one likes."""
    return report_document(platform.experiment_analyst.report(id))


@router.get("/{id}/events")
def events(
    id: ExperimentId, format: Literal["jsonl", "csv"] = "jsonl", platform: Platform = Depends(platform_of)
) -> StreamingResponse:
    """The whole log of exposures and outcomes as a stream, oldest first; units are keyed digests."""
    lines = export_lines(platform.experiment_analyst.events(id), format)
    return StreamingResponse(lines, media_type="application/x-ndjson" if format == "jsonl" else "text/csv")


@router.post("/{id}/start")
def start(
    id: ExperimentId,
    body: _Change | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Expose the first units."""
    asked = body or _Change()
    return _document(platform.experiments.start(id, actor=because(actor, asked.reason), revision=asked.revision))


@router.post("/{id}/pause")
def pause(
    id: ExperimentId,
    body: _Change | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Expose nobody for now."""
    asked = body or _Change()
    return _document(platform.experiments.pause(id, actor=because(actor, asked.reason), revision=asked.revision))


@router.post("/{id}/resume")
def resume(
    id: ExperimentId,
    body: _Change | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Go on with the same units in the same arms."""
    asked = body or _Change()
    return _document(platform.experiments.resume(id, actor=because(actor, asked.reason), revision=asked.revision))


@router.put("/{id}/weights")
def weights(
    id: ExperimentId,
    body: WeightsRequest,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Give the arms new shares. Opens an epoch."""
    wanted = {name: parse_percent(str(share)) for name, share in body.weights.items()}
    made = platform.experiments.reweight(id, wanted, actor=because(actor, body.reason), revision=body.revision)
    return _document(made)


@router.post("/{id}/arms", status_code=201)
def add_arm(
    id: ExperimentId,
    body: AddArmRequest,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Let one more arm take part. Opens an epoch."""
    arm, share = body.arm, body.arm.weight
    made = platform.experiments.add_arm(
        id,
        Arm(arm.name, arm.version, dict(arm.parameters)),
        None if share is None else parse_percent(str(share)),
        actor=because(actor, body.reason),
        revision=body.revision,
    )
    return _document(made)


@router.delete("/{id}/arms/{arm}")
def drop_arm(
    id: ExperimentId,
    arm: Annotated[str, Path(pattern=r"^[A-Za-z][A-Za-z0-9._-]{0,63}$")],
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Let an arm take part no longer. Opens an epoch."""
    return _document(platform.experiments.drop_arm(id, arm, actor=actor))


@router.put("/{id}/overrides")
def override(
    id: ExperimentId,
    body: OverrideRequest,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Put a tester into an arm."""
    made = platform.experiments.override(
        id, body.unit, body.arm, actor=because(actor, body.reason), revision=body.revision
    )
    return _document(made)


@router.post("/{id}/conclude")
def conclude(
    id: ExperimentId,
    body: ConcludeRequest | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """End it, by its rule or by hand; where wanted, deploy the winner through the gates."""
    asked = body or ConcludeRequest()
    made = platform.experiment_keeper.conclude(
        id,
        actor=because(actor, asked.reason),
        winner=asked.winner,
        verdict=asked.verdict,
        deploy=asked.deploy,
        revision=asked.revision,
    )
    return _document(made)


@router.post("/{id}/deploy")
def deploy(
    id: ExperimentId, platform: Platform = Depends(platform_of), actor: Actor = Depends(actor_of)
) -> dict[str, Any]:
    """Deploy the winner of a concluded experiment through the gates."""
    return _document(platform.experiment_keeper.deploy(id, actor=actor))


@router.post("/{id}/archive")
def archive(
    id: ExperimentId,
    body: _Change | None = None,
    platform: Platform = Depends(platform_of),
    actor: Actor = Depends(actor_of),
) -> dict[str, Any]:
    """Put it out of sight."""
    asked = body or _Change()
    return _document(platform.experiments.archive(id, actor=because(actor, asked.reason), revision=asked.revision))


def _document(experiment: Experiment) -> dict[str, Any]:
    made: dict[str, Any] = plain(experiment_document(experiment))
    return made
