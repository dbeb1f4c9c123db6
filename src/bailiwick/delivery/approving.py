"""Approvals of deployments that wait: by people who neither asked nor trained, for exactly what was judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.delivery import store
from bailiwick.delivery.deploying import Deploying
from bailiwick.delivery.judging import Judge
from bailiwick.delivery.model import Deployment, DeploymentStatus, Verdict
from bailiwick.delivery.people import person, require_another
from bailiwick.delivery.records import DeploymentRecords
from bailiwick.errors import Conflict, NotFound
from bailiwick.governance.audit import Actor
from bailiwick.registry.model import ModelVersion
from bailiwick.storage.database import Database
from bailiwick.traffic.service import TrafficService


class Approving:
    """Collects approvals, and deploys once there are enough; what waits for a rollout may then begin.

    Args:
        database: of the deployments.
        clock: says what has expired.
        traffic: whose lock keeps two approvals apart.
        records: of the deployments.
        judge: asks the gates again: an approval is no bypass.
        deploying: gives the traffic.
        authors: who made a version.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        traffic: TrafficService,
        records: DeploymentRecords,
        judge: Judge,
        deploying: Deploying,
        authors: Callable[[ModelVersion], Iterable[str]],
    ) -> None:
        self._database = database
        self._clock = clock
        self._traffic = traffic
        self._records = records
        self._judge = judge
        self._deploying = deploying
        self._authors = authors

    def get(self, id: str) -> Deployment:
        """See `DeliveryService.deployment`."""
        with self._database.read() as connection:
            return _found(connection, id)

    def approve(self, id: str, actor: Actor, *, break_glass: bool) -> Deployment:
        """See `DeliveryService.approve`."""
        asked = self.get(id)
        _require_waiting(asked)
        verdict = self._judge.judge(asked.domain, asked.version)
        require_another(actor.name, [asked.actor, *self._authors(verdict.version)], id)
        self._deploying.require_servable(asked.domain, verdict.version)
        with self._traffic.changing() as connection:
            asked = _found(connection, id)
            _require_waiting(asked)
            self._deploying.require_same_grounds(connection, asked.domain, verdict)
            obstacle = why_void(asked, verdict, self._clock.now())
            if obstacle is not None:
                return self._records.set_status(connection, asked, DeploymentStatus.VOIDED, actor, obstacle)
            if person(actor.name) in {person(name) for name in asked.approvers}:
                raise Conflict(f"{actor.name!r} has approved {id!r} already", what="actor", requested=actor.name)
            asked = self._records.say(connection, asked, True, actor)
            if len(asked.approvers) < asked.approvals_needed:
                return asked
            if asked.for_rollout:
                return self._records.set_status(connection, asked, DeploymentStatus.APPROVED, actor)
            return self._deploying.enact(connection, asked, verdict, actor, break_glass=break_glass)

    def reject(self, id: str, actor: Actor) -> Deployment:
        """See `DeliveryService.reject`."""
        with self._traffic.changing() as connection:
            asked = _found(connection, id)
            if asked.status is not DeploymentStatus.APPROVED:
                _require_waiting(asked)
            if actor.name not in {each.approver for each in asked.approvals}:
                asked = self._records.say(connection, asked, False, actor)
            outcome = f"refused by {actor.name}" + (f": {actor.reason}" if actor.reason else "")
            return self._records.set_status(connection, asked, DeploymentStatus.REJECTED, actor, outcome)

    def expire(self, actor: Actor) -> list[Deployment]:
        """Void what has waited too long."""
        now = self._clock.now()
        with self._database.read() as connection:
            if not _overdue(connection, now):
                return []
        with self._traffic.changing() as connection:
            return [
                self._records.set_status(connection, asked, DeploymentStatus.VOIDED, actor, _EXPIRED)
                for asked in _overdue(connection, now)
            ]


_EXPIRED = "nobody finished its approval in time"


def why_void(asked: Deployment, verdict: Verdict, now: datetime) -> str | None:
    """Why a request for approval no longer stands for what would be deployed; None: it does."""
    if _expired(asked, now):
        return _EXPIRED
    if asked.artefact_sha256 != verdict.version.artefact_sha256:
        return "the version's artefact is another one by now"
    if (asked.environment, asked.policy_revision) != (verdict.policy.environment, verdict.policy.revision):
        return f"the gate policy is at revision {verdict.policy.revision} by now, not {asked.policy_revision}"
    if not verdict.passed and not asked.forced:
        return f"the gates no longer let it pass: {verdict.reason}"
    return None


def _overdue(connection: Connection, now: datetime) -> list[Deployment]:
    pending = (DeploymentStatus.WAITING, DeploymentStatus.APPROVED)
    return [asked for status in pending for asked in store.waiting(connection, None, status) if _expired(asked, now)]


def _expired(asked: Deployment, now: datetime) -> bool:
    return asked.expires_at is not None and now >= asked.expires_at


def _found(connection: Connection, id: str) -> Deployment:
    found = store.one(connection, id)
    if found is None:
        raise NotFound(
            f"there is no deployment {id!r}", what="deployment", requested=id, remedy="see `bailiwick deployment list`"
        )
    return found


def _require_waiting(asked: Deployment) -> None:
    if asked.status is not DeploymentStatus.WAITING:
        raise Conflict(
            f"the deployment {asked.id!r} does not wait for approval: it is {asked.status.value}",
            what="deployment",
            requested=asked.id,
            remedy="see `bailiwick deployment list --waiting`",
        )
