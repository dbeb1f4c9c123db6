"""The nouns of delivery: a gate's verdict, a deployment, and what a rollback did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bailiwick.delivery.policy import PolicyRecord
from bailiwick.registry.model import ModelVersion
from bailiwick.traffic.model import TrafficPlan


class DeploymentStatus(StrEnum):
    """Where a deployment stands. ``deployed`` and ``promoted`` serve; the others do not (any more, or yet)."""

    HELD = "held"  # a gate did not pass; traffic was not touched
    DEPLOYED = "deployed"  # takes its share of the traffic
    PROMOTED = "promoted"  # won the whole traffic by a promotion
    REPLACED = "replaced"  # gave its traffic to another version
    ROLLED_BACK = "rolled_back"  # was taken out by a rollback
    WAITING = "waiting"  # the gates let it pass; people have not yet
    REJECTED = "rejected"  # somebody refused it
    APPROVED = "approved"  # people have agreed that it is rolled out; nobody has begun yet
    VOIDED = "voided"  # waited too long, or what was asked to be approved has changed

    @property
    def served(self) -> bool:
        """Whether it ever got traffic."""
        return self in _SERVED


_SERVED = {
    DeploymentStatus.DEPLOYED,
    DeploymentStatus.PROMOTED,
    DeploymentStatus.REPLACED,
    DeploymentStatus.ROLLED_BACK,
}


@dataclass(frozen=True, slots=True)
class GateResult:
    """What one gate says.

    Args:
        name: of the metric, as evaluation records it.
        measured: None when the metric is missing or not a finite number.
        limit: what it is held against.
        passed: whether deployment is allowed as far as this gate is concerned.
        reason: in words.
        inconclusive: what was measured cannot tell; the policy says whether it passes all the same.
    """

    name: str
    measured: float | None
    limit: float
    passed: bool
    reason: str
    inconclusive: bool = False

    @property
    def verdict(self) -> str:
        """In one word, for tables."""
        if self.inconclusive:
            return "unsure, pass" if self.passed else "UNSURE"
        return "pass" if self.passed else "HOLD"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gates say about a version, before anything is done.

    Args:
        policy: that they were judged by.
        champion: the version in service with the most traffic then, other than this one.
    """

    version: ModelVersion
    gates: tuple[GateResult, ...]
    policy: PolicyRecord
    champion: str | None = None

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
class Approval:
    """What one person said of a deployment that waits."""

    deployment: str
    approver: str
    approved: bool
    at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """One attempt to put a version into service, and what became of it.

    Args:
        previous: the version with the most traffic before; None for the first.
        share: basis points that were asked for; 0 until the rollout that people are asked about begins.
        gates: as judged when it was attempted.
        forced: deployed although a gate did not pass.
        plan_revision: of the traffic plan that it made; None when held.
        at, actor, reason: of the attempt.
        changed_at, changed_by: of the present status.
        environment: whose gate policy was asked.
        policy_revision: of that policy; an approval holds for this one only.
        artefact_sha256: of the version's artefact then; None for an upstream model. An approval holds for this only.
        approvals_needed: people who must agree; 0: nobody was asked.
        expires_at: until when they may.
        outcome: why it is where it is, where that is more than was asked for.
        approvals: what they said, oldest first.
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
    environment: str = "production"
    policy_revision: int = 0
    artefact_sha256: str | None = None
    approvals_needed: int = 0
    expires_at: datetime | None = None
    outcome: str | None = None
    approvals: tuple[Approval, ...] = ()

    @property
    def for_rollout(self) -> bool:
        """Whether it was asked for by a rollout that has not begun: its schedule says who gets it when."""
        return self.share == 0

    @property
    def approvers(self) -> tuple[str, ...]:
        """Who agreed, oldest first."""
        return tuple(each.approver for each in self.approvals if each.approved)


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """What served a part of a domain's users at some instant, and on whose word.

    Args:
        share: in basis points.
        since: when the plan that gave it this share came into force.
        plan_revision: of that plan.
        changed_by: who made that plan.
        deployment: that put the version into service; None where the plan was not made by one.
    """

    domain: str
    version: str
    share: int
    since: datetime
    plan_revision: int
    changed_by: str
    deployment: Deployment | None


@dataclass(frozen=True, slots=True)
class RollbackEvent:
    """A rollback that happened, with both metrics where one was the reason.

    Args:
        deployment: that was taken out; None where the plan was not made by one.
        removed: versions that served and no longer do.
        restored: weights since then, in basis points.
        automatic: nobody asked for it.
        rule: that was broken (see `degradation.Finding`), ``rollout`` where a rollout was aborted, or ``by_hand``.
        metric: that broke it, with its value before or beside (``baseline``) and its own (``current``). Of a rollout
            that was aborted without evidence of harm: its first metric that was measured.
        plan_revision: of the plan that the rollback made.
    """

    id: str
    domain: str
    deployment: str | None
    removed: tuple[str, ...]
    restored: Mapping[str, int]
    automatic: bool
    rule: str
    at: datetime
    actor: str
    plan_revision: int
    metric: str | None = None
    baseline: float | None = None
    current: float | None = None
    baseline_samples: int | None = None
    samples: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Rollback:
    """What a rollback did.

    Args:
        removed: versions that served and no longer do.
        restored_revision: the earlier revision of the plan whose assignment is back.
        plan: now in force.
        paused: experiments that sent users to what was removed.
        event: its record.
    """

    domain: str
    removed: Sequence[str]
    restored_revision: int
    plan: TrafficPlan
    event: RollbackEvent
    paused: Sequence[str] = ()
