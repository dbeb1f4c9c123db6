"""One call for several identical requests at the same time.

The call runs in a task of its own. Whoever leaves, because its client left or its time is over, leaves the others
unharmed; when the last one leaves, the call is given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from bailiwick.errors import Unavailable

Result = TypeVar("Result")


@dataclass(slots=True)
class _Flight(Generic[Result]):
    task: asyncio.Task[Result]
    waiting: int = 0
    claimed: bool = False


class Flights(Generic[Result]):
    """The calls that are under way, by key."""

    def __init__(self) -> None:
        self._flights: dict[bytes, _Flight[Result]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def join(
        self, key: bytes, work: Callable[[], Coroutine[Any, Any, Result]], wait_s: float
    ) -> tuple[Result, bool]:
        """The result of the call under the key, which is begun where none is under way.

        Args:
            key: of the call.
            work: makes the call; used only by whoever begins.
            wait_s: how long this one waits; the others wait as long as they may.

        Returns:
            The result, and whether this request is the first to have it: exactly one of those that get it is.

        Raises:
            TimeoutError: the time is over; the call goes on for the others.
            Exception: what the call raised; each of those who wait gets it.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.get_running_loop().create_task(work()))
            flight.task.add_done_callback(lambda task: self._landed(key, task))
        flight.waiting += 1
        try:
            await asyncio.wait((flight.task,), timeout=wait_s)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._forget(key, flight.task)
                flight.task.cancel()
        if not flight.task.done():
            raise TimeoutError
        if flight.task.cancelled():
            raise Unavailable("the gateway is stopping")
        error = flight.task.exception()
        if error is not None:
            raise error.with_traceback(None)
        first, flight.claimed = not flight.claimed, True
        return flight.task.result(), first

    def _landed(self, key: bytes, task: asyncio.Task[Result]) -> None:
        self._forget(key, task)
        if not task.cancelled():
            task.exception()  # looked at, so that a call that nobody waits for any more is not reported as forgotten

    def _forget(self, key: bytes, task: asyncio.Task[Result]) -> None:
        found = self._flights.get(key)
        if found is not None and found.task is task:
            del self._flights[key]
