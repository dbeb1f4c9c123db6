"""Bounds waits that come one after the other, with one timer that stays: one for each of them would cost more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Patience:
    """Says when a wait takes too long.

    The timer of one wait is left to run when it ends. When it rings, it has nothing to say, or the wait that is under
    way has more time: then it is set for the rest.

    Args:
        loop: of the timer.
        lost: called with the seconds and the words of a wait that took too long.
    """

    __slots__ = ("_ends_s", "_loop", "_lost", "_rings_s", "_seconds", "_timer", "_what")

    def __init__(self, loop: asyncio.AbstractEventLoop, lost: Callable[[float, str], None]) -> None:
        self._loop = loop
        self._lost: Callable[[float, str], None] | None = lost
        self._timer: asyncio.TimerHandle | None = None
        self._rings_s = self._ends_s = self._seconds = 0.0
        self._what: str | None = None

    def begin(self, seconds: float, what: str) -> None:
        """A wait begins, which may take so long."""
        self._ends_s = self._loop.time() + seconds
        self._seconds, self._what = seconds, what
        if self._timer is None or self._rings_s > self._ends_s:
            self._set(seconds)

    def end(self) -> None:
        """The wait has ended."""
        self._what = None

    def close(self) -> None:
        """There are no more waits."""
        self._lost = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_s = self._loop.time() + seconds
        self._timer = self._loop.call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._what is None or self._lost is None:
            return
        left_s = self._ends_s - self._loop.time()
        if left_s > 0:
            self._set(left_s)
        else:
            self._lost(self._seconds, self._what)
