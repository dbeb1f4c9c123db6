"""What others call to read and change domains. Every change is one transaction with its audit entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.domains.difference import revision_difference
from bailiwick.domains.document import checked, domain_json
from bailiwick.domains.lifecycle import Step, after_step, no_such_domain
from bailiwick.domains.merge import ImportOutcome, plan_import
from bailiwick.domains.model import (
    CatalogueState,
    CatalogueVersion,
    Domain,
    DomainRevision,
    DomainSet,
    FieldChange,
    Lifecycle,
)
from bailiwick.domains.references import check_not_needed, check_references
from bailiwick.domains.store import DomainStore, standings
from bailiwick.errors import Conflict, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.storage.database import Database

LIVING = (Lifecycle.DRAFT, Lifecycle.ACTIVE, Lifecycle.ARCHIVED)
"""Every lifecycle but deleted."""

Publish = Callable[[Callable[[], CatalogueState | None]], object]

_LARGEST_AUDITED = 2_000


class DomainService:
    """Domains, their revisions and their lifecycle.

    Args:
        database: where they are kept.
        audit: where changes are recorded.
        clock: dates revisions.
        publish: called after each committed change, outside the transaction, with a way to read the new state; must
            not raise (see `sources.CataloguePublisher`).
    """

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        publish: Publish | None = None,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._publish = publish
        self._store = DomainStore(database)

    # Reading

    def get(self, domain_id: str, revision: int | None = None) -> DomainRevision:
        """The current revision of a domain, or an earlier one (also of a deleted domain).

        Raises:
            NotFound: there is no such domain or revision, or it was deleted and no revision is named.
        """
        with self._database.read() as connection:
            return self._get(connection, domain_id, revision)

    def list_domains(self, lifecycles: Sequence[Lifecycle] = LIVING) -> list[DomainRevision]:
        """The current revisions of all domains in these lifecycles, by id."""
        with self._database.read() as connection:
            return self._store.current(connection, lifecycles)

    def history(self, domain_id: str, limit: int = 100) -> list[DomainRevision]:
        """The latest revisions, newest first, also of a deleted domain.

        Raises:
            NotFound: the id was never used.
        """
        with self._database.read() as connection:
            found = self._store.history(connection, domain_id, limit)
        if not found:
            raise no_such_domain(domain_id)
        return found

    def diff(self, domain_id: str, before: int | None = None, after: int | None = None) -> tuple[FieldChange, ...]:
        """What changed between two revisions.

        Args:
            domain_id: also of a deleted domain.
            before: default: the one before ``after`` (the first revision is compared with itself).
            after: default: the current one.

        Raises:
            NotFound: there is no such domain or revision.
        """
        with self._database.read() as connection:
            head = self._store.head(connection, domain_id)
            if head is None:
                raise no_such_domain(domain_id)
            newer = self._get(connection, domain_id, head.revision if after is None else after)
            older = self._get(connection, domain_id, max(1, newer.revision - 1) if before is None else before)
        return revision_difference(older, newer)

    def default_domain(self) -> str | None:
        """The domain that answers what no other claims."""
        with self._database.read() as connection:
            return self._store.default_domain(connection)

    def version(self) -> CatalogueVersion | None:
        """The one number that readers poll; None while no domain was ever made."""
        with self._database.read() as connection:
            return self._store.version(connection)

    def state(self) -> CatalogueState | None:
        """Every domain that is not deleted, at one version; None while no domain was ever made."""
        with self._database.read() as connection:
            return self._store.state(connection)

    def export_document(self) -> DomainSet:
        """Every domain that is not deleted, ready for `document.serialise`."""
        state = self.state()
        return DomainSet() if state is None else state.document

    # Changing

    def create(self, domain: Domain, actor: Actor, *, activate: bool = False) -> DomainRevision:
        """Make a domain, as a draft unless told to activate it at once.

        Raises:
            InvalidInput: the domain breaks a rule of `schema`, or its fallback does not exist.
            Conflict: the id is in use, or it is to be active and its fallback is not.
        """
        valid = checked(domain, source="request")
        with self._change() as connection:
            head = self._store.head(connection, valid.id)
            lifecycle = after_step(valid.id, None if head is None else head.lifecycle, Step.CREATE)
            return self._append(connection, Step.CREATE, valid, Lifecycle.ACTIVE if activate else lifecycle, actor)

    def update(self, domain: Domain, actor: Actor, *, expected_revision: int | None = None) -> DomainRevision:
        """Replace a domain's configuration. An equal one makes no new revision.

        Args:
            domain: as it shall be; its id says which one.
            actor: who asks.
            expected_revision: the revision that the change was made from; None: whatever is current.

        Raises:
            InvalidInput: the domain breaks a rule of `schema`, or its fallback does not exist.
            NotFound: there is no such domain.
            Conflict: the current revision is another one: somebody else changed it first.
        """
        valid = checked(domain, source="request")
        return self._step(valid.id, Step.UPDATE, actor, expected_revision, domain=valid)

    def activate(self, domain_id: str, actor: Actor, *, expected_revision: int | None = None) -> DomainRevision:
        """Let a draft or archived domain be detected and served.

        Raises:
            NotFound: there is no such domain.
            Conflict: its fallback is not active, or somebody else changed it first.
        """
        return self._step(domain_id, Step.ACTIVATE, actor, expected_revision)

    def archive(self, domain_id: str, actor: Actor, *, expected_revision: int | None = None) -> DomainRevision:
        """Take a domain out of detection and service.

        Raises:
            NotFound: there is no such domain.
            Conflict: it is the default or an active domain's fallback, or somebody else changed it first.
        """
        return self._step(domain_id, Step.ARCHIVE, actor, expected_revision)

    def delete(
        self, domain_id: str, actor: Actor, *, force: bool = False, expected_revision: int | None = None
    ) -> DomainRevision:
        """Delete a domain; its history stays.

        Raises:
            NotFound: there is no such domain.
            Conflict: force is missing, it is the default or a fallback, or somebody else changed it first.
        """
        return self._step(domain_id, Step.DELETE, actor, expected_revision, force=force)

    def set_default(self, domain_id: str | None, actor: Actor) -> None:
        """Name the active domain that answers what no other claims; None: none.

        Raises:
            NotFound: there is no such domain.
            Conflict: it is not active.
        """
        with self._change() as connection:
            if domain_id is not None:
                self._get(connection, domain_id, None)
            self._set_default(connection, domain_id, actor)
            self._check(connection)

    def import_document(self, document: DomainSet, actor: Actor, *, dry_run: bool = False) -> ImportOutcome:
        """Create and update domains as a document says: all of it or nothing.

        Domains that the document does not name stay as they are, and so does the default when it names none.

        Args:
            document: from `document.parse_document`.
            actor: who asks.
            dry_run: check and report only.

        Raises:
            InvalidInput: a reference is broken.
            Conflict: a lifecycle cannot be reached, or a reference needs an active domain.
        """
        try:
            with self._change() as connection:
                current = {each.domain.id: each for each in self._store.current(connection, LIVING)}
                plan = plan_import(current, document)
                for change in plan:
                    self._append(connection, change.step, change.domain, change.lifecycle, actor, check=False)
                if document.default_domain is not None:
                    self._set_default(connection, document.default_domain, actor)
                self._check(connection)
                outcome = ImportOutcome(
                    created=tuple(each.domain.id for each in plan if each.step is Step.CREATE),
                    updated=tuple(each.domain.id for each in plan if each.step is Step.UPDATE),
                    unchanged=tuple(sorted(document.domains.keys() - {each.domain.id for each in plan})),
                    default_domain=self._store.default_domain(connection),
                    dry_run=dry_run,
                )
                if dry_run:
                    raise _DryRun
        except _DryRun:
            pass
        return outcome

    # Inside

    @contextmanager
    def _change(self) -> Iterator[Connection]:
        """A write unit that holds the lock of all domains; announces the change once it is committed."""
        with self._database.write() as connection:
            self._store.lock(connection)
            before = self._store.version(connection)
            yield connection
            changed = self._store.version(connection) != before
        if changed and self._publish is not None:
            self._publish(self.state)

    def _get(self, connection: Connection, domain_id: str, revision: int | None) -> DomainRevision:
        head = self._store.head(connection, domain_id)
        if head is None:
            raise no_such_domain(domain_id)
        if revision is None and head.lifecycle is Lifecycle.DELETED:
            raise no_such_domain(domain_id, deleted=True)
        wanted = head.revision if revision is None else revision
        found = self._store.revision(connection, domain_id, wanted)
        if found is None:
            raise NotFound(
                f"domain {domain_id!r} has no revision {wanted}",
                what="revision",
                requested=wanted,
                allowed=f"1 to {head.revision}",
                remedy=f"see `bailiwick domain history {domain_id}`",
            )
        return found

    def _step(
        self,
        domain_id: str,
        step: Step,
        actor: Actor,
        expected_revision: int | None,
        *,
        domain: Domain | None = None,
        force: bool = False,
    ) -> DomainRevision:
        with self._change() as connection:
            present = self._get(connection, domain_id, None)
            _check_expected(present, expected_revision)
            lifecycle = after_step(domain_id, present.lifecycle, step, force=force)
            if lifecycle is not present.lifecycle:
                check_not_needed(
                    domain_id,
                    lifecycle,
                    standings(self._store.heads(connection)),
                    self._store.default_domain(connection),
                )
            wanted = present.domain if domain is None else domain
            if wanted == present.domain and lifecycle is present.lifecycle:
                return present
            return self._append(connection, step, wanted, lifecycle, actor)

    def _append(
        self,
        connection: Connection,
        step: Step,
        domain: Domain,
        lifecycle: Lifecycle,
        actor: Actor,
        *,
        check: bool = True,
    ) -> DomainRevision:
        head = self._store.head(connection, domain.id)
        before = None if head is None else self._store.revision(connection, domain.id, head.revision)
        revision = DomainRevision(
            domain=domain,
            revision=1 if head is None else head.revision + 1,
            lifecycle=lifecycle,
            created_at=self._clock.now(),
            created_by=actor.name,
            reason=actor.reason,
        )
        self._store.add_revision(connection, revision)
        if check:
            self._check(connection)
        self._store.advance(connection)
        old, new = _audited(before, revision)
        self._audit.record(connection, actor, f"domain.{step}", f"domain:{domain.id}", before=old, after=new)
        return revision

    def _set_default(self, connection: Connection, domain_id: str | None, actor: Actor) -> None:
        before = self._store.default_domain(connection)
        if before == domain_id:
            return
        self._store.set_default(connection, domain_id)
        self._store.advance(connection)
        self._audit.record(
            connection,
            actor,
            "domain.default",
            f"domain:{domain_id or before}",
            before={"default_domain": before},
            after={"default_domain": domain_id},
        )

    def _check(self, connection: Connection) -> None:
        check_references(standings(self._store.heads(connection)), self._store.default_domain(connection))


class _DryRun(Exception):
    """Rolls an import back after it was found possible."""


def _check_expected(present: DomainRevision, expected: int | None) -> None:
    if expected is not None and expected != present.revision:
        raise Conflict(
            f"domain {present.domain.id!r} is at revision {present.revision}, not {expected}: "
            f"{present.created_by} changed it first",
            what="revision",
            requested=expected,
            allowed=present.revision,
            remedy=f"look at `bailiwick domain diff {present.domain.id}`, then repeat your change on the new revision",
        )


def _audited(before: DomainRevision | None, after: DomainRevision) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """What the audit entry says: where both stand, and the fields that differ (large ones by their size only).

    The whole configuration stands in the immutable revision that the entry names.
    """
    if before is None:
        return None, _outline(after, domain_json(after.domain))
    changes = revision_difference(before, replace(after, lifecycle=before.lifecycle))
    return (
        _outline(before, {change.field: change.before for change in changes}),
        _outline(after, {change.field: change.after for change in changes}),
    )


def _outline(revision: DomainRevision, fields: dict[str, Any]) -> dict[str, Any]:
    short = {
        name: value
        if not isinstance(value, list | str | dict) or len(str(value)) <= _LARGEST_AUDITED
        else f"{len(value)} entries or characters, see the revision"
        for name, value in fields.items()
    }
    return {"revision": revision.revision, "lifecycle": revision.lifecycle.value, "fields": short}
