"""REST: releases of private statistics and metrics."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr

from bailiwick.api.app import actor_of, platform_of
from bailiwick.datasets.private_questions import Settings, Statistic
from bailiwick.datasets.private_statistics import Asked
from bailiwick.errors import InvalidInput
from bailiwick.evaluation.private_metrics import PrivateMetric
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.privacy.costs import Cost, Level
from bailiwick.privacy.releases import Release

router = APIRouter(prefix="/v1/privacy", tags=["privacy"])

_Amount = StrictStr | StrictInt | StrictFloat
_Name = Annotated[str, Field(min_length=1, max_length=200)]


class Budget(BaseModel):
    """What a release may cost: an epsilon with its delta, or a level; else the default of the account's settings."""

    model_config = ConfigDict(extra="forbid")

    epsilon: _Amount | None = None
    delta: _Amount = 0
    level: Level | None = None

    def cost(self) -> Cost | None:
        """As a cost.

        Raises:
            InvalidInput: both an epsilon and a level, a delta without an epsilon, or an amount that cannot be counted.
        """
        if self.epsilon is None and self.delta not in (0, "0"):
            raise InvalidInput("a delta goes with an epsilon", what="delta", requested=self.delta)
        if self.epsilon is not None and self.level is not None:
            raise InvalidInput("state an epsilon or a level, not both", what="epsilon")
        if self.epsilon is not None:
            return Cost.of(self.epsilon, self.delta)
        return self.level.cost if self.level is not None else None


class StatisticsRequest(Budget):
    """Statistics of a data set."""

    dataset: _Name
    statistics: list[Statistic] = Field(min_length=1, max_length=20)
    namespace: _Name
    domain: _Name | None = None
    words_per_unit: int = Field(default=Settings().words_per_unit, ge=1, le=10_000)
    top: int = Field(default=Settings().top, ge=1, le=10_000)
    idempotency_key: _Name | None = None

    def asked(self) -> Asked:
        """As the service takes it."""
        settings = Settings(self.words_per_unit, self.top)
        return Asked(self.dataset, tuple(self.statistics), self.namespace, self.domain, self.cost(), settings)


class MetricsRequest(Budget):
    """Metrics of a model version on private test rows."""

    version: _Name
    metrics: list[PrivateMetric] = Field(min_length=1, max_length=10)
    namespace: _Name
    dataset: _Name | None = None
    idempotency_key: _Name | None = None


@router.post("/releases", status_code=201)
def release_statistics(
    body: StatisticsRequest,
    platform: Annotated[Platform, Depends(platform_of)],
    actor: Annotated[Actor, Depends(actor_of)],
) -> dict[str, Any]:
    """Charge for statistics and release them with their report card."""
    found = platform.private_statistics.release(body.asked(), actor=actor, idempotency_key=body.idempotency_key)
    return _released(found)


@router.post("/metric-releases", status_code=201)
def release_metrics(
    body: MetricsRequest,
    platform: Annotated[Platform, Depends(platform_of)],
    actor: Annotated[Actor, Depends(actor_of)],
) -> dict[str, Any]:
    """Publish a version's metrics on private test rows."""
    found = platform.private_metrics.release(
        body.version,
        body.metrics,
        body.namespace,
        actor=actor,
        cost=body.cost(),
        dataset=body.dataset,
        idempotency_key=body.idempotency_key,
    )
    return _released(found)


def _released(found: Release) -> dict[str, Any]:
    return {"output": found.output, "card": found.card, "replayed": found.replayed}
