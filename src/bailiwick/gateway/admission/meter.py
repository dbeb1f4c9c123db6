"""What keys use, counted in memory and written once a second as totals of this process and day."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from bailiwick.clock import Clock
from bailiwick.errors import BailiwickError
from bailiwick.gateway.admission.model import Used
from bailiwick.governance.access.model import DayUsage

_log = logging.getLogger(__name__)


class UsageStore(Protocol):
    """Where totals are kept; `KeyUsage` is one. Called in a thread; raises `Unavailable` while it is away."""

    def write(self, gateway: str, totals: Iterable[DayUsage]) -> None:
        """Keep the totals of a process, each in place of the one before."""
        ...

    def tokens_elsewhere(self, day: str, gateway: str) -> Mapping[str, int]:
        """The tokens of each key on a day, of all other processes."""
        ...


class _Total:
    """Of one key and day."""

    __slots__ = ("completion_tokens", "last_at_s", "prompt_tokens", "refused", "requests")

    def __init__(self) -> None:
        self.requests = self.refused = self.prompt_tokens = self.completion_tokens = 0
        self.last_at_s = 0.0


class UsageMeter:
    """Counts, and writes in the background between `start` and `stop`.

    Args:
        clock: tells days apart.
        store: None: nothing is kept.
        gateway: names this process among all.
        every_s: how often totals are written; what a killed process loses at most.
        has_budgets: whether any key has a budget, so that it matters what others use.
    """

    def __init__(
        self,
        clock: Clock,
        store: UsageStore | None = None,
        gateway: str = "",
        every_s: float = 1.0,
        has_budgets: Callable[[], bool] = lambda: False,
    ) -> None:
        self._clock = clock
        self._store = store
        self._gateway = gateway
        self._every_s = every_s
        self._totals: dict[tuple[str, str], _Total] = {}
        self._changed: set[tuple[str, str]] = set()
        self._elsewhere: tuple[str, Mapping[str, int]] = ("", {})
        self._task: asyncio.Task[None] | None = None
        self._day, self._midnight_s = "", 0.0
        self._is_late = False
        self._has_budgets = has_budgets

    @property
    def today(self) -> str:
        """The day of UTC."""
        self._look_at_clock()
        return self._day

    def to_midnight_ms(self) -> int:
        """Until the day of UTC ends; at least 1."""
        now_s = self._look_at_clock()
        return max(1, int((self._midnight_s - now_s) * 1000))

    def admitted(self, key: str, used: Used) -> None:
        """Count a request that was let in, when it has ended."""
        total = self._total(key)
        total.requests += 1
        total.prompt_tokens += used.prompt_tokens
        total.completion_tokens += used.completion_tokens

    def refused(self, key: str) -> None:
        """Count a request that was not let in although its key was."""
        self._total(key).refused += 1

    def spent(self, key: str) -> int:
        """Tokens that a key has used today, here and, as far as is known, elsewhere."""
        day = self.today
        total = self._totals.get((day, key))
        here = 0 if total is None else total.prompt_tokens + total.completion_tokens
        known_day, elsewhere = self._elsewhere
        return here + (elsewhere.get(key, 0) if known_day == day else 0)

    async def start(self) -> None:
        """Learn what was used today, and begin to write. A store that is away holds nobody up: it is learned later."""
        if self._store is not None:
            await self.flush()
            self._task = asyncio.create_task(self._write_forever())

    async def stop(self) -> None:
        """Write what is left."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self.flush()

    async def flush(self) -> None:
        """Write what has changed, and learn what others used where a budget needs it."""
        store, day = self._store, self.today
        if store is None:
            return
        changed, self._changed = self._changed, set()
        rows = [self._row(*place) for place in changed]
        try:
            if rows:
                await asyncio.to_thread(store.write, self._gateway, rows)
            if self._has_budgets() or self._elsewhere[0] != day:
                await asyncio.to_thread(self._learn, store, day)
        except (BailiwickError, SQLAlchemyError, OSError) as error:
            self._changed |= changed
            if not self._is_late:
                _log.warning("what keys use is kept in memory until it can be written: %s", error)
            self._is_late = True
        except Exception:
            self._changed |= changed
            raise
        else:
            self._is_late = False
        self._forget(day)

    def _learn(self, store: UsageStore, day: str) -> None:
        self._elsewhere = (day, store.tokens_elsewhere(day, self._gateway))

    async def _write_forever(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.flush()
            except Exception:  # noqa: BLE001 - logged with its trace; without this task nothing would be written any more
                _log.exception("what keys use cannot be written")

    def _row(self, day: str, key: str) -> DayUsage:
        total = self._totals[(day, key)]
        last_at = datetime.fromtimestamp(total.last_at_s, UTC)
        return DayUsage(key, day, total.requests, total.refused, total.prompt_tokens, total.completion_tokens, last_at)

    def _forget(self, day: str) -> None:
        """Days before yesterday are over: others may have merged them, and writing them again would count twice."""
        yesterday = f"{datetime.strptime(day, '%Y-%m-%d').replace(tzinfo=UTC) - timedelta(days=1):%Y-%m-%d}"
        for place in [place for place in self._totals if place[0] < yesterday]:
            del self._totals[place]
            self._changed.discard(place)

    def _total(self, key: str) -> _Total:
        now_s = self._look_at_clock()
        place = (self._day, key)
        total = self._totals.get(place)
        if total is None:
            total = self._totals[place] = _Total()
        total.last_at_s = now_s
        self._changed.add(place)
        return total

    def _look_at_clock(self) -> float:
        now = self._clock.now()
        now_s = now.timestamp()
        if not self._midnight_s - 86_400 <= now_s < self._midnight_s:
            self._day = f"{now:%Y-%m-%d}"
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            self._midnight_s = midnight.timestamp()
        return now_s
