"""Putting a version into service, if the gates allow it."""

from __future__ import annotations

from collections.abc import Callable

from bailiwick.delivery.gates import judge
from bailiwick.delivery.model import Deployment, Verdict
from bailiwick.delivery.records import DeploymentRecords
from bailiwick.domains.model import DomainRevision, Lifecycle
from bailiwick.errors import Conflict, InvalidInput
from bailiwick.governance.audit import Actor
from bailiwick.registry.model import ModelVersion
from bailiwick.traffic.service import TrafficService
from bailiwick.traffic.weights import percent, share_weights


class Deploying:
    """Judges versions and deploys them.

    Args:
        traffic: whose plans it changes.
        records: of the deployments.
        versions: the registered version of an id; raises `NotFound`.
        domains: the current revision of a domain; raises `NotFound`.
        check_artefact: called with a version before it is deployed; raises when it could not be loaded.
    """

    def __init__(
        self,
        traffic: TrafficService,
        records: DeploymentRecords,
        versions: Callable[[str], ModelVersion],
        domains: Callable[[str], DomainRevision],
        check_artefact: Callable[[ModelVersion], object] | None,
    ) -> None:
        self._traffic = traffic
        self._records = records
        self._versions = versions
        self._domains = domains
        self._check_artefact = check_artefact

    def judge(self, domain: str, version: str) -> Verdict:
        """See `DeliveryService.judge`."""
        model_version = self._version(domain, version)
        return Verdict(model_version, judge(model_version.metrics, self._domains(domain).domain.thresholds))

    def deploy(
        self, domain: str, version: str, share: int, actor: Actor, force: bool, expected_revision: int | None
    ) -> Deployment:
        """See `DeliveryService.deploy`."""
        if force and not (actor.reason or "").strip():
            raise InvalidInput("forcing a deployment needs a reason", what="reason", remedy="say why with --reason")
        verdict = self.judge(domain, version)
        if verdict.passed or force:
            self._require_servable(domain, verdict.version)
        with self._traffic.changing() as connection:
            newest = self._traffic.newest(connection, domain)
            present = newest.plan.weights if newest else {}
            weights = share_weights(present, version, share)
            if not verdict.passed and not force:
                return self._records.add(connection, domain, verdict, share, present, None, actor)
            if weights == present:
                raise Conflict(f"{version!r} already serves {percent(share)} of {domain!r}", what="version")
            plan = self._traffic.change(
                connection,
                domain,
                weights,
                actor=actor,
                expected_revision=expected_revision,
                action="traffic.deploy",
            )
            # An earlier deployment of the version itself gives way to the one recorded below.
            self._records.settle(connection, domain, present.keys(), plan.weights.keys() - {version}, actor)
            return self._records.add(connection, domain, verdict, share, present, plan.revision, actor)

    def _version(self, domain: str, version: str) -> ModelVersion:
        found = self._versions(version)
        if found.domain != domain:
            raise InvalidInput(
                f"{version!r} is a version of {found.domain!r}, not of {domain!r}",
                what="version",
                requested=version,
                remedy=f"list the versions of {domain!r} with `bailiwick model list`",
            )
        return found

    def _require_servable(self, domain: str, version: ModelVersion) -> None:
        """A draft may be given its version before it is activated; what is archived was taken out of service."""
        if self._domains(domain).lifecycle is Lifecycle.ARCHIVED:
            raise Conflict(
                f"the domain {domain!r} is archived: nothing is served there",
                what="domain",
                requested=domain,
                remedy=f"bring it back first with `bailiwick domain activate {domain}`",
            )
        if self._check_artefact is not None:
            self._check_artefact(version)
