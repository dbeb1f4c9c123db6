"""What a domain asks of a deployment, in one environment: limits, who must agree, when to take it back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from bailiwick.delivery.degradation import RollbackEvidence, Tolerances
from bailiwick.delivery.freeze_text import parse_freeze
from bailiwick.delivery.rollout.freeze import FreezeWindow
from bailiwick.domains.model import Thresholds
from bailiwick.errors import InvalidInput

_DAY_S = 86_400.0
_YEAR_S = 366 * _DAY_S
_MOST_FREEZES = 50
LONGEST_GUARD_S = 7 * _DAY_S
"""A deployment that is older is never taken back by itself."""

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, le=_YEAR_S, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x20-\x7e]*$")]


class OnInconclusive(StrEnum):
    """What a gate does that cannot tell."""

    HOLD = "hold"
    PASS = "pass"  # noqa: S105 - a verdict, no password


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """Everything that can be set, flat. The defaults are those of a domain for which nothing was set.

    Args:
        min_accuracy: on the test rows, 0 to 1. None, here and for the next three: the domain's own threshold.
        max_latency_p95_ms: of the evaluation, in milliseconds.
        max_training_loss: in nats.
        max_validation_loss: in nats.
        max_error_rate: of the version's own recent live requests, 0 to 1; None: not asked.
        live_window_s: what counts as recent, in seconds.
        live_samples: live requests below which the error rate says nothing and its gate passes.
        max_epsilon: privacy loss that the version's card may state; a version without a claim then fails. None: not
            asked.
        regression_margin: how much accuracy (0.02: two points) may be lost against the champion, on the same test
            rows, at the bad end of the 95 % interval. None: not asked.
        regression_dataset: id or name of that test set; None: the one that the version was trained on.
        inconclusive: what becomes of a version of which the interval cannot tell.
        approvals: people who must agree before anything is deployed; 0: it is deployed by itself.
        approval_expires_s: seconds after which a request that nobody finished is void.
        automatic_rollback: whether a degraded deployment is taken back without asking.
        guard_s: how long a deployment is watched, and how much of the time before it is its baseline, in seconds.
        max_accuracy_drop: as a share of the baseline's accuracy.
        max_latency_factor: of the p95 against the baseline's.
        max_error_rise: in points of the error rate; 0.1 is ten points.
        rollback_samples: on each side, below which these three say nothing.
        rollback_evidence: which evidence takes a deployment back.
        rollback_alpha: chance that the sequential evidence ever takes back a version that is no worse.
        rollback_margin: harm that the sequential evidence must exceed, in points of accuracy or errors.
        freezes: spans in which nothing is deployed, see `freeze_text`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    min_accuracy: Share | None = None
    max_latency_p95_ms: Positive | None = None
    max_training_loss: Positive | None = None
    max_validation_loss: Positive | None = None
    max_error_rate: Share | None = None
    live_window_s: Seconds = _DAY_S
    live_samples: Annotated[int, Field(ge=1, le=10**9)] = 50
    max_epsilon: Positive | None = None
    regression_margin: Share | None = None
    regression_dataset: Text | None = None
    inconclusive: OnInconclusive = OnInconclusive.HOLD
    approvals: Annotated[int, Field(ge=0, le=10)] = 0
    approval_expires_s: Seconds = 3 * _DAY_S
    automatic_rollback: bool = True
    guard_s: Annotated[float, Field(gt=0, le=LONGEST_GUARD_S, allow_inf_nan=False)] = _DAY_S
    max_accuracy_drop: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.05
    max_latency_factor: Annotated[float, Field(gt=1, le=1e6, allow_inf_nan=False)] = 1.5
    max_error_rise: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.1
    rollback_samples: Annotated[int, Field(ge=1, le=10**9)] = 50
    rollback_evidence: RollbackEvidence = RollbackEvidence.EITHER
    rollback_alpha: Annotated[float, Field(ge=1e-6, le=0.5, allow_inf_nan=False)] = 0.01
    rollback_margin: Share = 0.01
    freezes: Annotated[tuple[Text, ...], Field(max_length=_MOST_FREEZES)] = ()

    @property
    def tolerances(self) -> Tolerances:
        """The part that degradation is judged by."""
        return Tolerances(
            accuracy_drop=self.max_accuracy_drop,
            latency_factor=self.max_latency_factor,
            error_rise=self.max_error_rise,
            samples=self.rollback_samples,
            evidence=self.rollback_evidence,
            alpha=self.rollback_alpha,
            margin=self.rollback_margin,
        )

    @property
    def windows(self) -> tuple[FreezeWindow, ...]:
        """The freezes, read."""
        return tuple(parse_freeze(text) for text in self.freezes)

    def limits(self, own: Thresholds) -> Thresholds:
        """The domain's own thresholds with what is set here in their place."""
        given = {
            "min_accuracy": self.min_accuracy,
            "max_latency_ms": self.max_latency_p95_ms,
            "max_training_loss": self.max_training_loss,
            "max_validation_loss": self.max_validation_loss,
        }
        return replace(own, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, slots=True)
class PolicyRecord:
    """One revision of a policy. Revision 0 is the default: nobody has set anything yet."""

    domain: str
    environment: str
    revision: int
    policy: GatePolicy
    at: datetime | None = None
    actor: str | None = None
    reason: str | None = None


_KEYS = {each.name for each in fields(GatePolicy)}
_adapter = TypeAdapter(GatePolicy)


def changed(policy: GatePolicy, changes: Mapping[str, Any]) -> GatePolicy:
    """A policy with some keys changed; None brings a key's default back.

    >>> changed(GatePolicy(), {"approvals": 2, "max_error_rate": 0.05}).approvals
    2

    Raises:
        InvalidInput: a key is unknown, or a value of the wrong type or out of bounds.
    """
    unknown = sorted(changes.keys() - _KEYS)
    if unknown:
        raise InvalidInput(
            f"a gate policy has no {unknown[0]!r}", what="policy", requested=unknown[0], allowed=sorted(_KEYS)
        )
    kept = {name: value for name, value in asdict(policy).items() if name not in changes}
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        made = _adapter.validate_python({**kept, **given})
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        raise InvalidInput(
            f"{key} {str(first.get('input'))[:80]!r}: {first['msg']}", what=key, requested=str(first.get("input"))[:200]
        ) from error
    if len({window.name for window in made.windows}) < len(made.freezes):
        raise InvalidInput("two freezes have the same name", what="freezes", requested=list(made.freezes))
    return made


def policy_document(record: PolicyRecord) -> dict[str, Any]:
    """A revision as JSON: what is set, and since when by whom."""
    return {
        "domain": record.domain,
        "environment": record.environment,
        "revision": record.revision,
        "policy": asdict(record.policy),
        "at": record.at,
        "actor": record.actor,
        "reason": record.reason,
    }
