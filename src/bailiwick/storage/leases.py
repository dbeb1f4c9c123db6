"""Leases: one holder at a time, with an epoch that grows at each change of hands.

Holding a lease is not enough to write safely: a paused holder wakes up and still believes. Whatever a holder writes
must therefore carry its epoch, and be refused where a newer epoch has written (a fence).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Column, Integer, String, Table, case, or_, select, update

from bailiwick.clock import Clock
from bailiwick.errors import InvalidInput
from bailiwick.storage.database import Database
from bailiwick.storage.schema import UtcDateTime, metadata

lease = Table(
    "lease",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was granted: by whom it is held, its fencing epoch, and until when."""

    name: str
    holder: str
    epoch: int
    expires_at: datetime


class Leases:
    """Grants leases from rows of the main database.

    Args:
        database: shared by everybody who competes.
        clock: should agree with the other holders' clocks to within a fraction of the time to live.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def acquire(self, name: str, holder: str, ttl_s: float) -> Lease | None:
        """Take or extend a lease for ``ttl_s`` seconds.

        The present holder extends it and keeps the epoch. Anybody else gets it only once it has expired, with the
        epoch raised by one.

        Returns:
            The lease, or None while somebody else holds it.

        Raises:
            InvalidInput: a time to live that is not positive.
        """
        if not ttl_s > 0:
            raise InvalidInput(f"a lease needs a positive time to live, got {ttl_s!r}", what="ttl_s", requested=ttl_s)
        now = self._clock.now()
        expires = now + timedelta(seconds=ttl_s)
        mine = lease.c.holder == holder
        with self._database.write() as connection:
            self._database.upsert(
                connection,
                lease,
                [{"name": name, "holder": "", "epoch": 0, "expires_at": now - timedelta(seconds=1)}],
                update=[],
            )
            taken = connection.execute(
                update(lease)
                .where(lease.c.name == name, or_(mine, lease.c.expires_at <= now))
                .values(
                    holder=holder,
                    # Taking back one's own expired lease counts as a change of hands: somebody may have held it since.
                    epoch=lease.c.epoch + case((mine & (lease.c.expires_at > now), 0), else_=1),
                    expires_at=expires,
                )
                .returning(lease.c.epoch)
            ).scalar_one_or_none()
        return None if taken is None else Lease(name, holder, taken, expires)

    def release(self, held: Lease) -> bool:
        """Give a lease back early. False when it had already passed on."""
        with self._database.write() as connection:
            result = connection.execute(
                update(lease)
                .where(lease.c.name == held.name, lease.c.holder == held.holder, lease.c.epoch == held.epoch)
                .values(expires_at=self._clock.now())
            )
        return result.rowcount == 1

    def current(self, name: str) -> Lease | None:
        """Who holds the lease now, if anybody."""
        query = select(lease).where(lease.c.name == name, lease.c.expires_at > self._clock.now())
        with self._database.read() as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else Lease(**row)
