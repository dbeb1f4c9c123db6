"""Puts versions into service and takes them out again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from bailiwick.clock import Clock
from bailiwick.delivery import rollback_store, store
from bailiwick.delivery.admitting import Admitting
from bailiwick.delivery.approving import Approving
from bailiwick.delivery.degradation import Finding
from bailiwick.delivery.deploying import Deploying
from bailiwick.delivery.for_rollouts import ForRollouts
from bailiwick.delivery.judging import Compare, Judge
from bailiwick.delivery.live import Live
from bailiwick.delivery.model import Deployment, Rollback, RollbackEvent, ServedVersion, Verdict
from bailiwick.delivery.policies import GatePolicies
from bailiwick.delivery.records import DeploymentRecords, present_plan
from bailiwick.delivery.rolling_back import Announce, Removed, RollingBack
from bailiwick.delivery.shifting import Shifting
from bailiwick.delivery.watch import WATCHER, DegradationWatch
from bailiwick.domains.model import DomainRevision
from bailiwick.errors import NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.registry.model import ModelVersion
from bailiwick.storage.database import Database
from bailiwick.traffic.model import SLOTS, Shadow, TrafficPlan
from bailiwick.traffic.service import TrafficService


class DeliveryService:
    """Deployments of every domain. Each change is one transaction with its plan, its records and its audit entries.

    ``policies`` are the gate policies; ``for_rollouts`` is what rollouts ask inside their own transactions.

    Args:
        traffic: whose plans it changes; nobody else should.
        versions: the registered version of an id; raises `NotFound`.
        versions_of: every registered version of a domain, newest first.
        domains: the current revision of a domain; raises `NotFound`.
        check_artefact: called before a version is deployed; raises when its artefact is not what was registered.
        environment: whose gate policies are asked.
        live: live numbers, for gates and for the watch; None: there are none, and nothing is watched.
        compare: two versions on the same test rows; None: nobody can.
        authors: who made a version: they cannot approve it.
        announce: called inside the unit of each rollback, to write what others are told; it must not raise.
        on_removed: stops whatever else sends users to a version that is rolled back.
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
        *,
        environment: str = "production",
        live: Live | None = None,
        compare: Compare | None = None,
        authors: Callable[[ModelVersion], Iterable[str]] = lambda _: (),
        announce: Announce | None = None,
        on_removed: Removed | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._traffic = traffic
        self._versions = versions
        self._versions_of = versions_of
        self.policies = GatePolicies(database, audit, clock, environment, domains)
        records = DeploymentRecords(traffic, audit, clock)
        self._judge = Judge(traffic, self.policies, clock, versions, domains, live, compare)
        self._deploying = Deploying(traffic, records, self._judge, self.policies, clock, domains, check_artefact)
        self._approving = Approving(database, clock, traffic, records, self._judge, self._deploying, authors)
        self._shifting = Shifting(traffic, records, self.policies, clock)
        rolling_back = self._rolling_back = RollingBack(traffic, records, audit, clock, announce, on_removed)
        admitting = Admitting(records, self._deploying, clock)
        self.for_rollouts = ForRollouts(database, traffic, records, admitting, rolling_back, on_removed)
        self._watch = (
            None
            if live is None
            else DegradationWatch(database, traffic, self.policies, live, rolling_back, self.for_rollouts.governs)
        )

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
        return self._judge.judge(domain, version)

    def deploy(
        self,
        domain: str,
        version: str,
        *,
        share: int = SLOTS,
        actor: Actor,
        force: bool = False,
        break_glass: bool = False,
        expected_revision: int | None = None,
    ) -> Deployment:
        """Give a version a share of the traffic, if the gates allow it.

        Args:
            domain: that the version belongs to.
            version: a registered version.
            share: basis points; the versions that serve now keep the rest, in their proportions.
            actor: who does it; forcing needs the reason.
            force: deploy although a gate does not pass. Whoever must agree is asked all the same.
            break_glass: deploy although the domain is frozen; needs the reason.
            expected_revision: of the plan that the caller decided on; None: whatever is in force.

        Returns:
            The deployment: ``deployed``; ``waiting`` where people must agree first; or ``held``, with the gates that
            say why. All are recorded.

        Raises:
            NotFound: the domain or the version does not exist.
            InvalidInput: the version belongs to another domain, the share is out of bounds or leaves a rest to nobody,
                or it is forced without a reason.
            Conflict: the version already has this share or waits for approval already, its artefact is damaged, the
                domain is archived, or somebody changed the plan since ``expected_revision``, or the policy meanwhile.
            PolicyDenied: the domain is frozen.
        """
        return self._deploying.deploy(
            domain,
            version,
            share,
            actor,
            force=force,
            break_glass=break_glass,
            expected_revision=expected_revision,
        )

    def deployment(self, id: str) -> Deployment:
        """One deployment, with what people said of it.

        Raises:
            NotFound: there is none of that id.
        """
        return self._approving.get(id)

    def waiting(self, domain: str | None = None) -> Sequence[Deployment]:
        """Deployments that wait for approval, oldest first."""
        with self._database.read() as connection:
            return store.waiting(connection, domain)

    def approve(self, id: str, *, actor: Actor, break_glass: bool = False) -> Deployment:
        """Agree to a deployment that waits; it is deployed once enough people have.

        The approval holds for the artefact and the gate policy that were asked about, and the gates are asked again:
        where any of it has changed, or the time is over, the request becomes ``voided`` and nothing is deployed.

        Args:
            id: of the deployment.
            actor: who agrees: neither who asked nor who trained the version.
            break_glass: deploy although the domain is frozen; needs the reason.

        Returns:
            The deployment: ``waiting`` for more, ``deployed``, ``approved`` where a rollout may now be started, or
            ``voided`` with its ``outcome``.

        Raises:
            NotFound: there is none of that id.
            Conflict: it does not wait, the actor has agreed before, or the version cannot be served (any more).
            PolicyDenied: the actor is one of the authors or nobody, or the domain is frozen.
        """
        return self._approving.approve(id, actor, break_glass=break_glass)

    def reject(self, id: str, *, actor: Actor) -> Deployment:
        """Refuse a deployment that waits, or a rollout that may begin. Who asked for it may do so too.

        Raises:
            NotFound: there is none of that id.
            Conflict: it does not wait.
        """
        return self._approving.reject(id, actor)

    def shift(
        self,
        domain: str,
        weights: Mapping[str, int],
        *,
        actor: Actor,
        expected_revision: int | None = None,
        break_glass: bool = False,
    ) -> TrafficPlan:
        """Give versions that are or were in service new weights, in basis points; what is not named gets nothing.

        Raises:
            NotFound: nothing is deployed in the domain.
            InvalidInput: the weights are malformed or do not sum to 100 %.
            Conflict: a version was never deployed here or was rolled back, or the plan has changed meanwhile.
            PolicyDenied: the domain is frozen, and the newest version would not merely get less.
        """
        return self._shifting.shift(domain, weights, actor, expected_revision, break_glass)

    def share(
        self,
        domain: str,
        share: int,
        *,
        actor: Actor,
        expected_revision: int | None = None,
        break_glass: bool = False,
    ) -> TrafficPlan:
        """Give the newest version in service this share, in basis points; the others keep the rest, in proportion.

        Raises:
            NotFound: nothing is deployed in the domain.
            InvalidInput: the share is out of bounds, or only one version is in service.
            Conflict: the plan has changed since ``expected_revision``.
        """
        return self._shifting.share(domain, share, actor, expected_revision, break_glass)

    def promote(
        self,
        domain: str,
        version: str | None = None,
        *,
        actor: Actor,
        expected_revision: int | None = None,
        break_glass: bool = False,
    ) -> TrafficPlan:
        """Give one of the versions in service the whole traffic.

        Args:
            domain: where.
            version: default: the one that was deployed last, of those in service.
            actor: who does it.
            expected_revision: of the plan that the caller decided on; None: whatever is in force.
            break_glass: do it although the domain is frozen; needs the reason.

        Raises:
            NotFound: nothing is deployed in the domain.
            PolicyDenied: the domain is frozen.
            Conflict: the version is not in service or already has everything, or the plan has changed meanwhile.
        """
        return self._shifting.promote(domain, version, actor, expected_revision, break_glass)

    def shadow(
        self,
        domain: str,
        version: str | None,
        *,
        share: int = SLOTS,
        actor: Actor,
        expected_revision: int | None = None,
    ) -> TrafficPlan:
        """Let a version answer copies of requests in the background, unseen; it needs no gate, for it serves nobody.

        Args:
            domain: where.
            version: a registered version of the domain; None: nobody any more.
            share: basis points of the requests that are copied.
            actor: who does it.
            expected_revision: of the plan that the caller decided on; None: whatever is in force.

        Raises:
            NotFound: nothing is deployed in the domain, or the version does not exist.
            InvalidInput: the version belongs to another domain, or the share is out of bounds.
            Conflict: the version serves everybody already, its artefact is damaged, the domain is archived, or the
                plan has changed meanwhile.
        """
        cast = None
        if version is not None:
            self._deploying.require_servable(domain, self._judge.version(domain, version))
            cast = Shadow(version, share)
        with self._traffic.changing() as connection:
            present_plan(self._traffic, connection, domain)
            return self._traffic.cast(connection, domain, cast, actor=actor, expected_revision=expected_revision)

    def rollback(self, domain: str, *, actor: Actor, expected_revision: int | None = None) -> Rollback:
        """Take the newcomer out: bring back the last plan that did not serve it. Again: go further back.

        It needs nothing but the database: no gate, no registry, no cache. Experiments that send users to the newcomer
        are paused in the same transaction.

        Raises:
            NotFound: nothing is deployed in the domain.
            Conflict: there is nothing to go back to, or the plan has changed since ``expected_revision``.
        """
        return self._rolling_back.rollback(domain, actor, expected_revision)

    def watch(self, now: datetime | None = None) -> list[RollbackEvent]:
        """Look once at young deployments, and take back those that made things worse; void approvals that expired.

        Any process may call it at any time, as often as it likes; `serve` does, in one process of many.

        Args:
            now: by default the clock's.

        Returns:
            The rollbacks that it made.
        """
        self._approving.expire(Actor(WATCHER))
        return self._watch.watch(now or self._clock.now()) if self._watch else []

    def degradation(self, id: str) -> tuple[Finding, ...]:
        """What speaks now for taking a deployment back, changing nothing.

        Raises:
            NotFound: there is none of that id.
        """
        made = self.deployment(id)
        return self._watch.judge(made, self._clock.now()) if self._watch else ()

    def rollbacks(self, domain: str | None = None, *, limit: int = 100) -> Sequence[RollbackEvent]:
        """Rollbacks of a domain or of all, newest first, by hand and automatic."""
        with self._database.read() as connection:
            return rollback_store.listed(connection, domain, limit)

    def served_at(self, domain: str, instant: datetime) -> Sequence[ServedVersion]:
        """What served a domain at an instant: versions, shares, deployments with who approved them, artefacts.

        Empty before the first plan. It is one indexed read of the plan, and one of the deployments behind it.
        """
        record = self._traffic.plan_at(domain, instant)
        if record is None:
            return []
        with self._database.read() as connection:
            made = store.latest_by_version(connection, domain, record.plan.revision)
        return [
            ServedVersion(domain, version, share, record.at, record.plan.revision, record.actor, made.get(version))
            for version, share in record.plan.weights.items()
        ]

    def history(self, domain: str | None = None, *, limit: int = 100) -> Sequence[Deployment]:
        """Deployments of a domain or of all, newest first, the held ones included."""
        with self._database.read() as connection:
            return store.listed(connection, domain, limit)

    def require_servable(self, domain: str, version: ModelVersion) -> None:
        """Refuse what could not be served.

        Raises:
            Conflict: the domain is archived, or the artefact is not what was registered.
        """
        self._deploying.require_servable(domain, version)
