"""Reads and changes gate policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from bailiwick.clock import Clock
from bailiwick.delivery import policy_store
from bailiwick.delivery.policy import GatePolicy, PolicyRecord, changed
from bailiwick.delivery.rollout.freeze import FreezeWindow
from bailiwick.errors import Conflict
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.storage.database import Database


class GatePolicies:
    """The gate policies of one environment.

    Args:
        environment: such as ``production``; others may keep their policies in the same database.
        check_domain: raises `NotFound` for a domain that does not exist.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        environment: str,
        check_domain: Callable[[str], object],
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self.environment = environment
        self._check_domain = check_domain

    def current(self, domain: str, environment: str | None = None) -> PolicyRecord:
        """The policy in force; of revision 0 where nobody has set one.

        Raises:
            NotFound: there is no such domain.
        """
        self._check_domain(domain)
        with self._database.read() as connection:
            return policy_store.newest(connection, domain, environment or self.environment)

    def seen_by(self, connection: Connection, domain: str) -> PolicyRecord:
        """The policy in force, as the caller's unit sees it."""
        return policy_store.newest(connection, domain, self.environment)

    def freezes(self, domain: str) -> tuple[FreezeWindow, ...]:
        """The freezes of the policy in force; none for a domain without one."""
        with self._database.read() as connection:
            return self.seen_by(connection, domain).policy.windows

    def history(self, domain: str, environment: str | None = None, *, limit: int = 100) -> Sequence[PolicyRecord]:
        """Revisions, newest first; none where nobody has set one."""
        with self._database.read() as connection:
            return policy_store.history(connection, domain, environment or self.environment, limit)

    def change(
        self,
        domain: str,
        changes: Mapping[str, Any],
        *,
        actor: Actor,
        environment: str | None = None,
        expected_revision: int | None = None,
    ) -> PolicyRecord:
        """Change some keys; None brings a key's default back. Without any difference nothing is written.

        Deployments that wait for approval become void: they were to be judged by the policy as it was.

        Raises:
            NotFound: there is no such domain.
            InvalidInput: a key is unknown, or a value does not fit.
            Conflict: somebody changed the policy since ``expected_revision``, or at this moment.
        """
        self._check_domain(domain)
        environment = environment or self.environment
        try:
            with self._database.write() as connection:
                return self._change(connection, domain, environment, changes, actor, expected_revision)
        except IntegrityError as error:
            raise _changed_first(domain, None, None) from error

    def _change(
        self,
        connection: Connection,
        domain: str,
        environment: str,
        changes: Mapping[str, Any],
        actor: Actor,
        expected_revision: int | None,
    ) -> PolicyRecord:
        present = policy_store.newest(connection, domain, environment)
        if expected_revision is not None and expected_revision != present.revision:
            raise _changed_first(domain, expected_revision, present.revision)
        policy = changed(present.policy, changes)
        if policy == present.policy:
            return present
        now = self._clock.now()
        made = PolicyRecord(domain, environment, present.revision + 1, policy, now, actor.name, actor.reason)
        policy_store.append(connection, made)
        before, after = _differences(present.policy, policy)
        subject = f"gate_policy:{domain}:{environment}"
        self._audit.record(
            connection,
            actor,
            "gate_policy.set",
            subject,
            before={"revision": present.revision, **before},
            after={"revision": made.revision, **after},
        )
        return made


def _differences(before: GatePolicy, after: GatePolicy) -> tuple[dict[str, Any], dict[str, Any]]:
    names = [name for name in GatePolicy.__dataclass_fields__ if getattr(before, name) != getattr(after, name)]
    return {name: getattr(before, name) for name in names}, {name: getattr(after, name) for name in names}


def _changed_first(domain: str, expected: int | None, present: int | None) -> Conflict:
    return Conflict(
        f"somebody changed the gate policy of {domain!r} first",
        what="revision",
        requested=expected,
        allowed=present,
        remedy=f"look at it with `bailiwick gate show {domain}`, and decide again",
    )
