"""The background work of the metric store: one process of many tallies and compacts, on a thread of its own."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bailiwick.errors import BailiwickError
from bailiwick.storage.leases import Lease, Leases

_log = logging.getLogger(__name__)

LEASE = "metrics.upkeep"
_TTL_S = 15.0
_RENEW_S = 5.0


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to be done again and again.

    Args:
        work: does it; a `BailiwickError` is logged, and it is tried again.
        every_s: from one beginning to the next.
    """

    name: str
    work: Callable[[], object]
    every_s: float


class Upkeep:
    """Does chores while it holds the lease. That saves work; that nothing is done twice, each chore sees to itself.

    Args:
        leases: of the main database.
        chores: in this order.
        lease: what only one process holds; chores of another name do not wait for these.
    """

    def __init__(self, leases: Leases, chores: Sequence[Chore], lease: str = LEASE) -> None:
        self._lease = lease
        self._leases = leases
        self._chores = chores
        self._holder = secrets.token_hex(12)
        self._held: Lease | None = None
        self._asked_at = -_RENEW_S
        self._begun_at = {chore.name: -chore.every_s for chore in chores}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in the background."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._lease, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Finish the running chore, end, and give the lease back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._held is not None:
            try:
                self._leases.release(self._held)
            except BailiwickError as error:
                _log.warning("the lease %s runs out by itself: %s", self._lease, error)

    def step(self, now_s: float) -> Sequence[str]:
        """Do what is due; the names of what was done.

        Args:
            now_s: of a clock that only goes forward.
        """
        if now_s - self._asked_at >= _RENEW_S:
            self._asked_at = now_s
            self._held = self._leases.acquire(self._lease, self._holder, _TTL_S)
        if self._held is None:
            return []
        due = [chore for chore in self._chores if now_s - self._begun_at[chore.name] >= chore.every_s]
        for chore in due:
            self._begun_at[chore.name] = now_s
            chore.work()
        return [chore.name for chore in due]

    def _run(self) -> None:
        pause_s = min(chore.every_s for chore in self._chores)
        while not self._stop.wait(pause_s):
            try:
                self.step(time.monotonic())
            except BailiwickError as error:
                _log.warning("%s is late: %s", self._lease, error)
            except Exception:  # noqa: BLE001 - logged with its trace; without its thread totals would stand still
                _log.exception("%s is late", self._lease)
