"""What became of each deployment, written with its audit entry in the caller's unit."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.delivery import store
from bailiwick.delivery.judging import champion_of
from bailiwick.delivery.model import Approval, Deployment, DeploymentStatus, Verdict
from bailiwick.delivery.rollout.recording import supersede
from bailiwick.errors import NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.storage.ids import new_id
from bailiwick.traffic.model import TrafficPlan
from bailiwick.traffic.service import TrafficService

_ACTIONS = {DeploymentStatus.HELD: "hold", DeploymentStatus.WAITING: "ask", DeploymentStatus.DEPLOYED: "deploy"}


class DeploymentRecords:
    """Writes deployments. Every method takes the connection of the unit that changes the plan."""

    def __init__(self, traffic: TrafficService, audit: AuditTrail, clock: Clock) -> None:
        self._traffic = traffic
        self._audit = audit
        self._clock = clock

    def add(
        self,
        connection: Connection,
        verdict: Verdict,
        status: DeploymentStatus,
        share: int,
        present: Mapping[str, int],
        actor: Actor,
        *,
        plan_revision: int | None = None,
    ) -> Deployment:
        """Record an attempt.

        Args:
            connection: of the unit that made the plan.
            verdict: of the gates.
            status: deployed, held or waiting.
            share: that was asked for, in basis points.
            present: weights of the plan before.
            actor: who asked.
            plan_revision: of the plan that the deployment made, if it did.
        """
        now, waits = self._clock.now(), status is DeploymentStatus.WAITING
        version, policy = verdict.version, verdict.policy.policy
        made = Deployment(
            id=new_id("deployment", now),
            domain=version.domain,
            version=version.id,
            previous=champion_of(dict(present), version.id),
            status=status,
            share=share,
            gates=verdict.gates,
            forced=status is not DeploymentStatus.HELD and not verdict.passed,
            plan_revision=plan_revision,
            at=now,
            actor=actor.name,
            reason=actor.reason,
            changed_at=now,
            changed_by=actor.name,
            environment=verdict.policy.environment,
            policy_revision=verdict.policy.revision,
            artefact_sha256=version.artefact_sha256,
            approvals_needed=policy.approvals if waits else 0,
            expires_at=now + timedelta(seconds=policy.approval_expires_s) if waits else None,
        )
        store.add(connection, made)
        action = "force" if made.forced and not waits else _ACTIONS[status]
        after = {
            "version": version.id,
            "share": share,
            "gates": verdict.reason,
            "artefact_sha256": made.artefact_sha256,
            "policy_revision": made.policy_revision,
        }
        self.note(connection, actor, action, made, after)
        return made

    def enact(
        self,
        connection: Connection,
        waited: Deployment,
        verdict: Verdict,
        present: Mapping[str, int],
        revision: int,
        actor: Actor,
    ) -> Deployment:
        """Record that a deployment which waited is in service."""
        made = replace(
            waited,
            status=DeploymentStatus.DEPLOYED,
            previous=champion_of(dict(present), waited.version),
            gates=verdict.gates,
            plan_revision=revision,
            changed_at=self._clock.now(),
            changed_by=actor.name,
        )
        store.enact(connection, made)
        after = {"version": made.version, "share": made.share, "approvers": list(made.approvers)}
        self.note(connection, actor, "force" if made.forced else "deploy", made, after)
        return made

    def say(self, connection: Connection, asked: Deployment, approved: bool, actor: Actor) -> Deployment:
        """Record what somebody said of a deployment that waits; its status stays."""
        given = Approval(asked.id, actor.name, approved, self._clock.now(), actor.reason)
        store.add_approval(connection, given)
        # What it is bound to stands in the entry, so that the trail alone proves what was approved.
        bound = {
            "version": asked.version,
            "artefact_sha256": asked.artefact_sha256,
            "policy_revision": asked.policy_revision,
            "share": asked.share,
        }
        self.note(connection, actor, "approve" if approved else "refuse", asked, bound)
        return replace(asked, approvals=(*asked.approvals, given))

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
        """Say of each deployment whose version left or came back what became of it; end what a rollout had begun."""
        newest = self._traffic.newest(connection, domain)
        supersede(self._audit, self._clock, connection, domain, newest.plan.revision if newest else 0, actor)
        latest = store.latest_by_version(connection, domain)
        for version in sorted((before - after) & latest.keys()):
            self.set_status(connection, latest[version], leaving, actor)
        for version in sorted((after - before) & latest.keys()):
            self.set_status(connection, latest[version], DeploymentStatus.DEPLOYED, actor)

    def set_status(
        self,
        connection: Connection,
        changed: Deployment,
        status: DeploymentStatus,
        actor: Actor,
        outcome: str | None = None,
    ) -> Deployment:
        """Give a deployment its new status."""
        now = self._clock.now()
        store.set_status(connection, changed.id, status, now, actor.name, outcome)
        after = {"status": status.value} | ({"outcome": outcome} if outcome else {})
        self.note(connection, actor, status.value, changed, after, {"status": changed.status.value})
        return replace(changed, status=status, changed_at=now, changed_by=actor.name, outcome=outcome)

    def note(
        self,
        connection: Connection,
        actor: Actor,
        action: str,
        about: Deployment,
        after: Mapping[str, object],
        before: Mapping[str, object] | None = None,
    ) -> None:
        """Write the audit entry of a deployment."""
        self._audit.record(
            connection, actor, f"deployment.{action}", f"deployment:{about.id}", before=before, after=dict(after)
        )

    def note_broken_freeze(
        self, connection: Connection, actor: Actor, domain: str, broken: Mapping[str, str] | None
    ) -> None:
        """Write the audit entry of a change amid a freeze; nothing where there was none."""
        if broken is not None:
            self._audit.record(connection, actor, "freeze.break", f"domain:{domain}", after=dict(broken))


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
