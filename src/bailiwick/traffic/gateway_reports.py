"""What each gateway says it serves: the value of the plans' revision counter that its snapshot was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, Integer, String, Table, delete, select

from bailiwick.clock import Clock
from bailiwick.storage.database import Database
from bailiwick.storage.schema import UtcDateTime, metadata

gateway_report = Table(
    "gateway_report",
    metadata,
    Column("gateway", String(100), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

LIVES_FOR = timedelta(seconds=30)
"""A gateway that has said nothing for so long is taken to be gone; each repeats itself three times as often."""


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """What one gateway served when it last said so.

    Args:
        revision: of all plans together, as `TrafficService.revision` counts.
    """

    gateway: str
    revision: int
    at: datetime


class GatewayReports:
    """The reports of every gateway over one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def say(self, gateway: str, revision: int) -> None:
        """Keep what a gateway serves now.

        Raises:
            Unavailable: the database is away.
        """
        row = {"gateway": gateway, "revision": revision, "at": self._clock.now()}
        with self._database.write(durable=False) as connection:
            self._database.upsert(connection, gateway_report, [row])

    def leave(self, gateway: str) -> None:
        """Forget a gateway that stops, and those that have long been silent."""
        with self._database.write(durable=False) as connection:
            silent = gateway_report.c.at < self._clock.now() - 100 * LIVES_FOR
            connection.execute(delete(gateway_report).where((gateway_report.c.gateway == gateway) | silent))

    def live(self) -> Sequence[GatewayReport]:
        """The gateways that have reported lately, by name."""
        since = self._clock.now() - LIVES_FOR
        query = select(gateway_report).where(gateway_report.c.at >= since).order_by(gateway_report.c.gateway)
        with self._database.read() as connection:
            return [GatewayReport(**row) for row in connection.execute(query).mappings()]
