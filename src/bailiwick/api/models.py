"""REST: model versions and their evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.evaluation.model import Evaluation
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.registry.model import ModelVersion

# Not /v1/models: that is the gateway's list of models in the OpenAI format.
router = APIRouter(prefix="/v1/versions", tags=["models"])


class EvaluationRequest(BaseModel):
    """What to measure on."""

    model_config = ConfigDict(extra="forbid")

    dataset: str | None = Field(None, max_length=100, description="default: the one the version was trained on")


@router.get("")
def list_versions(
    platform: Annotated[Platform, Depends(platform_of)], domain: str | None = None
) -> Sequence[ModelVersion]:
    """Versions, newest first."""
    return platform.registry.list(domain)


@router.get("/{version}")
def get_version(version: str, platform: Annotated[Platform, Depends(platform_of)]) -> ModelVersion:
    """A version with its latest metrics."""
    return platform.registry.get(version)


@router.get("/{version}/evaluations")
def list_evaluations(version: str, platform: Annotated[Platform, Depends(platform_of)]) -> Sequence[Evaluation]:
    """Evaluations of a version, newest first."""
    platform.registry.get(version)
    return platform.evaluation.list(version)


@router.post("/{version}/evaluations", status_code=201)
def evaluate(
    version: str,
    request: EvaluationRequest,
    platform: Annotated[Platform, Depends(platform_of)],
    actor: Annotated[Actor, Depends(actor_of)],
) -> Evaluation:
    """Measure a version on test rows that it never learned from."""
    return platform.evaluation.evaluate(version, actor=actor, dataset=request.dataset)


@router.get("/{version}/comparison")
def compare(
    version: str, baseline: str, platform: Annotated[Platform, Depends(platform_of)], dataset: str | None = None
) -> dict[str, Any]:
    """A version against a baseline on the same test rows."""
    made = platform.evaluation.compare(baseline, version, dataset)
    return {**asdict(made), "verdict": made.verdict}
