"""Puts versions into service and takes them out again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.delivery import store
from bailiwick.delivery.gates import explain, judge
from bailiwick.delivery.model import Deployment, DeploymentStatus, GateResult, Rollback
from bailiwick.delivery.rollback import rollback_target
from bailiwick.delivery.rollout.recording import supersede
from bailiwick.domains.model import DomainRevision, Lifecycle
from bailiwick.errors import Conflict, InvalidInput, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.registry.model import ModelVersion
from bailiwick.storage.database import Database
from bailiwick.storage.ids import new_id
from bailiwick.traffic.model import SLOTS, TrafficPlan
from bailiwick.traffic.service import TrafficService
from bailiwick.traffic.weights import check_weights, percent, share_weights

_SHIFTABLE = {DeploymentStatus.DEPLOYED, DeploymentStatus.PROMOTED, DeploymentStatus.REPLACED}


Removed = Callable[[Connection, str, Set[str], Actor], Sequence[str]]
"""Told in the unit of a rollback: a domain, its versions that were taken out, who did it. Returns what it stopped."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gates say about a version, before anything is done."""

    version: ModelVersion
    gates: tuple[GateResult, ...]

    @property
    def passed(self) -> bool:
        """Every gate passed."""
        return all(gate.passed for gate in self.gates)

    @property
    def reason(self) -> str:
        """In one line."""
        return explain(self.gates)


