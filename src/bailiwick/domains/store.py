"""Tables of the domains: a head per domain, its immutable revisions, and one counter for all of them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Integer,
    PrimaryKeyConstraint,
    RowMapping,
    Select,
    String,
    Table,
    Text,
    select,
)

from bailiwick.domains.document import domain_json, parse_domain
from bailiwick.domains.model import (
    CatalogueState,
    CatalogueVersion,
    Domain,
    DomainRevision,
    DomainSet,
    Lifecycle,
)
from bailiwick.domains.references import Standing
from bailiwick.domains.schema import is_id
from bailiwick.errors import Conflict
from bailiwick.storage.database import Database
from bailiwick.storage.schema import Json, UtcDateTime, metadata

domain_catalogue = Table(
    "domain_catalogue",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("catalogue", String(32), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("default_domain", String(64), nullable=True),
    CheckConstraint("id = 1", name="one_row"),
)

domain_head = Table(
    "domain",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("lifecycle", String(20), nullable=False),
    Column("fallback", String(64), nullable=True),
)

domain_revision = Table(
    "domain_revision",
    metadata,
    Column("domain_id", String(64), ForeignKey("domain.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("lifecycle", String(20), nullable=False),
    Column("config", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("reason", Text, nullable=True),
    PrimaryKeyConstraint("domain_id", "revision"),
)


@dataclass(frozen=True, slots=True)
class Head:
    """Where a domain stands now, without its configuration."""

    revision: int
    lifecycle: Lifecycle
    fallback: str | None


class DomainStore:
    """Queries over the tables. Every method runs inside a unit of the caller."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def version(self, connection: Connection) -> CatalogueVersion | None:
        """The one number that readers poll; None while no domain was ever made."""
        row = connection.execute(select(domain_catalogue.c.catalogue, domain_catalogue.c.revision)).one_or_none()
        return None if row is None else CatalogueVersion(row.catalogue, row.revision)

    def default_domain(self, connection: Connection) -> str | None:
        """The default domain's id."""
        found: str | None = connection.execute(select(domain_catalogue.c.default_domain)).scalar_one_or_none()
        return found

    def lock(self, connection: Connection) -> None:
        """Take the lock that orders all changes of domains; the first statement of every unit that changes one."""
        self._database.upsert(
            connection,
            domain_catalogue,
            [{"id": 1, "catalogue": secrets.token_hex(16), "revision": 0}],
            update=(),
        )
        connection.execute(select(domain_catalogue.c.id).with_for_update())

    def advance(self, connection: Connection) -> None:
        """Count one change, so that readers notice."""
        connection.execute(domain_catalogue.update().values(revision=domain_catalogue.c.revision + 1))

    def set_default(self, connection: Connection, domain_id: str | None) -> None:
        """Name the default domain."""
        connection.execute(domain_catalogue.update().values(default_domain=domain_id))

    def heads(self, connection: Connection) -> dict[str, Head]:
        """Every domain, the deleted ones too."""
        return {
            row.id: Head(row.revision, Lifecycle(row.lifecycle), row.fallback)
            for row in connection.execute(select(domain_head))
        }

    def head(self, connection: Connection, domain_id: str) -> Head | None:
        """One domain's head, or None."""
        if not is_id(domain_id):  # such as one with a NUL character, which PostgreSQL would not even compare
            return None
        row = connection.execute(select(domain_head).where(domain_head.c.id == domain_id)).one_or_none()
        return None if row is None else Head(row.revision, Lifecycle(row.lifecycle), row.fallback)

    def add_revision(self, connection: Connection, new: DomainRevision) -> None:
        """Append a revision and move the head onto it.

        Raises:
            Conflict: somebody else made that revision first. Cannot happen under `lock`; kept as a fence.
        """
        head = {
            "revision": new.revision,
            "lifecycle": new.lifecycle.value,
            "fallback": new.domain.fallback,
        }
        if new.revision == 1:
            connection.execute(domain_head.insert().values(id=new.domain.id, **head))
        else:
            is_next = (domain_head.c.id == new.domain.id) & (domain_head.c.revision == new.revision - 1)
            if connection.execute(domain_head.update().where(is_next).values(**head)).rowcount != 1:
                raise Conflict(f"domain {new.domain.id!r} was changed by somebody else", what="revision")
        connection.execute(
            domain_revision.insert().values(
                domain_id=new.domain.id,
                revision=new.revision,
                lifecycle=new.lifecycle.value,
                config=domain_json(new.domain),
                created_at=new.created_at,
                created_by=new.created_by,
                reason=new.reason,
            )
        )

    def revision(self, connection: Connection, domain_id: str, revision: int) -> DomainRevision | None:
        """One revision, or None."""
        wanted = (domain_revision.c.domain_id == domain_id) & (domain_revision.c.revision == revision)
        row = connection.execute(select(domain_revision).where(wanted)).mappings().one_or_none()
        return None if row is None else _revision(row)

    def history(self, connection: Connection, domain_id: str, limit: int) -> list[DomainRevision]:
        """The latest revisions, newest first."""
        if not is_id(domain_id):
            return []
        query = (
            select(domain_revision)
            .where(domain_revision.c.domain_id == domain_id)
            .order_by(domain_revision.c.revision.desc())
            .limit(limit)
        )
        return [_revision(row) for row in connection.execute(query).mappings()]

    def current(self, connection: Connection, lifecycles: Sequence[Lifecycle]) -> list[DomainRevision]:
        """The current revision of every domain in one of these lifecycles, by id."""
        query = _current().where(domain_head.c.lifecycle.in_([each.value for each in lifecycles]))
        return [_revision(row) for row in connection.execute(query.order_by(domain_head.c.id)).mappings()]

    def state(self, connection: Connection) -> CatalogueState | None:
        """Every domain that is not deleted, at one version; None while no domain was ever made."""
        version = self.version(connection)
        if version is None:
            return None
        living = [each for each in Lifecycle if each is not Lifecycle.DELETED]
        revisions = self.current(connection, living)
        return CatalogueState(version, domain_set(revisions, self.default_domain(connection)))


def domain_set(revisions: Sequence[DomainRevision], default_domain: str | None) -> DomainSet:
    """Revisions as a set that can be exported."""
    return DomainSet(
        domains={each.domain.id: each.domain for each in revisions},
        default_domain=default_domain,
        lifecycles={each.domain.id: each.lifecycle for each in revisions},
    )


def standings(heads: Mapping[str, Head]) -> dict[str, Standing]:
    """What `check_references` needs to know of every domain that is not deleted."""
    return {
        key: Standing(head.lifecycle, head.fallback)
        for key, head in heads.items()
        if head.lifecycle is not Lifecycle.DELETED
    }


def _current() -> Select[Any]:
    same = (domain_revision.c.domain_id == domain_head.c.id) & (domain_revision.c.revision == domain_head.c.revision)
    return select(domain_revision).join(domain_head, same)


def _revision(row: RowMapping) -> DomainRevision:
    domain: Domain = parse_domain(row["domain_id"], row["config"], source=f"the database, revision {row['revision']}")
    created_at: datetime = row["created_at"]
    return DomainRevision(
        domain=domain,
        revision=row["revision"],
        lifecycle=Lifecycle(row["lifecycle"]),
        created_at=created_at,
        created_by=row["created_by"],
        reason=row["reason"],
    )
