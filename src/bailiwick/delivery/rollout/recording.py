"""Writes one move of a rollout: its row, the transition, the traffic plan, the deployments and the audit entry.

All of it in the caller's transaction, so that none is ever there without the others. Two who want to move the same
rollout cannot both: the row version is compared and swapped, and so is the revision of the plan. A controller that
lost its lease and does not know it is refused by the fence.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.delivery.degradation import Finding
from bailiwick.delivery.model import DeploymentStatus
from bailiwick.delivery.rollout import store
from bailiwick.delivery.rollout.decide import telling
from bailiwick.delivery.rollout.freeze import FreezeWindow
from bailiwick.delivery.rollout.model import EpochWeights, Rollout, RolloutState, Transition
from bailiwick.delivery.rollout.moves import superseded
from bailiwick.errors import Conflict
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.traffic.comparison import compared
from bailiwick.traffic.model import SLOTS, Comparison, TrafficPlan
from bailiwick.traffic.service import TrafficService

if TYPE_CHECKING:
    from bailiwick.delivery.service import DeliveryService


class RolloutRecorder:
    """The only writer of rollouts that are under way.

    Args:
        audit: gets an entry with each move.
        clock: for the instants.
        traffic: whose plans the rollouts move.
        delivery: whose deployments say what became of the versions.
    """

    def __init__(self, audit: AuditTrail, clock: Clock, traffic: TrafficService, delivery: DeliveryService) -> None:
        self._audit = audit
        self._clock = clock
        self._traffic = traffic
        self._delivery = delivery

    def freezes(self, domain: str) -> tuple[FreezeWindow, ...]:
        """In which nothing of the domain may get more traffic, as its gate policy says now."""
        return self._delivery.policies.freezes(domain)

    def begin(self, connection: Connection, rollout: Rollout, actor: Actor, *, forced: bool) -> Rollout:
        """Write a new rollout with its first plan; ``plan_revision`` is filled in.

        Args:
            connection: of `TrafficService.changing`.
            rollout: whose ``base_revision`` is that of the plan in force.
            actor: who starts it.
            forced: although a gate did not pass.

        Raises:
            Conflict: the plan has changed since.
        """
        plan, epochs = self._plan(connection, None, rollout, actor)
        begun = replace(rollout, plan_revision=plan.revision, epochs=epochs)
        store.add(connection, begun)
        self._record(connection, None, begun, "start", actor, forced=forced, fence=None)
        return begun

    def write(
        self,
        connection: Connection,
        before: Rollout,
        after: Rollout,
        action: str,
        actor: Actor,
        *,
        forced: bool = False,
        fence: int | None = None,
    ) -> Rollout:
        """Write the next state of a rollout, with all that belongs to it.

        Args:
            connection: of `TrafficService.changing`.
            before: as it was read.
            after: as it shall be; row version, plan, epochs and fence are filled in.
            action: as `Transition.action`.
            actor: who does it, and why.
            forced: without the evidence.
            fence: lease epoch of a controller; None for a person.

        Raises:
            Conflict: somebody moved the rollout or the plan since ``before`` was read, or the fence is old.
        """
        plan, revision, epochs = None, before.plan_revision, before.epochs
        if after.weight != before.weight or after.state.is_final:
            plan, epochs = self._plan(connection, before, after, actor)
            revision = plan.revision
        written = replace(
            after,
            row_version=before.row_version + 1,
            plan_revision=revision,
            epochs=epochs,
            fence=before.fence if fence is None else fence,
        )
        if not store.save(connection, written, fence=fence):
            raise Conflict(
                f"somebody else has moved the rollout {before.id!r} since version {before.row_version}",
                what="rollout",
                requested=before.row_version,
                remedy="look at it as it is now, and decide again",
            )
        if after.state in {RolloutState.ABORTED, RolloutState.SUCCEEDED}:
            won = after.state is RolloutState.SUCCEEDED
            self._delivery.for_rollouts.conclude(
                connection,
                after.domain,
                leaving=after.baseline if won else after.version,
                status=DeploymentStatus.REPLACED if won else DeploymentStatus.ROLLED_BACK,
                promoted=after.version if won else None,
                actor=actor,
            )
        if plan is not None and after.state is RolloutState.ABORTED:
            self._delivery.for_rollouts.record_abort(
                connection,
                plan,
                after.version,
                after.deployment,
                actor,
                automatic=fence is not None,
                finding=finding_of(after),
            )
        self._record(connection, before, written, action, actor, forced=forced, fence=fence)
        return written

    def end_superseded(
        self, connection: Connection, before: Rollout, ended: Rollout, plan_revision: int, fence: int
    ) -> Rollout:
        """Write that a rollout is over because its plan is another's, which stays as it is.

        Raises:
            Conflict: somebody moved the rollout first, or the fence is old.
        """
        written = replace(ended, row_version=before.row_version + 1, plan_revision=plan_revision, fence=fence)
        if not store.save(connection, written, fence=fence):
            raise Conflict(f"somebody else has moved the rollout {before.id!r}", what="rollout")
        self._record(connection, before, written, "supersede", Actor("controller"), forced=False, fence=fence)
        return written

    def _plan(
        self, connection: Connection, before: Rollout | None, after: Rollout, actor: Actor
    ) -> tuple[TrafficPlan, tuple[EpochWeights, ...]]:
        """The plan of a state, and the weights of every epoch until then."""
        expected = after.base_revision if before is None else before.plan_revision
        if after.state is RolloutState.ABORTED:
            plan = self._traffic.restore(
                connection,
                after.domain,
                after.base_revision,
                actor=actor,
                expected_revision=expected,
                action="traffic.abort",
            )
            return plan, after.epochs
        epoch = len(after.epochs) + 1

        def compare(plan: TrafficPlan) -> Comparison:
            return compared(plan, after.id, epoch, after.version, after.baseline)

        running = not after.state.is_final
        plan = self._traffic.change(
            connection,
            after.domain,
            {after.baseline: SLOTS - after.weight, after.version: after.weight},
            actor=actor,
            expected_revision=expected,
            action="traffic.rollout" if running else "traffic.promote",
            compare=compare if running else None,
        )
        if plan.comparison is None:
            return plan, after.epochs
        return plan, (*after.epochs, EpochWeights(after.weight, plan.comparison.control_weight))

    def _record(
        self,
        connection: Connection,
        before: Rollout | None,
        after: Rollout,
        action: str,
        actor: Actor,
        *,
        forced: bool,
        fence: int | None,
    ) -> None:
        record_move(self._audit, self._clock, connection, before, after, action, actor, forced=forced, fence=fence)


def finding_of(rollout: Rollout) -> Finding | None:
    """What the numbers of a rollout say, as rollbacks are recorded; None where nothing was measured on both sides."""
    metric, evidence = telling(rollout.evidence), rollout.evidence
    if metric is None or metric.canary is None or metric.control is None:
        return None
    return Finding(
        rule="rollout",
        metric=metric.rule.metric,
        baseline=metric.control,
        current=metric.canary,
        baseline_samples=evidence.control_units,
        samples=evidence.canary_units,
        reason=metric.words,
    )


def record_move(
    audit: AuditTrail,
    clock: Clock,
    connection: Connection,
    before: Rollout | None,
    after: Rollout,
    action: str,
    actor: Actor,
    *,
    forced: bool = False,
    fence: int | None = None,
) -> None:
    """Add the transition and the audit entry of a move that the caller writes."""
    reason = after.reason or actor.reason or ""
    store.record(
        connection,
        Transition(
            rollout=after.id,
            row_version=after.row_version,
            at=clock.now(),
            action=action,
            before=before.state if before else None,
            after=after.state,
            step=after.step,
            weight=after.weight,
            actor=actor.name,
            reason=reason,
            forced=forced,
            fence=fence,
            plan_revision=after.plan_revision,
            evidence=after.evidence,
        ),
    )
    audit.record(
        connection,
        actor if actor.reason else replace(actor, reason=reason or None),
        f"rollout.{action}",
        f"rollout:{after.id}",
        before=_audited(before) if before else None,
        after={**_audited(after), **({"forced": True} if forced else {})},
    )


def supersede(
    audit: AuditTrail, clock: Clock, connection: Connection, domain: str, plan_revision: int, actor: Actor
) -> None:
    """End a domain's active rollout, if it has one: its plan was changed by hand, in the caller's transaction."""
    active = store.active_of(connection, domain)
    if active is None:
        return
    ended = superseded(active, f"{actor.name} changed the traffic by hand", clock.now())
    ended = replace(ended, row_version=active.row_version + 1, plan_revision=plan_revision)
    if not store.save(connection, ended, fence=None):
        raise Conflict(f"the rollout {active.id!r} moves at this moment", what="domain", remedy="try again")
    record_move(audit, clock, connection, active, ended, "supersede", actor)


def _audited(rollout: Rollout) -> dict[str, Any]:
    return {
        "state": rollout.state.value,
        "step": rollout.step,
        "weight": rollout.weight,
        "version": rollout.version,
        "row_version": rollout.row_version,
        "plan_revision": rollout.plan_revision,
        "evidence": [metric.words for metric in rollout.evidence.metrics],
    }
