"""The table of gate policies: every revision, by domain and environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Column, Connection, Integer, Row, String, Table, Text, insert, select

from bailiwick.delivery.policy import GatePolicy, PolicyRecord, changed
from bailiwick.storage.schema import Json, UtcDateTime, metadata

gate_policy = Table(
    "gate_policy",
    metadata,
    Column("domain", String(64), primary_key=True),
    Column("environment", String(64), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("policy", Json, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=True),
)


def newest(connection: Connection, domain: str, environment: str) -> PolicyRecord:
    """The policy in force: the default one, of revision 0, where none was set."""
    found = history(connection, domain, environment, 1)
    return found[0] if found else PolicyRecord(domain, environment, 0, GatePolicy())


def history(connection: Connection, domain: str, environment: str, limit: int) -> Sequence[PolicyRecord]:
    """Revisions, newest first."""
    query = (
        select(gate_policy)
        .where(gate_policy.c.domain == domain, gate_policy.c.environment == environment)
        .order_by(gate_policy.c.revision.desc())
        .limit(limit)
    )
    return [_record(row) for row in connection.execute(query)]


def append(connection: Connection, record: PolicyRecord) -> None:
    """Add a revision.

    Raises:
        sqlalchemy.exc.IntegrityError: somebody else has added it.
    """
    connection.execute(insert(gate_policy).values(asdict(record)))


def _record(row: Row[Any]) -> PolicyRecord:
    return PolicyRecord(
        row.domain, row.environment, row.revision, changed(GatePolicy(), row.policy), row.at, row.actor, row.reason
    )
