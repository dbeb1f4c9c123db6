"""What rollouts ask of delivery, inside their own transactions: to let a version in, and to say what became of it."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from bailiwick.delivery import store
from bailiwick.delivery.admitting import Admitting
from bailiwick.delivery.degradation import Finding
from bailiwick.delivery.model import Deployment, DeploymentStatus, Verdict
from bailiwick.delivery.records import DeploymentRecords
from bailiwick.delivery.rolling_back import Removed, RollingBack
from bailiwick.delivery.rollout import store as rollout_store
from bailiwick.delivery.rollout.freeze import FreezeWindow
from bailiwick.delivery.rollout.model import RolloutState
from bailiwick.governance.audit import Actor
from bailiwick.storage.database import Database
from bailiwick.traffic.model import TrafficPlan
from bailiwick.traffic.service import TrafficService


class ForRollouts:
    """The side of delivery that rollouts see; people use `DeliveryService`.

    Args:
        database: of the rollouts.
        traffic: the plans in force.
        records: of the deployments.
        admitting: lets versions in.
        rolling_back: records what was taken out.
        on_removed: stops whatever else sends users to a version that is rolled back.
    """

    def __init__(
        self,
        database: Database,
        traffic: TrafficService,
        records: DeploymentRecords,
        admitting: Admitting,
        rolling_back: RollingBack,
        on_removed: Removed | None,
    ) -> None:
        self._database = database
        self._traffic = traffic
        self._records = records
        self._admitting = admitting
        self._rolling_back = rolling_back
        self._on_removed = on_removed

    def admit(
        self,
        connection: Connection,
        verdict: Verdict,
        share: int,
        present: Mapping[str, int],
        plan_revision: int,
        actor: Actor,
        *,
        force: bool = False,
        break_glass: bool = False,
        freezes: tuple[FreezeWindow, ...] = (),
    ) -> Deployment:
        """Record the deployment of a version by a rollout, which makes the plans itself.

        Args:
            connection: of the unit that begins the rollout.
            verdict: of the gates, just now.
            share: of the first step, in basis points.
            present: weights of the plan in force.
            plan_revision: of the plan that the rollout will make.
            actor: who starts it.
            force: although a gate does not pass.
            break_glass: although the domain is frozen; needs the reason.
            freezes: of the rollout's own policy, beside the domain's.

        Returns:
            The deployment. The rollout may begin only where it is ``deployed``; ``held``: a gate does not pass;
            ``waiting``: people must agree first, and then it is started again.

        Raises:
            Conflict: the policy or the champion has changed since the verdict, or people are being asked already.
            PolicyDenied: the domain is frozen.
            InvalidInput: the glass is broken without a reason.
        """
        return self._admitting.admit(
            connection,
            verdict,
            share,
            present,
            plan_revision,
            actor,
            force=force,
            break_glass=break_glass,
            freezes=freezes,
        )

    def record_abort(
        self,
        connection: Connection,
        plan: TrafficPlan,
        removed: str,
        deployment: str,
        actor: Actor,
        *,
        automatic: bool,
        finding: Finding | None,
    ) -> None:
        """Write that the abort of a rollout took a version out of service.

        Args:
            connection: of the unit that aborts it.
            plan: that brings back what served before.
            removed: the version.
            deployment: that had put it into service.
            actor: who aborts.
            automatic: nobody asked for it.
            finding: both values of the metric that says why; None where nothing was measured.
        """
        self._rolling_back.record(
            connection, plan, (removed,), deployment, actor, rule="rollout", automatic=automatic, finding=finding
        )

    def conclude(
        self,
        connection: Connection,
        domain: str,
        *,
        leaving: str,
        status: DeploymentStatus,
        promoted: str | None,
        actor: Actor,
    ) -> None:
        """Say of the deployments of a rollout that has ended what became of them.

        Where the version was rolled back, experiments that send users to it are paused, as by `rollback`.

        Args:
            connection: of the unit that ends it.
            domain: of the rollout.
            leaving: the version that no longer serves.
            status: why.
            promoted: the version that won the whole traffic.
            actor: who ended it.
        """
        latest = store.latest_by_version(connection, domain)
        if leaving in latest:
            self._records.set_status(connection, latest[leaving], status, actor)
        if promoted is not None and promoted in latest:
            self._records.set_status(connection, latest[promoted], DeploymentStatus.PROMOTED, actor)
        if status is DeploymentStatus.ROLLED_BACK and self._on_removed:
            self._on_removed(connection, domain, {leaving}, actor)

    def governs(self, domain: str) -> bool:
        """Whether a canary rollout decides over the domain's rollback: while it is active, and over the plan it left.

        What it promoted was held against a concurrent control, and guarded; a comparison with the past knows less.
        """
        with self._database.read() as connection:
            if rollout_store.active_of(connection, domain) is not None:
                return True
            latest = next(iter(rollout_store.listed(connection, domain, limit=1)), None)
            newest = self._traffic.newest(connection, domain)
        if latest is None or newest is None:
            return False
        return latest.state is RolloutState.SUCCEEDED and latest.plan_revision == newest.plan.revision
