"""Background work that one process of many does: chores again and again on a thread of their own, under a lease."""

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

_TTL_S = 15.0
_RENEW_S = 5.0


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to be done again and again.

    Args:
        work: does it; an error is logged, the other chores go on, and it is tried again.
        every_s: from one beginning to the next.
    """

    name: str
    work: Callable[[], object]
    every_s: float


class Upkeep:
    """Does chores, while it holds a lease where one is asked for.

    A lease saves work; that nothing is done twice, each chore sees to itself.

    Args:
        leases: of the main database; None where every process does the chores, which see to themselves.
        name: of the lease and the thread, such as ``metrics.upkeep``. Chores of one name wait for each other, so
            what must not wait for the rest gets a name of its own.
        chores: in this order.
    """

    def __init__(self, leases: Leases | None, name: str, chores: Sequence[Chore]) -> None:
        self._leases = leases
        self._name = name
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
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Finish the running chore, end, and give the lease back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self._held is not None and self._leases is not None:
            try:
                self._leases.release(self._held)
            except BailiwickError as error:
                _log.warning("the lease %s runs out by itself: %s", self._name, error)

    def step(self, now_s: float) -> Sequence[str]:
        """Do what is due; the names of what was done.

        Args:
            now_s: of a clock that only goes forward.
        """
        if self._leases is not None and now_s - self._asked_at >= _RENEW_S:
            self._asked_at = now_s
            self._held = self._leases.acquire(self._name, self._holder, _TTL_S)
        if self._leases is not None and self._held is None:
            return []
        done: list[str] = []
        for chore in self._chores:
            if now_s - self._begun_at[chore.name] >= chore.every_s and not self._stop.is_set():
                self._begun_at[chore.name] = now_s
                if self._does(chore):
                    done.append(chore.name)
        return done

    def _does(self, chore: Chore) -> bool:
        try:
            chore.work()
        except BailiwickError as error:
            _log.warning("%s: %s is late: %s", self._name, chore.name, error)
        except Exception:  # noqa: BLE001 - logged with its trace; without its thread everything would stand still
            _log.exception("%s: %s is late", self._name, chore.name)
        else:
            return True
        return False

    def _run(self) -> None:
        pause_s = min(chore.every_s for chore in self._chores)
        while not self._stop.wait(pause_s):
            try:
                self.step(time.monotonic())
            except BailiwickError as error:
                _log.warning("%s is late: %s", self._name, error)
            except Exception:  # noqa: BLE001 - logged with its trace, as above
                _log.exception("%s is late", self._name)
