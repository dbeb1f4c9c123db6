"""Puts versions into service and takes them out again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bailiwick.clock import Clock
from bailiwick.delivery import store
from bailiwick.delivery.deploying import Deploying
from bailiwick.delivery.model import Deployment, Rollback, Verdict
from bailiwick.delivery.records import DeploymentRecords
from bailiwick.delivery.rolling_back import RollingBack
from bailiwick.delivery.shifting import Shifting
from bailiwick.domains.model import DomainRevision
from bailiwick.errors import NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.registry.model import ModelVersion
from bailiwick.storage.database import Database
from bailiwick.traffic.model import SLOTS, TrafficPlan
from bailiwick.traffic.service import TrafficService


class DeliveryService:
    """Deployments of every domain. Each change is one transaction with its plan, its records and its audit entries.

    Args:
        traffic: whose plans it changes; nobody else should.
        versions: the registered version of an id; raises `NotFound`.
        versions_of: every registered version of a domain, newest first.
        domains: the current revision of a domain; raises `NotFound`.
        check_artefact: called with a version before it is deployed; raises when it could not be loaded.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        traffic: TrafficService,
        versions: Callable[[str], ModelVersion],
        versions_of: Callable[[str], Sequence[ModelVersion]],
        domains: Callable[[str], DomainRevision],
        check_artefact: Callable[[ModelVersion], object] | None = None,
    ) -> None:
        self._database = database
        self._versions = versions
        self._versions_of = versions_of
        records = DeploymentRecords(audit, clock)
        self._deploying = Deploying(traffic, records, versions, domains, check_artefact)
        self._shifting = Shifting(traffic, records)
        self._rolling_back = RollingBack(traffic, records)

    def find(self, name: str) -> ModelVersion:
        """The version of that id, or the newest version of the domain of that id.

        Raises:
            NotFound: neither a version nor a domain with versions.
        """
        of_domain = self._versions_of(name)
        if of_domain:
            return of_domain[0]
        try:
            return self._versions(name)
        except NotFound as error:
            raise NotFound(
                f"{name!r} is neither a model version nor a domain that has one",
                what="version",
                requested=name,
                remedy="see `bailiwick model list`, or train one with `bailiwick train DOMAIN`",
            ) from error

    def judge(self, domain: str, version: str) -> Verdict:
        """What the gates say, changing nothing.

        Raises:
            NotFound: the domain or the version does not exist.
            InvalidInput: the version belongs to another domain.
        """
        return self._deploying.judge(domain, version)

    def deploy(
        self,
        domain: str,
        version: str,
        *,
        share: int = SLOTS,
        actor: Actor,
        force: bool = False,
        expected_revision: int | None = None,
    ) -> Deployment:
        """Give a version a share of the traffic, if the gates allow it.

        Args:
            domain: that the version belongs to.
            version: a registered version.
            share: basis points; the versions that serve now keep the rest, in their proportions.
            actor: who does it; forcing needs the reason.
            force: deploy although a gate does not pass.
            expected_revision: of the plan that the caller decided on; None: whatever is in force.

        Returns:
            The deployment: ``deployed``, or ``held`` with the gates that say why. A held one is recorded too.

        Raises:
            NotFound: the domain or the version does not exist.
            InvalidInput: the version belongs to another domain, the share is out of bounds or leaves a rest to nobody,
                or it is forced without a reason.
            Conflict: the version already has this share, its artefact is damaged, the domain is archived, or somebody
                changed the plan since ``expected_revision``.
        """
        return self._deploying.deploy(domain, version, share, actor, force, expected_revision)

    def shift(
        self, domain: str, weights: Mapping[str, int], *, actor: Actor, expected_revision: int | None = None
    ) -> TrafficPlan:
        """Give versions that are or were in service new weights, in basis points; what is not named gets nothing.

        Raises:
            NotFound: nothing is deployed in the domain.
            InvalidInput: the weights are malformed or do not sum to 100 %.
            Conflict: a version was never deployed here or was rolled back, or the plan has changed meanwhile.
        """
        return self._shifting.shift(domain, weights, actor, expected_revision)

    def share(self, domain: str, share: int, *, actor: Actor, expected_revision: int | None = None) -> TrafficPlan:
        """Give the newest version in service this share, in basis points; the others keep the rest, in proportion.

        Raises:
            NotFound: nothing is deployed in the domain.
            InvalidInput: the share is out of bounds, or only one version is in service.
            Conflict: the plan has changed since ``expected_revision``.
        """
        return self._shifting.share(domain, share, actor, expected_revision)

    def promote(
        self, domain: str, version: str | None = None, *, actor: Actor, expected_revision: int | None = None
    ) -> TrafficPlan:
        """Give one of the versions in service the whole traffic.

        Args:
            domain: where.
            version: default: the one that was deployed last, of those in service.
            actor: who does it.
            expected_revision: of the plan that the caller decided on; None: whatever is in force.

        Raises:
            NotFound: nothing is deployed in the domain.
            Conflict: the version is not in service or already has everything, or the plan has changed meanwhile.
        """
        return self._shifting.promote(domain, version, actor, expected_revision)

    def rollback(self, domain: str, *, actor: Actor, expected_revision: int | None = None) -> Rollback:
        """Take the newcomer out: bring back the last plan that did not serve it. Again: go further back.

        It needs nothing but the database: no gate, no registry, no cache.

        Raises:
            NotFound: nothing is deployed in the domain.
            Conflict: there is nothing to go back to, or the plan has changed since ``expected_revision``.
        """
        return self._rolling_back.rollback(domain, actor, expected_revision)

    def history(self, domain: str | None = None, *, limit: int = 100) -> Sequence[Deployment]:
        """Deployments of a domain or of all, newest first, the held ones included."""
        with self._database.read() as connection:
            return store.listed(connection, domain, limit)
