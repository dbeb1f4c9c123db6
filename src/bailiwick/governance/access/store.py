"""The tables of keys, their secrets' digests, domains' limits, and the counter that moves with each change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    Row,
    String,
    Table,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from bailiwick.governance.access.model import ClientKey, KeySecret, Limits
from bailiwick.storage.database import Database
from bailiwick.storage.schema import Json, UtcDateTime, metadata

client_key = Table(
    "client_key",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("team", String(200), nullable=False),
    Column("domains", Json, nullable=False),
    Column("requests_per_minute", Integer, nullable=True),
    Column("tokens_per_minute", BigInteger, nullable=True),
    Column("in_flight", Integer, nullable=True),
    Column("tokens_per_day", BigInteger, nullable=True),
    Column("hint", String(16), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("expires_at", UtcDateTime, nullable=True),
    Column("revoked_at", UtcDateTime, nullable=True),
    Column("rotated_at", UtcDateTime, nullable=True),
    Index("uq_client_key_name", "name", unique=True),
)

client_key_secret = Table(
    "client_key_secret",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("key", String(64), ForeignKey("client_key.id"), nullable=False),
    Column("until", UtcDateTime, nullable=True),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_client_key_secret_key", "key"),
)

domain_limit = Table(
    "domain_limit",
    metadata,
    Column("domain", String(64), primary_key=True),
    Column("requests_per_minute", Integer, nullable=True),
    Column("tokens_per_minute", BigInteger, nullable=True),
    Column("changed_at", UtcDateTime, nullable=False),
)

access_revision = Table(
    "access_revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),
)

_ONE = access_revision.c.id == 1


def revision(connection: Connection) -> int:
    """How often keys and limits were changed."""
    return connection.scalar(select(access_revision.c.revision).where(_ONE)) or 0


def begin_change(database: Database, connection: Connection) -> None:
    """Count a change. The row is locked until the unit ends, so changes of access come one after another."""
    database.insert_new(connection, access_revision, {"id": 1, "revision": 0})
    connection.execute(update(access_revision).where(_ONE).values(revision=access_revision.c.revision + 1))


def keys(connection: Connection, last_used: Mapping[str, datetime]) -> Sequence[ClientKey]:
    """Every key, by name."""
    query = select(client_key).order_by(client_key.c.name)
    return [_key(row, last_used) for row in connection.execute(query)]


def key(connection: Connection, named: str) -> ClientKey | None:
    """One key by its name or its id, without its last use."""
    query = select(client_key).where(or_(client_key.c.name == named, client_key.c.id == named))
    row = connection.execute(query).first()
    return None if row is None else _key(row, {})


def count(connection: Connection) -> int:
    """How many keys there are that are not revoked."""
    query = select(func.count()).select_from(client_key).where(client_key.c.revoked_at.is_(None))
    return connection.scalar(query) or 0


def add_key(connection: Connection, added: ClientKey) -> None:
    """Add a key.

    Raises:
        sqlalchemy.exc.IntegrityError: the name is taken.
    """
    connection.execute(insert(client_key).values(id=added.id, **_columns(added)))


def change_key(connection: Connection, changed: ClientKey) -> None:
    """Write every column of a key anew."""
    connection.execute(update(client_key).where(client_key.c.id == changed.id).values(**_columns(changed)))


def secrets(connection: Connection) -> Sequence[KeySecret]:
    """Every secret's digest."""
    table = client_key_secret.c
    return [KeySecret(*row) for row in connection.execute(select(table.key, table.digest, table.until))]


def add_secret(connection: Connection, added: KeySecret, now: datetime) -> None:
    """Add a secret's digest."""
    row = {"digest": added.digest, "key": added.key, "until": added.until, "created_at": now}
    connection.execute(insert(client_key_secret).values(**row))


def end_secrets(connection: Connection, of_key: str, until: datetime, now: datetime) -> None:
    """Let the secrets of a key end at an instant, unless they end before; forget those that have ended."""
    table = client_key_secret.c
    living = or_(table.until.is_(None), table.until > until)
    connection.execute(update(client_key_secret).where(table.key == of_key, living).values(until=until))
    connection.execute(delete(client_key_secret).where(table.key == of_key, table.until <= now))


def domain_limits(connection: Connection) -> Sequence[tuple[str, Limits]]:
    """The limits of domains, by id."""
    table = domain_limit.c
    query = select(table.domain, table.requests_per_minute, table.tokens_per_minute).order_by(table.domain)
    return [(row[0], Limits(row[1], row[2])) for row in connection.execute(query)]


def set_domain_limits(connection: Connection, domain: str, limits: Limits, now: datetime) -> None:
    """Set the limits of a domain; none at all removes its row."""
    connection.execute(delete(domain_limit).where(domain_limit.c.domain == domain))
    if limits.present():
        row: dict[str, Any] = {"domain": domain, "changed_at": now, **limits.present()}
        connection.execute(insert(domain_limit).values(**row))


def _columns(of: ClientKey) -> dict[str, Any]:
    limits = of.limits
    return {
        "name": of.name,
        "owner": of.owner,
        "team": of.team,
        "domains": list(of.domains),
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "in_flight": limits.in_flight,
        "tokens_per_day": limits.tokens_per_day,
        "hint": of.hint,
        "created_at": of.created_at,
        "created_by": of.created_by,
        "expires_at": of.expires_at,
        "revoked_at": of.revoked_at,
        "rotated_at": of.rotated_at,
    }


def _key(row: Row[Any], last_used: Mapping[str, datetime]) -> ClientKey:
    values = dict(row._mapping)
    limits = Limits(
        **{name: values.pop(name) for name in ("requests_per_minute", "tokens_per_minute", "in_flight")},
        tokens_per_day=values.pop("tokens_per_day"),
    )
    values["domains"] = tuple(values["domains"])
    return ClientKey(**values, limits=limits, last_used_at=last_used.get(values["id"]))
