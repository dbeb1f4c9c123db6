"""Lets versions in for rollouts, which make the plans themselves: gates, freezes and approvals hold there too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.delivery import store
from bailiwick.delivery.approving import why_void
from bailiwick.delivery.deploying import Deploying, require_not_asked
from bailiwick.delivery.freezing import broken_freeze
from bailiwick.delivery.model import Deployment, DeploymentStatus, Verdict
from bailiwick.delivery.records import DeploymentRecords
from bailiwick.delivery.rollout.freeze import FreezeWindow
from bailiwick.governance.audit import Actor


class Admitting:
    """Records the deployment with which a rollout begins.

    Where people must agree, the first attempt asks them and puts nobody at risk; the next one after they have agreed
    begins. They agree to the version and its artefact under one gate policy, not to a schedule.

    Args:
        records: of the deployments.
        deploying: knows whether the verdict still stands.
        clock: says what is frozen, and what has expired.
    """

    def __init__(self, records: DeploymentRecords, deploying: Deploying, clock: Clock) -> None:
        self._records = records
        self._deploying = deploying
        self._clock = clock

    def admit(
        self,
        connection: Connection,
        verdict: Verdict,
        share: int,
        present: Mapping[str, int],
        plan_revision: int,
        actor: Actor,
        *,
        force: bool,
        break_glass: bool,
        freezes: tuple[FreezeWindow, ...],
    ) -> Deployment:
        """See `DeliveryService.admit`."""
        domain, version, policy = verdict.version.domain, verdict.version.id, verdict.policy.policy
        self._deploying.require_same_grounds(connection, domain, verdict)
        if not verdict.passed and not force:
            return self._records.add(connection, verdict, DeploymentStatus.HELD, share, present, actor)
        agreed, void = self._agreed(connection, verdict, actor) if policy.approvals else (None, None)
        if policy.approvals and agreed is None:
            require_not_asked(connection, domain, version)
            return self._records.add(connection, verdict, DeploymentStatus.WAITING, 0, present, actor, outcome=void)
        windows = (*policy.windows, *freezes)
        broken = broken_freeze(windows, domain, self._clock.now(), actor, break_glass=break_glass)
        self._records.note_broken_freeze(connection, actor, domain, broken)
        if agreed is not None:
            return self._records.enact(connection, replace(agreed, share=share), verdict, present, plan_revision, actor)
        return self._records.add(
            connection, verdict, DeploymentStatus.DEPLOYED, share, present, actor, plan_revision=plan_revision
        )

    def _agreed(self, connection: Connection, verdict: Verdict, actor: Actor) -> tuple[Deployment | None, str | None]:
        """What people agreed to and still stands; what no longer does is voided, with why."""
        void = None
        for asked in store.waiting(connection, verdict.version.domain, DeploymentStatus.APPROVED):
            if asked.version != verdict.version.id:
                continue
            obstacle = why_void(asked, verdict, self._clock.now())
            if obstacle is None:
                return asked, None
            self._records.set_status(connection, asked, DeploymentStatus.VOIDED, actor, obstacle)
            void = f"the approval of {asked.id} is void: {obstacle}"
        return None, void
