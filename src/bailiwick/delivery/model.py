"""The nouns of delivery: a gate's verdict, a deployment, and what a rollback did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bailiwick.registry.model import ModelVersion
from bailiwick.traffic.model import TrafficPlan


class DeploymentStatus(StrEnum):
    """Where a deployment stands. ``deployed`` and ``promoted`` serve; the others do not."""

    HELD = "held"  # a gate did not pass; traffic was not touched
    DEPLOYED = "deployed"  # takes its share of the traffic
    PROMOTED = "promoted"  # won the whole traffic by a promotion
    REPLACED = "replaced"  # gave its traffic to another version
    ROLLED_BACK = "rolled_back"  # was taken out by a rollback


@dataclass(frozen=True, slots=True)
class GateResult:
    """What one gate says.

    Args:
        name: of the metric, as evaluation records it.
        measured: None when the metric is missing or not a finite number.
        limit: what it is held against.
        passed: whether deployment is allowed as far as this gate is concerned.
        reason: in words.
    """

    name: str
    measured: float | None
    limit: float
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gates say about a version, before anything is done."""

    version: ModelVersion
    gates: tuple[GateResult, ...]

    @property
    def passed(self) -> bool:
        """Every gate passed."""
        return all(gate.passed for gate in self.gates)

    @property
    def reason(self) -> str:
        """In one line: what failed and why, or that everything passed."""
        failed = [gate.reason for gate in self.gates if not gate.passed]
        return "; ".join(failed) if failed else "every gate passed"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One attempt to put a version into service, and what became of it.

    Args:
        previous: the version with the most traffic before; None for the first.
        share: basis points that were asked for.
        gates: as judged when it was attempted.
        forced: deployed although a gate did not pass.
        plan_revision: of the traffic plan that it made; None when held.
        at, actor, reason: of the attempt.
        changed_at, changed_by: of the present status.
    """

    id: str
    domain: str
    version: str
    previous: str | None
    status: DeploymentStatus
    share: int
    gates: tuple[GateResult, ...]
    forced: bool
    plan_revision: int | None
    at: datetime
    actor: str
    reason: str | None
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class Rollback:
    """What a rollback did.

    Args:
        removed: versions that served and no longer do.
        restored_revision: the earlier revision of the plan whose assignment is back.
        plan: now in force.
    """

    domain: str
    removed: Sequence[str]
    restored_revision: int
    plan: TrafficPlan
