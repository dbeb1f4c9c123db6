"""The audit trail: one row per change, written in the transaction that makes the change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Index, String, Table, Text, select

from bailiwick.clock import Clock
from bailiwick.governance.body import entry_body
from bailiwick.storage.database import Database
from bailiwick.storage.schema import BigId, Json, UtcDateTime, metadata

audit_entry = Table(
    "audit_entry",
    metadata,
    Column("sequence", BigId, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(100), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("reason", Text, nullable=True),
    Column("before", Json, nullable=True),
    Column("after", Json, nullable=True),
    Column("request_id", String(100), nullable=True),
    # The exact text that the tree of `transparency.py` hashes; the columns above are for queries.
    Column("body", Text, nullable=False),
    # Its leaf in that tree: given when it is integrated, since the order of commits is not that of `sequence`.
    Column("position", BigInteger, nullable=True),
    Index("ix_audit_entry_subject", "subject", "sequence"),
    Index("uq_audit_entry_position", "position", unique=True),
)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, on whose request, and why. Faces build it; services pass it on.

    Args:
        name: a user, key or component, such as ``cli:ada`` or ``controller``.
        request_id: the HTTP request or command that caused the change.
        reason: free words, shown wherever the change is shown.
    """

    name: str
    request_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One recorded change. ``action`` is ``noun.verb``, ``subject`` is ``noun:id``.

    Args:
        position: its leaf in the tamper-evident tree; None until it is integrated, about a second after the change.
    """

    sequence: int
    at: datetime
    actor: str
    action: str
    subject: str
    reason: str | None
    before: Any
    after: Any
    request_id: str | None
    position: int | None


class AuditTrail:
    """Writes and reads the trail. Entries are only ever added."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def record(
        self, connection: Connection, actor: Actor, action: str, subject: str, *, before: Any = None, after: Any = None
    ) -> None:
        """Add an entry inside the caller's write unit, so that change and entry live or die together."""
        values: dict[str, Any] = {
            "at": self._clock.now(),
            "actor": actor.name,
            "action": action,
            "subject": subject,
            "reason": actor.reason,
            "before": before,
            "after": after,
            "request_id": actor.request_id,
        }
        connection.execute(audit_entry.insert().values(**values, body=entry_body(values)))

    def entries(self, *, subject: str | None = None, limit: int = 100) -> Sequence[AuditEntry]:
        """The latest entries, newest first, of one subject or of all."""
        columns = [column for column in audit_entry.c if column.name != "body"]
        query = select(*columns).order_by(audit_entry.c.sequence.desc()).limit(limit)
        if subject is not None:
            query = query.where(audit_entry.c.subject == subject)
        with self._database.read() as connection:
            return [AuditEntry(**row) for row in connection.execute(query).mappings()]

    def following(self, connection: Connection, position: int, limit: int) -> Sequence[AuditEntry]:
        """Entries from a place in the tree on, in its order: none that is committed later comes before them.

        Entries that are not integrated yet are not among them; see `TransparencyLog.integrate`.
        """
        columns = [column for column in audit_entry.c if column.name != "body"]
        query = select(*columns).where(audit_entry.c.position >= position).order_by(audit_entry.c.position)
        return [AuditEntry(**row) for row in connection.execute(query.limit(limit)).mappings()]
