"""What keys did, per day: each gateway process overwrites its own rows with its own totals.

A total that is written twice is still right, so a write whose answer was lost is simply done again; adding to a shared
row would count twice. Rows of past days are merged into one per key and day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Column, Connection, Index, String, Table, delete, func, select

from bailiwick.clock import Clock
from bailiwick.governance.access.model import DayUsage
from bailiwick.storage.database import Database
from bailiwick.storage.schema import UtcDateTime, metadata

client_key_usage = Table(
    "client_key_usage",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    # The process that counted; empty for the merged rows of past days.
    Column("gateway", String(100), primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("last_at", UtcDateTime, nullable=True),
    Index("ix_client_key_usage_day", "day"),
)

MERGED_AFTER = timedelta(days=2)
"""No process still writes a day that is so long ago."""

_NUMBERS = ("requests", "refused", "prompt_tokens", "completion_tokens")


def day_of(instant: datetime) -> str:
    """The day of UTC that an instant is in."""
    return f"{instant:%Y-%m-%d}"


class KeyUsage:
    """Writes and reads what keys did."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def write(self, gateway: str, totals: Iterable[DayUsage]) -> None:
        """Keep the totals that a process has counted, each in place of what it wrote for that key and day before.

        Raises:
            Unavailable: the database is away.
        """
        rows = [
            {
                "key": each.key,
                "day": each.day,
                "gateway": gateway,
                **{name: getattr(each, name) for name in _NUMBERS},
                "last_at": each.last_at,
            }
            for each in totals
        ]
        with self._database.write() as connection:
            self._database.upsert(connection, client_key_usage, rows)

    def tokens_elsewhere(self, day: str, gateway: str) -> Mapping[str, int]:
        """The tokens that keys used on a day, as every other process counted them."""
        table = client_key_usage.c
        tokens = func.sum(table.prompt_tokens + table.completion_tokens)
        query = select(table.key, tokens).where(table.day == day, table.gateway != gateway).group_by(table.key)
        with self._database.read() as connection:
            return {row[0]: int(row[1]) for row in connection.execute(query)}

    def per_day(self, *, key: str | None = None, since: str | None = None) -> Sequence[DayUsage]:
        """What keys did, newest day first.

        Args:
            key: the id of one key; None: all.
            since: the first day; None: from the beginning.
        """
        table = client_key_usage.c
        sums = [func.sum(table[name]) for name in _NUMBERS]
        query = select(table.key, table.day, *sums, func.max(table.last_at)).group_by(table.key, table.day)
        if key is not None:
            query = query.where(table.key == key)
        if since is not None:
            query = query.where(table.day >= since)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(table.day.desc(), table.key))
            return [
                DayUsage(row[0], row[1], int(row[2]), int(row[3]), int(row[4]), int(row[5]), row[6]) for row in rows
            ]

    def last_used(self, connection: Connection) -> Mapping[str, datetime]:
        """When each key was last used."""
        table = client_key_usage.c
        query = select(table.key, func.max(table.last_at)).group_by(table.key)
        return {row[0]: row[1] for row in connection.execute(query) if row[1] is not None}

    def merge(self) -> int:
        """Merge the rows of past days; how many rows went into others."""
        before = day_of(self._clock.now() - MERGED_AFTER)
        table = client_key_usage.c
        with self._database.write() as connection:
            found = connection.execute(select(client_key_usage).where(table.day < before).with_for_update()).all()
            by_day: dict[tuple[str, str], list[DayUsage]] = {}
            for row in found:
                numbers = {name: getattr(row, name) for name in _NUMBERS}
                counted = DayUsage(row.key, row.day, **numbers, last_at=row.last_at)
                by_day.setdefault((row.key, row.day), []).append(counted)
            torn = {place: rows for place, rows in by_day.items() if len(rows) > 1}
            for (key, day), rows in torn.items():
                connection.execute(delete(client_key_usage).where(table.key == key, table.day == day))
                summed = {name: sum(getattr(each, name) for each in rows) for name in _NUMBERS}
                last_at = max((each.last_at for each in rows if each.last_at is not None), default=None)
                merged = {"key": key, "day": day, "gateway": "", **summed, "last_at": last_at}
                self._database.upsert(connection, client_key_usage, [merged])
        return sum(len(rows) for rows in torn.values()) - len(torn)
