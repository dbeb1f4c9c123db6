"""Taking the newcomer out of service."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Any

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.delivery import rollback_store, store
from bailiwick.delivery.degradation import Finding
from bailiwick.delivery.model import Deployment, DeploymentStatus, Rollback, RollbackEvent
from bailiwick.delivery.records import DeploymentRecords, present_plan
from bailiwick.delivery.rollback import newcomers, rollback_target
from bailiwick.errors import Conflict
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.storage.ids import new_id
from bailiwick.traffic.model import PlanRecord, TrafficPlan
from bailiwick.traffic.service import TrafficService

SERVING = frozenset({DeploymentStatus.DEPLOYED, DeploymentStatus.PROMOTED})

Removed = Callable[[Connection, str, Set[str], Actor], Sequence[str]]
"""Told in the unit of a rollback: a domain, its versions that were taken out, who did it. Returns what it stopped."""

Announce = Callable[[Connection, RollbackEvent], None]


class RollingBack:
    """Goes back to an earlier plan. It needs nothing but the database: no gate, no registry, no cache, no metrics.

    Args:
        traffic: whose plans it changes.
        records: of the deployments.
        audit: gets an entry per rollback.
        clock: dates them.
        announce: called inside the unit of each rollback, to write what others are told; it must not raise.
        on_removed: stops whatever else sends users to a version that is taken out.
    """

    def __init__(
        self,
        traffic: TrafficService,
        records: DeploymentRecords,
        audit: AuditTrail,
        clock: Clock,
        announce: Announce | None,
        on_removed: Removed | None,
    ) -> None:
        self._traffic = traffic
        self._records = records
        self._audit = audit
        self._clock = clock
        self._announce = announce
        self._on_removed = on_removed

    def rollback(self, domain: str, actor: Actor, expected_revision: int | None) -> Rollback:
        """See `DeliveryService.rollback`."""
        with self._traffic.changing() as connection:
            return self._restore(connection, domain, actor, expected_revision, None)

    def take_back(self, degraded: Deployment, finding: Finding, actor: Actor) -> Rollback:
        """Roll one deployment back without being asked, if it is still what serves newest.

        Raises:
            Conflict: it is not, it was taken back before, or a rollback made the present plan.
        """
        with self._traffic.changing() as connection:
            latest = store.latest_by_version(connection, degraded.domain).get(degraded.version)
            past = self._traffic.past(connection, degraded.domain)
            same = latest is not None and latest.id == degraded.id and latest.status in SERVING
            if not same or not may_take_back(past, degraded.version):
                raise Conflict(f"{degraded.id!r} is no longer what serves newest", what="deployment")
            if rollback_store.taken_back(connection, degraded.id):
                raise Conflict(f"{degraded.id!r} was taken back before", what="deployment")
            return self._restore(connection, degraded.domain, actor, past[0].plan.revision, finding)

    def _restore(
        self,
        connection: Connection,
        domain: str,
        actor: Actor,
        expected_revision: int | None,
        finding: Finding | None,
    ) -> Rollback:
        present = present_plan(self._traffic, connection, domain)
        past = self._traffic.past(connection, domain)
        target = rollback_target(past)
        if target is None:
            raise Conflict(
                f"{domain!r} served nothing before {', '.join(present.weights)}",
                what="domain",
                requested=domain,
                remedy="deploy another version, or archive the domain",
            )
        latest = store.latest_by_version(connection, domain)
        leaving = [latest[version].id for version in sorted(newcomers(past)) if version in latest]
        plan = self._traffic.restore(
            connection, domain, target.plan.revision, actor=actor, expected_revision=expected_revision
        )
        self._records.settle(
            connection,
            domain,
            present.weights.keys(),
            plan.weights.keys(),
            actor,
            leaving=DeploymentStatus.ROLLED_BACK,
        )
        removed = tuple(version for version in present.weights if version not in plan.weights)
        event = self.record(
            connection,
            plan,
            removed,
            leaving[0] if leaving else None,
            actor,
            rule=finding.rule if finding else "by_hand",
            automatic=finding is not None,
            finding=finding,
        )
        paused = self._on_removed(connection, domain, set(removed), actor) if self._on_removed else ()
        return Rollback(domain, removed, target.plan.revision, plan, event, tuple(paused))

    def record(
        self,
        connection: Connection,
        plan: TrafficPlan,
        removed: tuple[str, ...],
        deployment: str | None,
        actor: Actor,
        *,
        rule: str,
        automatic: bool,
        finding: Finding | None,
    ) -> RollbackEvent:
        """Write a rollback whose plan the caller has made, with its audit entry, and announce it.

        Args:
            connection: of the caller's unit.
            plan: since then in force.
            removed: versions that no longer serve.
            deployment: that had put the newcomer into service.
            actor: who did it.
            rule: see `RollbackEvent`.
            automatic: nobody asked for it.
            finding: both metrics, where there are any.
        """
        now = self._clock.now()
        event = RollbackEvent(
            id=new_id("rollback", now),
            domain=plan.domain,
            deployment=deployment,
            removed=removed,
            restored=plan.weights,
            automatic=automatic,
            rule=rule,
            at=now,
            actor=actor.name,
            plan_revision=plan.revision,
            metric=finding.metric if finding else None,
            baseline=finding.baseline if finding else None,
            current=finding.current if finding else None,
            baseline_samples=finding.baseline_samples if finding else None,
            samples=finding.samples if finding else None,
            reason=actor.reason,
        )
        rollback_store.add(connection, event)
        after: dict[str, Any] = {"removed": list(removed), "restored": dict(plan.weights), "rule": rule}
        if finding is not None:
            after |= {"metric": finding.metric, "baseline": finding.baseline, "current": finding.current}
        self._audit.record(connection, actor, "rollback.record", f"rollback:{event.id}", after=after)
        if self._announce is not None:
            self._announce(connection, event)
        return event


def may_take_back(past: Sequence[PlanRecord], version: str) -> bool:
    """Whether a rollback that nobody asked for may act on the present plan, because of this version.

    Never on a plan that a rollback made: what was restored is not taken back in turn, however it fares.

    Args:
        past: every revision of the plan, newest first.
        version: must be the one newcomer.
    """
    if not past or past[0].restores is not None or rollback_target(past) is None:
        return False
    return newcomers(past) == {version}
