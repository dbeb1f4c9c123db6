"""The table of rollbacks that happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
    text,
)

from bailiwick.delivery.model import RollbackEvent
from bailiwick.storage.schema import BigId, Json, UtcDateTime, metadata

_AUTOMATIC = text("automatic")

rollback_events = Table(
    "rollback_events",
    metadata,
    Column("sequence", BigId, primary_key=True, autoincrement=True),
    Column("id", String(100), nullable=False),
    Column("domain", String(64), nullable=False),
    Column("deployment", String(100), nullable=True),
    Column("removed", Json, nullable=False),
    Column("restored", Json, nullable=False),
    Column("automatic", Boolean, nullable=False),
    Column("rule", String(40), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("plan_revision", Integer, nullable=False),
    Column("metric", String(200), nullable=True),
    Column("baseline", Float(53), nullable=True),
    Column("current", Float(53), nullable=True),
    Column("baseline_samples", BigInteger, nullable=True),
    Column("samples", BigInteger, nullable=True),
    Column("reason", Text, nullable=True),
    UniqueConstraint("id", name="uq_rollback_events_id"),
    Index("ix_rollback_events_domain", "domain", "sequence"),
    # No deployment is ever taken back twice without somebody asking for it.
    Index(
        "uq_rollback_events_automatic",
        "deployment",
        unique=True,
        sqlite_where=_AUTOMATIC,
        postgresql_where=_AUTOMATIC,
    ),
)


def add(connection: Connection, happened: RollbackEvent) -> None:
    """Write a rollback."""
    values = {**asdict(happened), "removed": list(happened.removed), "restored": dict(happened.restored)}
    connection.execute(insert(rollback_events).values(values))


def listed(connection: Connection, domain: str | None, limit: int) -> Sequence[RollbackEvent]:
    """Rollbacks, newest first."""
    query = select(rollback_events).order_by(rollback_events.c.sequence.desc()).limit(limit)
    if domain is not None:
        query = query.where(rollback_events.c.domain == domain)
    return [_event(row) for row in connection.execute(query)]


def taken_back(connection: Connection, deployment: str) -> bool:
    """Whether a deployment was rolled back before without anybody asking."""
    query = select(rollback_events.c.id).where(
        rollback_events.c.deployment == deployment, rollback_events.c.automatic.is_(True)
    )
    return connection.execute(query.limit(1)).first() is not None


def _event(row: Row[Any]) -> RollbackEvent:
    values = {**row._mapping, "removed": tuple(row.removed)}
    del values["sequence"]
    return RollbackEvent(**values)
