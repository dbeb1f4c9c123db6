"""What became of each deployment, written with its audit entry in the caller's unit."""

from __future__ import annotations

from collections.abc import Mapping, Set

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.delivery import store
from bailiwick.delivery.model import Deployment, DeploymentStatus, Verdict
from bailiwick.errors import NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.storage.ids import new_id
from bailiwick.traffic.model import TrafficPlan
from bailiwick.traffic.service import TrafficService


class DeploymentRecords:
    """Writes deployments. Every method takes the connection of the unit that changes the plan."""

    def __init__(self, audit: AuditTrail, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock

    def add(
        self,
        connection: Connection,
        domain: str,
        verdict: Verdict,
        share: int,
        present: Mapping[str, int],
        plan_revision: int | None,
        actor: Actor,
    ) -> Deployment:
        """Record an attempt.

        Args:
            connection: of the unit that made the plan.
            domain: where.
            verdict: of the gates.
            share: that was asked for, in basis points.
            present: weights of the plan before.
            plan_revision: of the plan that the deployment made; None: it is held.
            actor: who asked.
        """
        now = self._clock.now()
        version = verdict.version.id
        others = {name: weight for name, weight in present.items() if name != version}
        made = Deployment(
            id=new_id("deployment", now),
            domain=domain,
            version=version,
            previous=max(others, key=lambda name: others[name]) if others else None,
            status=DeploymentStatus.HELD if plan_revision is None else DeploymentStatus.DEPLOYED,
            share=share,
            gates=verdict.gates,
            forced=plan_revision is not None and not verdict.passed,
            plan_revision=plan_revision,
            at=now,
            actor=actor.name,
            reason=actor.reason,
            changed_at=now,
            changed_by=actor.name,
        )
        store.add(connection, made)
        action = "hold" if plan_revision is None else "force" if made.forced else "deploy"
        after = {"version": version, "share": share, "gates": verdict.reason}
        self._audit.record(connection, actor, f"deployment.{action}", f"deployment:{made.id}", after=after)
        return made

    def settle(
        self,
        connection: Connection,
        domain: str,
        before: Set[str],
        after: Set[str],
        actor: Actor,
        *,
        leaving: DeploymentStatus = DeploymentStatus.REPLACED,
    ) -> None:
        """Say of each deployment whose version left or came back what became of it."""
        latest = store.latest_by_version(connection, domain)
        for version in sorted((before - after) & latest.keys()):
            self.set_status(connection, latest[version], leaving, actor)
        for version in sorted((after - before) & latest.keys()):
            self.set_status(connection, latest[version], DeploymentStatus.DEPLOYED, actor)

    def set_status(self, connection: Connection, changed: Deployment, status: DeploymentStatus, actor: Actor) -> None:
        """Give a deployment its new status."""
        store.set_status(connection, changed.id, status, self._clock.now(), actor.name)
        self._audit.record(
            connection,
            actor,
            f"deployment.{status.value}",
            f"deployment:{changed.id}",
            before={"status": changed.status.value},
            after={"status": status.value},
        )


def present_plan(traffic: TrafficService, connection: Connection, domain: str) -> TrafficPlan:
    """The plan in force.

    Raises:
        NotFound: nothing is deployed.
    """
    newest = traffic.newest(connection, domain)
    if newest is None:
        raise NotFound(
            f"nothing is deployed in {domain!r}",
            what="domain",
            requested=domain,
            remedy=f"deploy its newest version with `bailiwick deploy {domain}`",
        )
    return newest.plan
