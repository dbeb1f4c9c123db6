"""Asks several at once, and stops waiting at the deadline: who is stuck is left behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")
_abandoned: set[asyncio.Task[object]] = set()


@dataclass(frozen=True, slots=True)
class Outcome(Generic[_Answer]):
    """How one ask ended. Neither answer nor error: it was too late, or nobody waited for it any more.

    Args:
        seconds: from the beginning to its end, or until it was left behind.
    """

    answer: _Answer | None
    error: Exception | None
    seconds: float

    @property
    def late(self) -> bool:
        """No answer came in time."""
        return self.answer is None and self.error is None


async def gather(
    asks: Sequence[Callable[[], Awaitable[_Answer]]],
    *,
    quorum: int,
    within_s: float,
) -> list[Outcome[_Answer]]:
    """Ask everybody at once, until all have ended or the time is up.

    Whoever has not answered by then is cancelled, and not waited for: one that ignores it delays nobody. The caller
    counts the answers; waiting ends early, too, when so many have failed that the quorum cannot be reached.

    Args:
        asks: begin one ask each.
        quorum: answers that are needed.
        within_s: seconds to wait.
    """
    loop = asyncio.get_running_loop()
    begun = loop.time()
    tasks = [asyncio.ensure_future(ask()) for ask in asks]
    ended: dict[asyncio.Future[_Answer], float] = {}
    try:
        waiting: set[asyncio.Future[_Answer]] = set(tasks)
        while waiting:
            left_s = begun + within_s - loop.time()
            done, waiting = await asyncio.wait(waiting, timeout=max(0.0, left_s), return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            ended.update(dict.fromkeys(done, loop.time() - begun))
            if sum(not _failed(task) for task in ended) + len(waiting) < quorum:
                break
        now = loop.time() - begun
        return [_outcome(task, ended.get(task, now if task.done() else None), now) for task in tasks]
    finally:
        for task in tasks:
            if not task.done():
                _leave(task)


def _failed(task: asyncio.Future[_Answer]) -> bool:
    return task.cancelled() or task.exception() is not None


def _outcome(task: asyncio.Future[_Answer], seconds: float | None, now: float) -> Outcome[_Answer]:
    if seconds is None or task.cancelled():
        return Outcome(None, None, now)
    error = task.exception()
    if error is None:
        return Outcome(task.result(), None, seconds)
    if not isinstance(error, Exception):
        raise error
    return Outcome(None, error, seconds)


def _leave(task: asyncio.Future[_Answer]) -> None:
    """Cancel, and hold on to it until it has ended, so that its last words are read and it is not lost half-way."""
    task.cancel()
    held: set[asyncio.Future[_Answer]] = _abandoned  # type: ignore[assignment]
    held.add(task)
    task.add_done_callback(_forget)


def _forget(task: asyncio.Future[_Answer]) -> None:
    _abandoned.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.debug("a member that was left behind failed: %s", error)
