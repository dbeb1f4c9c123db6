"""Reads and changes traffic plans. One writer at a time, each change checked against the revision it was based on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.errors import BailiwickError, Conflict, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.storage.cache import Cache
from bailiwick.storage.database import Database
from bailiwick.traffic import experiment_store, store
from bailiwick.traffic.experiment_service import ExperimentPlacement, by_domain
from bailiwick.traffic.model import Comparison, PlanRecord, Shadow, TrafficPlan
from bailiwick.traffic.shadow import check_shadow, useful
from bailiwick.traffic.weights import check_weights, reweight, whole
from bailiwick.traffic.wire import PublishedPlans, dump_plans, load_plans

CACHE_KEY = "bailiwick:plans"

_log = logging.getLogger(__name__)
_PUBLISH_ATTEMPTS = 5


class TrafficService(ExperimentPlacement):
    """The traffic plans of every domain, and the experiments that run beside them.

    Args:
        cache: gets every plan after each change (key `CACHE_KEY`); that it fails never breaks a change.
    """

    def __init__(self, database: Database, audit: AuditTrail, clock: Clock, cache: Cache | None = None) -> None:
        super().__init__(database, audit, clock)
        self._cache = cache

    def plan(self, domain: str) -> TrafficPlan | None:
        """The plan in force, or None while nothing is deployed."""
        with self._database.read() as connection:
            record = store.newest(connection, domain)
        return record.plan if record else None

    def plans(self) -> dict[str, TrafficPlan]:
        """The plans in force, by domain."""
        with self._database.read() as connection:
            return {record.plan.domain: record.plan for record in store.all_newest(connection)}

    def revision(self) -> int:
        """A counter that grows by one with each change of a plan, an experiment or the holdout; cheap to poll."""
        with self._database.read() as connection:
            return store.revision(connection)

    def history(self, domain: str, *, limit: int = 100) -> Sequence[PlanRecord]:
        """The revisions of a domain's plan, newest first."""
        with self._database.read() as connection:
            return store.history(connection, domain, limit)

    def plan_at(self, domain: str, instant: datetime) -> PlanRecord | None:
        """What was in force at an instant, with who put it there and why; None before the first plan."""
        with self._database.read() as connection:
            return store.at(connection, domain, instant)

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """A write unit in which nobody else changes plans; what it changed is published once it is committed.

        Everything decided inside is decided on plans that stay as they were read.
        """
        with self._database.write() as connection:
            store.lock(self._database, connection)
            yield connection
        self.publish()

    def newest(self, connection: Connection, domain: str) -> PlanRecord | None:
        """The plan in force, as seen by the caller's unit."""
        return store.newest(connection, domain)

    def past(self, connection: Connection, domain: str) -> Sequence[PlanRecord]:
        """The whole history of a domain's plan, newest first, as seen by the caller's unit."""
        return store.history(connection, domain)

    def change(
        self,
        connection: Connection,
        domain: str,
        weights: Mapping[str, int],
        *,
        actor: Actor,
        expected_revision: int | None = None,
        action: str = "traffic.shift",
        compare: Callable[[TrafficPlan], Comparison] | None = None,
    ) -> TrafficPlan:
        """Give a domain's versions new weights, in basis points. Without any difference nothing is written.

        Args:
            connection: of `changing`, or of any write unit whose owner calls `publish` after the commit.
            domain: whose plan.
            weights: by version, summing to `SLOTS`; a version that is not named gets nothing.
            actor: who does it, and why.
            expected_revision: the revision that the caller decided on (0: no plan yet); None: whatever is in force.
            action: the name under which the change is audited.
            compare: what is compared in the new plan; without it nothing is, whatever was before.

        Raises:
            Conflict: somebody changed the plan since ``expected_revision``.
            InvalidInput: the weights are malformed or do not sum to 100 %.
        """

        def next_plan(present: TrafficPlan | None) -> TrafficPlan:
            if present is not None:
                plan = reweight(present, weights)
            else:
                first = whole(domain, next(iter(check_weights(weights))), salt=f"traffic:{domain}")
                plan = replace(reweight(first, weights), revision=1)
            return replace(plan, comparison=compare(plan) if compare else None)

        return self._append(connection, domain, next_plan, actor, expected_revision, action)

    def restore(
        self,
        connection: Connection,
        domain: str,
        revision: int,
        *,
        actor: Actor,
        expected_revision: int | None = None,
        action: str = "traffic.rollback",
    ) -> TrafficPlan:
        """Bring an earlier revision's assignment back, to the slot, as a new revision without comparison and shadow.

        Raises:
            Conflict: somebody changed the plan since ``expected_revision``.
            NotFound: there is no such revision.
        """
        earlier = next((r for r in store.history(connection, domain) if r.plan.revision == revision), None)
        if earlier is None:
            raise NotFound(f"the plan of {domain!r} has no revision {revision}", what="revision", requested=revision)

        def next_plan(present: TrafficPlan | None) -> TrafficPlan:
            revision = present.revision + 1 if present else 1
            return replace(earlier.plan, revision=revision, comparison=None, shadow=None)

        return self._append(connection, domain, next_plan, actor, expected_revision, action, restores=revision)

    def cast(
        self,
        connection: Connection,
        domain: str,
        shadow: Shadow | None,
        *,
        actor: Actor,
        expected_revision: int | None = None,
        action: str = "traffic.shadow",
    ) -> TrafficPlan:
        """Let a version answer copies of a domain's requests, or (None) none; who is served stays as it is.

        Raises:
            NotFound: the domain has no plan.
            InvalidInput: the share is out of bounds.
            Conflict: somebody changed the plan since ``expected_revision``, or the version serves everybody.
        """
        if shadow is not None:
            check_shadow(shadow)

        def next_plan(present: TrafficPlan | None) -> TrafficPlan:
            if present is None:
                raise NotFound(f"nothing is deployed in {domain!r}", what="domain", requested=domain)
            if shadow is not None and useful(shadow, present.ranges) is None:
                raise Conflict(f"{shadow.version!r} serves all of {domain!r} already", what="version")
            return replace(present, revision=present.revision + 1, shadow=shadow)

        return self._append(connection, domain, next_plan, actor, expected_revision, action)

    def publish(self) -> None:
        """Put every plan in force, of traffic and of experiments, into the shared cache.

        Two publishers may overtake each other, so each looks again after it has written: whoever writes last has then
        seen that nothing newer is committed.
        """
        if self._cache is None:
            return
        try:
            for _ in range(_PUBLISH_ATTEMPTS):
                with self._database.read() as connection:
                    revision = store.revision(connection)
                    plans = {record.plan.domain: record.plan for record in store.all_newest(connection)}
                    holdout = experiment_store.newest_holdout(connection)[1]
                    published = PublishedPlans(revision, plans, by_domain(connection), holdout)
                self._cache.set(CACHE_KEY, dump_plans(published))
                if self.revision() == revision:
                    return
        except (BailiwickError, OSError) as error:
            _log.warning("the plans are changed but not in the cache: %s", error)

    def published(self) -> PublishedPlans | None:
        """What the shared cache holds: possibly older than the database, None when absent or unreadable."""
        if self._cache is None:
            return None
        try:
            document = self._cache.get(CACHE_KEY)
            return None if document is None else load_plans(document)
        except (BailiwickError, OSError) as error:
            _log.warning("cannot read the plans from the cache: %s", error)
            return None

    def _append(
        self,
        connection: Connection,
        domain: str,
        next_plan: Callable[[TrafficPlan | None], TrafficPlan],
        actor: Actor,
        expected_revision: int | None,
        action: str,
        restores: int | None = None,
    ) -> TrafficPlan:
        store.lock(self._database, connection)
        newest = store.newest(connection, domain)
        present = newest.plan if newest else None
        _check_revision(domain, present.revision if present else 0, expected_revision)
        plan = next_plan(present)
        plan = replace(plan, shadow=useful(plan.shadow, plan.ranges))
        if present is not None and replace(plan, revision=present.revision) == present:
            return present
        # A clock that was set back must not let a later revision seem older than an earlier one.
        now = max(self._clock.now(), newest.at) if newest else self._clock.now()
        store.append(connection, PlanRecord(plan, now, actor.name, action, actor.reason, restores))
        self._audit.record(
            connection,
            actor,
            action,
            f"traffic:{domain}",
            before=_audited(present) if present else None,
            after=_audited(plan),
        )
        return plan


def _audited(plan: TrafficPlan) -> dict[str, object]:
    """What the audit trail says of a plan."""
    compared = {} if plan.comparison is None else {"comparison": asdict(plan.comparison)}
    shadowed = {} if plan.shadow is None else {"shadow": asdict(plan.shadow)}
    return {"revision": plan.revision, "weights": plan.weights, **compared, **shadowed}


def _check_revision(domain: str, present: int, expected: int | None) -> None:
    if expected is not None and expected != present:
        raise Conflict(
            f"the traffic plan of {domain!r} is at revision {present}, not {expected}: somebody changed it first",
            what="revision",
            requested=expected,
            allowed=present,
            remedy="look at the plan as it is now, and decide again",
        )
