"""REST: what private statistics, a private training, or metrics would cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from bailiwick.api.app import platform_of
from bailiwick.api.privacy_releases import MetricsRequest, StatisticsRequest
from bailiwick.api.training import PrivateTrainingRequest
from bailiwick.errors import InvalidInput
from bailiwick.platform import Platform
from bailiwick.privacy.costs import Level
from bailiwick.privacy.mechanisms.model import ExpectedError
from bailiwick.privacy.quotes import Quote, quote_document
from bailiwick.privacy.releases import ReleasePlan

router = APIRouter(prefix="/v1/privacy", tags=["privacy"])


class TrainingPlanRequest(PrivateTrainingRequest):
    """A private training, as it would be asked for."""

    level: Level | None = Field(None, description="instead of an epsilon")

    def amounts(self) -> dict[str, str | float | None]:
        """Epsilon and delta as the service takes them.

        Raises:
            InvalidInput: both an epsilon and a level.
        """
        if self.level is None:
            return {"epsilon": self.epsilon, "delta": self.delta}
        if self.epsilon is not None:
            raise InvalidInput("state an epsilon or a level, not both", what="epsilon")
        return {
            "epsilon": self.level.cost.epsilon,
            "delta": self.level.cost.delta if self.delta is None else self.delta,
        }


def _kind(body: Any) -> str:
    """Which plan a body asks for: metrics name a version, statistics are named, and what is left is a training."""
    names = body if isinstance(body, Mapping) else {}
    if "version" in names or "metrics" in names:
        return "metrics"
    return "statistics" if "statistics" in names or "domain" not in names else "training"


PlanRequest = Annotated[
    Annotated[StatisticsRequest, Tag("statistics")]
    | Annotated[TrainingPlanRequest, Tag("training")]
    | Annotated[MetricsRequest, Tag("metrics")],
    Discriminator(_kind),
]


class Repeated(BaseModel):
    """Epsilon by accounting method when a fixed plan runs so often; null where a method does not apply."""

    times: int
    delta: float
    epsilon: dict[str, float | None]


class Amounts(BaseModel):
    """Exact decimals, in the account's own currency."""

    amount: str
    delta: str


class PaymentView(BaseModel):
    """What one account would pay; ``afterwards`` is null where it does not hold the request, which would be refused."""

    account: str
    currency: str
    requested: Amounts
    remaining: Amounts
    afterwards: Amounts | None


class TrainingView(BaseModel):
    """What a training would do, with what can be expected of it; see `privacy.training.PrivateTrainingPlan`."""

    model_config = ConfigDict(extra="forbid")

    sample_rate: float
    steps: int
    noise_multiplier: float
    clip: float
    contribution_cap: int
    delta: float
    batch_divisor: float | None
    count_noise: float | None
    signal: float
    units_to_stand_out: int


class PlanView(BaseModel):
    """What it would cost, who would pay, and how exact it would be."""

    dataset: str
    accounts: list[str]
    cost: str
    epsilon: str
    delta: str
    rho: str
    payments: list[PaymentView]
    plan: ReleasePlan
    errors: list[ExpectedError]
    repeated: list[Repeated]
    training: TrainingView | None


@router.post("/plans")
def plan(body: PlanRequest, platform: Annotated[Platform, Depends(platform_of)]) -> PlanView:
    """What would it cost? The body is that of the release, or of the private training. Nothing is charged or read."""
    return _view(_quote(body, platform))


def _quote(body: StatisticsRequest | TrainingPlanRequest | MetricsRequest, platform: Platform) -> Quote:
    if isinstance(body, StatisticsRequest):
        return platform.private_statistics.quote(body.asked())
    if isinstance(body, MetricsRequest):
        return platform.private_metrics.quote(
            body.version, body.metrics, body.namespace, cost=body.cost(), dataset=body.dataset
        )
    amounts = body.amounts()
    return platform.private_training.quote(
        body.domain,
        body.dataset,
        epsilon=amounts["epsilon"],
        delta=amounts["delta"],
        family=body.family,
        settings=body.settings,
        namespace=body.namespace,
    )


def _view(quote: Quote) -> PlanView:
    repeated = [
        Repeated(
            times=row.times,
            delta=row.delta,
            epsilon={name: value if math.isfinite(value) else None for name, value in row.epsilon.items()},
        )
        for row in quote.repeated
    ]
    return PlanView(**{**quote_document(quote), "repeated": repeated, "errors": list(quote.errors)})