class DeliveryService:
    """Deployments of every domain. Each change is one transaction with its plan, its records and its audit entries.

    Args:
        traffic: whose plans it changes; nobody else should.
        versions: the registered version of an id; raises `NotFound`.
        versions_of: every registered version of a domain, newest first.
        domains: the current revision of a domain; raises `NotFound`.
        check_artefact: called with a version before it is deployed; raises when it could not be loaded.
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
        on_removed: Removed | None = None,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._traffic = traffic
        self._versions = versions
        self._versions_of = versions_of
        self._domains = domains
        self._check_artefact = check_artefact
        self._on_removed = on_removed

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
        model_version = self._version(domain, version)
        return Verdict(model_version, judge(model_version.metrics, self._domains(domain).domain.thresholds))

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
                return self._record(connection, domain, verdict, share, present, None, actor)
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
            staying = plan.weights.keys() - {version}
            self._settle(connection, domain, present.keys(), staying, actor, leaving=DeploymentStatus.REPLACED)
            return self._record(connection, domain, verdict, share, present, plan.revision, actor)

    def shift(
        self, domain: str, weights: Mapping[str, int], *, actor: Actor, expected_revision: int | None = None
    ) -> TrafficPlan:
        """Give versions that are or were in service new weights, in basis points; what is not named gets nothing.

        Raises:
            NotFound: nothing is deployed in the domain.
            InvalidInput: the weights are malformed or do not sum to 100 %.
            Conflict: a version was never deployed here or was rolled back, or the plan has changed meanwhile.
        """
        wanted = check_weights(weights)
        with self._traffic.changing() as connection:
            present = self._present(connection, domain)
            self._require_deployed(connection, domain, wanted.keys() - present.weights.keys())
            plan = self._traffic.change(connection, domain, wanted, actor=actor, expected_revision=expected_revision)
            self._settle(
                connection,
                domain,
                present.weights.keys(),
                plan.weights.keys(),
                actor,
                leaving=DeploymentStatus.REPLACED,
            )
        return plan

    def share(self, domain: str, share: int, *, actor: Actor, expected_revision: int | None = None) -> TrafficPlan:
        """Give the newest version in service this share, in basis points; the others keep the rest, in proportion.

        Raises:
            NotFound: nothing is deployed in the domain.
            InvalidInput: the share is out of bounds, or only one version is in service.
            Conflict: the plan has changed since ``expected_revision``.
        """
        with self._traffic.changing() as connection:
            present = self._present(connection, domain)
            newest = _latest_in_service(present, store.latest_by_version(connection, domain))
            weights = share_weights(present.weights, newest, share)
            plan = self._traffic.change(connection, domain, weights, actor=actor, expected_revision=expected_revision)
            self._settle(
                connection,
                domain,
                present.weights.keys(),
                plan.weights.keys(),
                actor,
                leaving=DeploymentStatus.REPLACED,
            )
        return plan

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
        with self._traffic.changing() as connection:
            present = self._present(connection, domain)
            latest = store.latest_by_version(connection, domain)
            chosen = version or _latest_in_service(present, latest)
            if chosen not in present.weights:
                raise Conflict(
                    f"{chosen!r} is not in service in {domain!r}",
                    what="version",
                    requested=chosen,
                    allowed=list(present.weights),
                    remedy="deploy it first",
                )
            if present.weights[chosen] == SLOTS:
                raise Conflict(f"{chosen!r} already serves all of {domain!r}", what="version", requested=chosen)
            plan = self._traffic.change(
                connection,
                domain,
                {chosen: SLOTS},
                actor=actor,
                expected_revision=expected_revision,
                action="traffic.promote",
            )
            self._settle(
                connection,
                domain,
                present.weights.keys(),
                plan.weights.keys(),
                actor,
                leaving=DeploymentStatus.REPLACED,
            )
            if chosen in latest:
                self._set_status(connection, latest[chosen], DeploymentStatus.PROMOTED, actor)
        return plan

    def rollback(self, domain: str, *, actor: Actor, expected_revision: int | None = None) -> Rollback:
        """Take the newcomer out: bring back the last plan that did not serve it. Again: go further back.

        It needs nothing but the database: no gate, no registry, no cache. Experiments that send users to the newcomer
        are paused in the same transaction.

        Raises:
            NotFound: nothing is deployed in the domain.
            Conflict: there is nothing to go back to, or the plan has changed since ``expected_revision``.
        """
        with self._traffic.changing() as connection:
            present = self._present(connection, domain)
            target = rollback_target(self._traffic.past(connection, domain))
            if target is None:
                raise Conflict(
                    f"{domain!r} served nothing before {', '.join(present.weights)}",
                    what="domain",
                    requested=domain,
                    remedy="deploy another version, or archive the domain",
                )
            plan = self._traffic.restore(
                connection, domain, target.plan.revision, actor=actor, expected_revision=expected_revision
            )
            self._settle(
                connection,
                domain,
                present.weights.keys(),
                plan.weights.keys(),
                actor,
                leaving=DeploymentStatus.ROLLED_BACK,
            )
            removed = [version for version in present.weights if version not in plan.weights]
            paused = self._on_removed(connection, domain, set(removed), actor) if self._on_removed else ()
        return Rollback(domain, removed, target.plan.revision, plan, tuple(paused))

    def history(self, domain: str | None = None, *, limit: int = 100) -> Sequence[Deployment]:
        """Deployments of a domain or of all, newest first, the held ones included."""
        with self._database.read() as connection:
            return store.listed(connection, domain, limit)

    def admit(
        self,
        connection: Connection,
        verdict: Verdict,
        share: int,
        present: Mapping[str, int],
        plan_revision: int | None,
        actor: Actor,
    ) -> Deployment:
        """Record the deployment of a version by a rollout, which makes the plans itself; held without a plan."""
        return self._record(connection, verdict.version.domain, verdict, share, present, plan_revision, actor)

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
            self._set_status(connection, latest[leaving], status, actor)
        if promoted is not None and promoted in latest:
            self._set_status(connection, latest[promoted], DeploymentStatus.PROMOTED, actor)
        if status is DeploymentStatus.ROLLED_BACK and self._on_removed:
            self._on_removed(connection, domain, {leaving}, actor)

    def require_servable(self, domain: str, version: ModelVersion) -> None:
        """Refuse what could not be served.

        Raises:
            Conflict: the domain is archived, or the artefact is damaged.
        """
        self._require_servable(domain, version)

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

    def _present(self, connection: Connection, domain: str) -> TrafficPlan:
        newest = self._traffic.newest(connection, domain)
        if newest is None:
            raise NotFound(
                f"nothing is deployed in {domain!r}",
                what="domain",
                requested=domain,
                remedy=f"deploy its newest version with `bailiwick deploy {domain}`",
            )
        return newest.plan

    def _require_deployed(self, connection: Connection, domain: str, versions: set[str]) -> None:
        """Traffic goes only to what has passed the gates or was forced past them."""
        latest = store.latest_by_version(connection, domain)
        for version in sorted(versions):
            if version not in latest or latest[version].status not in _SHIFTABLE:
                state = "was rolled back from" if version in latest else "is not deployed in"
                raise Conflict(
                    f"{version!r} {state} {domain!r}",
                    what="version",
                    requested=version,
                    remedy=f"pass it through the gates with `bailiwick deploy {version} --share 1%`",
                )

    def _record(
        self,
        connection: Connection,
        domain: str,
        verdict: Verdict,
        share: int,
        present: Mapping[str, int],
        plan_revision: int | None,
        actor: Actor,
    ) -> Deployment:
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

    def _settle(
        self,
        connection: Connection,
        domain: str,
        before: Set[str],
        after: Set[str],
        actor: Actor,
        *,
        leaving: DeploymentStatus,
    ) -> None:
        """Say of each deployment whose version left or came back what became of it; end what a rollout had begun."""
        newest = self._traffic.newest(connection, domain)
        supersede(self._audit, self._clock, connection, domain, newest.plan.revision if newest else 0, actor)
        latest = store.latest_by_version(connection, domain)
        for version in sorted((before - after) & latest.keys()):
            self._set_status(connection, latest[version], leaving, actor)
        for version in sorted((after - before) & latest.keys()):
            self._set_status(connection, latest[version], DeploymentStatus.DEPLOYED, actor)

    def _set_status(self, connection: Connection, changed: Deployment, status: DeploymentStatus, actor: Actor) -> None:
        store.set_status(connection, changed.id, status, self._clock.now(), actor.name)
        self._audit.record(
            connection,
            actor,
            f"deployment.{status.value}",
            f"deployment:{changed.id}",
            before={"status": changed.status.value},
            after={"status": status.value},
        )


def _latest_in_service(plan: TrafficPlan, latest: Mapping[str, Deployment]) -> str:
    """The version that was deployed last, of those that serve; ``latest`` is in the order of deployment."""
    serving = [version for version in latest if version in plan.weights]
    return serving[-1] if serving else next(reversed(plan.weights))
