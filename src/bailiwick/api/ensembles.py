"""REST: ensembles, which are versions; see also ``/v1/versions``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.datasets.model import Split
from bailiwick.evaluation.ensembles import report_document
from bailiwick.governance.audit import Actor
from bailiwick.models.ensemble.selection import Limits
from bailiwick.models.ensemble.spec import MOST_MEMBERS, MemberSpec, Strategy, parse_member
from bailiwick.platform import Platform
from bailiwick.registry.model import ModelVersion
from bailiwick.training.ensembles import LARGEST_LOSS, Terms

router = APIRouter(prefix="/v1/ensembles", tags=["ensembles"])

_Number = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


class MemberRequest(BaseModel):
    """One member."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200, description="domain@version, or a domain: whatever it serves")
    cost: _Number = Field(0.0, description="of 1,000 tokens, in any unit")
    threshold: _Number | None = Field(None, description="of a cascade that is not fitted")
    latency_ms: _Number | None = Field(None, description="p95, until it has been observed")

    def spec(self) -> MemberSpec:
        """The member."""
        found = parse_member(self.name)
        return replace(found, cost=self.cost, threshold=self.threshold, latency_ms=self.latency_ms)


class EnsembleRequest(BaseModel):
    """An ensemble to register."""

    model_config = ConfigDict(extra="forbid")

    domain: str = Field(max_length=64)
    members: list[MemberRequest] = Field(min_length=1, max_length=MOST_MEMBERS)
    strategy: Strategy
    quorum: int | None = Field(None, ge=1, le=MOST_MEMBERS)
    deadline_ms: _Number = 10_000.0
    slow_ms: _Number | None = None
    judge: MemberRequest | None = None
    cost_weight: _Number = 0.0
    dataset: str | None = Field(None, max_length=100, description="learn from its held-out rows")
    split: Split = Split.VALIDATION
    max_loss: _Number = LARGEST_LOSS

    def terms(self) -> Terms:
        """How it asks."""
        judge = None if self.judge is None else self.judge.spec()
        return Terms(self.quorum, self.deadline_ms, self.slow_ms, judge, self.cost_weight)


class EvaluationRequest(BaseModel):
    """What to measure on."""

    model_config = ConfigDict(extra="forbid")

    dataset: str | None = Field(None, max_length=100, description="default: the one that it was fitted on")


class ExplanationRequest(BaseModel):
    """A query, and what its answer may cost and take."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=100_000)
    max_cost: _Number | None = None
    max_latency_ms: _Number | None = None


@router.post("", status_code=201)
def create(
    request: EnsembleRequest,
    platform: Annotated[Platform, Depends(platform_of)],
    actor: Annotated[Actor, Depends(actor_of)],
) -> ModelVersion:
    """Register an ensemble; with ``dataset`` it is fitted on held-out rows first."""
    members = [member.spec() for member in request.members]
    if request.dataset is None:
        return platform.ensembles.create(request.domain, members, request.strategy, actor=actor, terms=request.terms())
    return platform.ensembles.fit(
        request.domain,
        members,
        request.strategy,
        request.dataset,
        actor=actor,
        split=request.split,
        largest_loss=request.max_loss,
        terms=request.terms(),
    )


@router.get("")
def list_ensembles(
    platform: Annotated[Platform, Depends(platform_of)], domain: str | None = None
) -> Sequence[ModelVersion]:
    """Ensembles, newest first."""
    return platform.ensembles.list(domain)


@router.get("/{version}")
def get_ensemble(version: str, platform: Annotated[Platform, Depends(platform_of)]) -> dict[str, Any]:
    """An ensemble with its members and what was learned of them."""
    found, model = platform.ensembles.get(version)
    return {"version": asdict(found), "spec": asdict(model.spec)}


@router.post("/{version}/evaluations", status_code=201)
def evaluate(
    version: str,
    request: EvaluationRequest,
    platform: Annotated[Platform, Depends(platform_of)],
    actor: Annotated[Actor, Depends(actor_of)],
) -> dict[str, Any]:
    """Measure an ensemble on untouched test rows, against its members."""
    return report_document(platform.ensemble_evaluation.evaluate(version, actor=actor, dataset=request.dataset))


@router.post("/{version}/explanation")
def explain(
    version: str, request: ExplanationRequest, platform: Annotated[Platform, Depends(platform_of)]
) -> dict[str, Any]:
    """How an ensemble comes to its label for one text."""
    limits = Limits(request.max_cost, request.max_latency_ms)
    return asdict(platform.ensemble_evaluation.explain(version, request.text, limits))
