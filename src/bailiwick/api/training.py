"""REST: training runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.governance.audit import Actor
from bailiwick.models.catalogue import DEFAULT_FAMILY, DEFAULT_PRIVATE_FAMILY
from bailiwick.platform import Platform
from bailiwick.training.model import TrainingRun

router = APIRouter(prefix="/v1/training/runs", tags=["training"])


class TrainingRequest(BaseModel):
    """What to train."""

    model_config = ConfigDict(extra="forbid")

    domain: str = Field(max_length=64, description="whose model")
    dataset: str = Field(max_length=100, description="id or name of a data set")
    family: str = Field(DEFAULT_FAMILY, max_length=64)
    settings: dict[str, float | int | str | bool] = Field(default_factory=dict, description="of the family")
    seed: int | None = Field(None, ge=0, lt=2**63, description="of every random choice; default: the setting")
    start_version: str | None = Field(None, max_length=100, description="a version to fine-tune")
    evaluate: bool = Field(True, description="measure the new version on the test rows at once")


class PrivateTrainingRequest(BaseModel):
    """What to train under differential privacy."""

    model_config = ConfigDict(extra="forbid")

    domain: str = Field(max_length=64, description="whose model")
    dataset: str = Field(max_length=100, description="id or name of a data set imported with independent units")
    epsilon: str | None = Field(
        None, max_length=40, description="what it may cost, as a decimal: '4', '0.5'; default: the budget's, else 1"
    )
    delta: str | None = Field(
        None, max_length=40, description="the probability that the promise may fail; default: the budget's, else 1e-5"
    )
    family: str = Field(DEFAULT_PRIVATE_FAMILY, max_length=64)
    settings: dict[str, float | int | str | bool] = Field(default_factory=dict, description="of the family")
    namespace: str | None = Field(None, max_length=200, description="of the budget, if there are several")


@router.post("/private", status_code=201)
def train_privately(
    request: PrivateTrainingRequest,
    platform: Annotated[Platform, Depends(platform_of)],
    actor: Annotated[Actor, Depends(actor_of)],
) -> TrainingRun:
    """Charge for a private training, do it, and register the version. It is not evaluated: metrics are not private."""
    return platform.private_training.train(
        request.domain,
        request.dataset,
        actor=actor,
        epsilon=request.epsilon,
        delta=request.delta,
        family=request.family,
        settings=request.settings,
        namespace=request.namespace,
    )


@router.post("", status_code=201)
def train(
    request: TrainingRequest,
    platform: Annotated[Platform, Depends(platform_of)],
    actor: Annotated[Actor, Depends(actor_of)],
) -> TrainingRun:
    """Train and register a version; answers when that is done. Follow a run's losses with GET meanwhile."""
    run = platform.training.train(
        request.domain,
        request.dataset,
        actor=actor,
        seed=platform.settings.seed if request.seed is None else request.seed,
        family=request.family,
        settings=request.settings,
        start_version=request.start_version,
    )
    if request.evaluate and run.version:
        platform.evaluation.evaluate(run.version, actor=actor)
    return run


@router.get("")
def list_runs(platform: Annotated[Platform, Depends(platform_of)], domain: str | None = None) -> Sequence[TrainingRun]:
    """Runs, newest first."""
    return platform.training.list(domain)


@router.get("/{run}")
def get_run(run: str, platform: Annotated[Platform, Depends(platform_of)]) -> TrainingRun:
    """A run with the losses so far."""
    return platform.training.get(run)
