"""From the audit trail to the outbox: which endpoint is told of which entry, decided once and for all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.governance.audit import AuditEntry, AuditTrail
from bailiwick.governance.notifications import store
from bailiwick.governance.notifications.model import Delivery, DeliveryStatus, Event
from bailiwick.governance.notifications.patterns import matches
from bailiwick.storage.database import Database

KEPT = timedelta(days=30)
"""How long settled deliveries are shown."""

_BATCH = 500


class Outbox:
    """Fills the outbox. Any process may do it at any time: an endpoint's cursor is locked while it moves.

    Args:
        integrate: gives committed entries their places in the tree (`TransparencyLog.integrate`).
    """

    def __init__(self, database: Database, audit: AuditTrail, clock: Clock, integrate: Callable[[], object]) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._integrate = integrate

    def fill(self) -> int:
        """Take what is new in the trail into the outbox; returns how many deliveries were added."""
        with self._database.read() as connection:
            names = [each.name for each in store.endpoints(connection)]
        if not names:
            return 0
        self._integrate()
        return sum(self._fill_all(name) for name in names)

    def forget(self) -> int:
        """Remove deliveries that were settled a month ago; returns how many."""
        with self._database.write() as connection:
            return store.forget(connection, self._clock.now() - KEPT)

    def _fill_all(self, name: str) -> int:
        added = 0
        while True:
            with self._database.read() as connection:
                found = store.endpoint(connection, name)
                if found is None or not self._audit.following(connection, found.cursor, 1):
                    return added
            with self._database.write() as connection:
                added += self._fill_some(connection, name)

    def _fill_some(self, connection: Connection, name: str) -> int:
        endpoint = store.endpoint(connection, name, lock=True)
        if endpoint is None:
            return 0
        entries = self._audit.following(connection, endpoint.cursor, _BATCH)
        wanted = [entry for entry in entries if matches(endpoint.patterns, entry.action)]
        now = self._clock.now()
        store.add_deliveries(
            connection,
            [
                Delivery(
                    id=message_id(endpoint.name, endpoint.created_at.timestamp(), _place(entry)),
                    endpoint=endpoint.name,
                    position=_place(entry),
                    event=entry.action,
                    subject=entry.subject,
                    status=DeliveryStatus.WAITING,
                    attempts=0,
                    next_at=now,
                )
                for entry in wanted
            ],
        )
        if entries:
            store.move_cursor(connection, endpoint.name, _place(entries[-1]) + 1)
        return len(wanted)


def event_of(entry: AuditEntry) -> Event:
    """What is told of an audit entry."""
    document = {
        "sequence": entry.sequence,
        "position": entry.position,
        "actor": entry.actor,
        "reason": entry.reason,
        "before": entry.before,
        "after": entry.after,
        "request_id": entry.request_id,
    }
    return Event(entry.action, entry.subject, entry.at, document)


def message_id(endpoint: str, since: float, position: int) -> str:
    """The id of a message: of the endpoint, since when it is there, and of the entry's place in the trail.

    >>> message_id("ops", 1_772_366_400.25, 41)
    'msg_ops_1772366400250_41'
    """
    return f"msg_{endpoint}_{round(since * 1000)}_{position}"


def _place(entry: AuditEntry) -> int:
    assert entry.position is not None  # `following` gives integrated entries alone
    return entry.position
