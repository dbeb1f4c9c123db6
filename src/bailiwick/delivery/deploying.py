"""Putting a version into service, if the gates allow it and those who must agree do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.delivery import store
from bailiwick.delivery.freezing import broken_freeze
from bailiwick.delivery.judging import Judge, champion_of
from bailiwick.delivery.model import Deployment, DeploymentStatus, Verdict
from bailiwick.delivery.policies import GatePolicies
from bailiwick.delivery.records import DeploymentRecords
from bailiwick.domains.model import DomainRevision, Lifecycle
from bailiwick.errors import Conflict, InvalidInput
from bailiwick.governance.audit import Actor
from bailiwick.registry.model import ModelVersion
from bailiwick.traffic.service import TrafficService
from bailiwick.traffic.weights import percent, share_weights


class Deploying:
    """Deploys versions that were judged.

    Args:
        traffic: whose plans it changes.
        records: of the deployments.
        judge: asks the gates.
        policies: of this environment.
        clock: says whether it is frozen.
        domains: the current revision of a domain; raises `NotFound`.
        check_artefact: called before a version is deployed; raises when its artefact is not what was registered.
    """

    def __init__(
        self,
        traffic: TrafficService,
        records: DeploymentRecords,
        judge: Judge,
        policies: GatePolicies,
        clock: Clock,
        domains: Callable[[str], DomainRevision],
        check_artefact: Callable[[ModelVersion], object] | None,
    ) -> None:
        self._traffic = traffic
        self._records = records
        self._judge = judge
        self._policies = policies
        self._clock = clock
        self._domains = domains
        self._check_artefact = check_artefact

    def deploy(
        self,
        domain: str,
        version: str,
        share: int,
        actor: Actor,
        *,
        force: bool,
        break_glass: bool,
        expected_revision: int | None,
    ) -> Deployment:
        """See `DeliveryService.deploy`."""
        if force and not (actor.reason or "").strip():
            raise InvalidInput("forcing a deployment needs a reason", what="reason", remedy="say why with --reason")
        verdict = self._judge.judge(domain, version)
        if verdict.passed or force:
            self.require_servable(domain, verdict.version)
        with self._traffic.changing() as connection:
            self.require_same_grounds(connection, domain, verdict)
            present = self._present(connection, domain)
            weights = share_weights(present, version, share)
            if not verdict.passed and not force:
                return self._records.add(connection, verdict, DeploymentStatus.HELD, share, present, actor)
            if weights == present:
                raise Conflict(f"{version!r} already serves {percent(share)} of {domain!r}", what="version")
            if verdict.policy.policy.approvals:
                require_not_asked(connection, domain, version)
                return self._records.add(connection, verdict, DeploymentStatus.WAITING, share, present, actor)
            revision = self._put_in_service(
                connection, verdict, weights, present, actor, break_glass=break_glass, expected=expected_revision
            )
            return self._records.add(
                connection, verdict, DeploymentStatus.DEPLOYED, share, present, actor, plan_revision=revision
            )

    def enact(
        self, connection: Connection, waited: Deployment, verdict: Verdict, actor: Actor, *, break_glass: bool
    ) -> Deployment:
        """Give a deployment that waited its traffic, inside the caller's unit.

        Raises:
            PolicyDenied: the domain is frozen.
            Conflict: the version has this share already.
        """
        present = self._present(connection, waited.domain)
        weights = share_weights(present, waited.version, waited.share)
        if weights == present:
            raise Conflict(f"{waited.version!r} already serves {percent(waited.share)} of {waited.domain!r}")
        revision = self._put_in_service(
            connection, verdict, weights, present, actor, break_glass=break_glass, expected=None
        )
        return self._records.enact(connection, waited, verdict, present, revision, actor)

    def require_same_grounds(self, connection: Connection, domain: str, verdict: Verdict) -> None:
        """Refuse to act on a verdict whose policy or champion has changed since.

        Raises:
            Conflict: naming what did.
        """
        revision = self._policies.seen_by(connection, domain).revision
        if revision != verdict.policy.revision:
            raise Conflict(
                f"the gate policy of {domain!r} changed to revision {revision} meanwhile",
                what="policy",
                requested=verdict.policy.revision,
                allowed=revision,
                remedy="try again",
            )
        compared = any(gate.name == "regression" for gate in verdict.gates)
        champion = champion_of(self._present(connection, domain), verdict.version.id)
        if compared and champion != verdict.champion:
            raise Conflict(
                f"{champion!r} took the place of {verdict.champion!r} in {domain!r} meanwhile",
                what="version",
                requested=verdict.champion,
                allowed=champion,
                remedy="try again",
            )

    def require_servable(self, domain: str, version: ModelVersion) -> None:
        """A draft may be given its version before it is activated; what is archived was taken out of service.

        Raises:
            Conflict: the domain is archived, or the artefact is not what was registered.
        """
        if self._domains(domain).lifecycle is Lifecycle.ARCHIVED:
            raise Conflict(
                f"the domain {domain!r} is archived: nothing is served there",
                what="domain",
                requested=domain,
                remedy=f"bring it back first with `bailiwick domain activate {domain}`",
            )
        if self._check_artefact is not None:
            self._check_artefact(version)

    def _put_in_service(
        self,
        connection: Connection,
        verdict: Verdict,
        weights: Mapping[str, int],
        present: Mapping[str, int],
        actor: Actor,
        *,
        break_glass: bool,
        expected: int | None,
    ) -> int:
        """Make the next plan, and settle what left. Returns its revision."""
        domain, version = verdict.version.domain, verdict.version.id
        policy = verdict.policy.policy
        broken = broken_freeze(policy.windows, domain, self._clock.now(), actor, break_glass=break_glass)
        self._records.note_broken_freeze(connection, actor, domain, broken)
        plan = self._traffic.change(
            connection, domain, weights, actor=actor, expected_revision=expected, action="traffic.deploy"
        )
        # An earlier deployment of the version itself gives way to the one that is recorded next.
        self._records.settle(connection, domain, present.keys(), plan.weights.keys() - {version}, actor)
        return plan.revision

    def _present(self, connection: Connection, domain: str) -> dict[str, int]:
        newest = self._traffic.newest(connection, domain)
        return newest.plan.weights if newest else {}


def require_not_asked(connection: Connection, domain: str, version: str) -> None:
    """Refuse to ask twice.

    Raises:
        Conflict: the version waits for approval already.
    """
    for asked in store.waiting(connection, domain):
        if asked.version == version:
            raise Conflict(
                f"{version!r} waits for approval already, as {asked.id!r}",
                what="version",
                requested=version,
                remedy=f"bailiwick deployment approve {asked.id}, or reject it first",
            )
