"""Keeps the snapshot new while requests go on: looks for newer revisions, compiles beside them, swaps."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from bailiwick.errors import BailiwickError, Unavailable
from bailiwick.gateway.model import Revision, Snapshot

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class Reloader:
    """Owns the current snapshot. While the stores are away, the last snapshot serves on.

    Args:
        newest: reads the newest revision.
        compile_snapshot: makes a snapshot, given the previous one.
        interval_s: seconds between looks.
        retry_s: seconds until what could not be loaded is tried again without a newer revision.
        report: told, in the thread of the looks, what is served: after each swap, and again every ``report_s``.
        report_s: seconds between two reports of the same.
        restore: what was served before this process, for a start while a store is away.
    """

    def __init__(
        self,
        newest: Callable[[], Revision],
        compile_snapshot: Callable[[Snapshot | None], Snapshot],
        interval_s: float,
        retry_s: float = 10.0,
        report: Callable[[Revision], None] | None = None,
        report_s: float = 10.0,
        restore: Callable[[], Snapshot | None] = lambda: None,
    ) -> None:
        self._newest = newest
        self._compile = compile_snapshot
        self._interval_s = interval_s
        self._retry_s = retry_s
        self._report = report
        self._report_s = report_s
        self._restore = restore
        self._reported: tuple[Revision | None, float] = (None, 0.0)
        self._compiled_at = time.monotonic()
        self._snapshot: Snapshot | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="snapshot")
        self._stale: str | None = None
        self.reloads = 0

    @property
    def snapshot(self) -> Snapshot:
        """The current snapshot.

        Raises:
            Unavailable: `start` has not finished.
        """
        if self._snapshot is None:
            raise Unavailable("the gateway is starting", remedy="ask again in a moment")
        return self._snapshot

    @property
    def ready(self) -> bool:
        """Whether there is a snapshot to serve from."""
        return self._snapshot is not None

    @property
    def stale(self) -> str | None:
        """Why the snapshot may be old, or None when the last look went well."""
        return self._stale

    async def start(self) -> None:
        """Compile the first snapshot, or restore the last one, then look for newer ones in the background.

        Raises:
            Unavailable: a store is away, and there is nothing to restore.
        """
        try:
            self._snapshot = await self._in_thread(lambda: self._compile(None))
        except (Unavailable, SQLAlchemyError, OSError) as error:
            self._snapshot = await self._in_thread(self._restore)
            if self._snapshot is None:
                raise
            self._stale = f"{type(error).__name__}: the stores cannot be read; started with the last snapshot"
            _log.warning("started with the last snapshot (%s): %s", self._snapshot.revision, error)
        await self._say()
        self._task = asyncio.create_task(self._look_forever())

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def look(self) -> bool:
        """Look once; True when a newer snapshot was swapped in."""
        try:
            fresh = await self._in_thread(self._next)
        except (BailiwickError, SQLAlchemyError, OSError) as error:
            if self._stale is None:
                _log.warning("the snapshot cannot be renewed; serving on with the last one: %s", error)
            why = "the stores cannot be read" if not isinstance(error, _Older) else error.message
            self._stale = f"{type(error).__name__.strip('_')}: {why}"
            return False
        self._stale = None
        if fresh is None:
            return False
        for problem in fresh.problems:
            if self._snapshot is None or problem not in self._snapshot.problems:
                _log.warning("%s", problem)
        self._snapshot = fresh
        self.reloads += 1
        return True

    async def look_and_say(self) -> None:
        """Look once, and report what is served where that is due."""
        await self.look()
        await self._say()

    def _next(self) -> Snapshot | None:
        present = self._snapshot
        if present is None:
            return self._compile(None)
        newest = self._newest()
        _check_not_older(newest, present.revision)
        if newest == present.revision and not self._is_retry_due(present):
            return None
        self._compiled_at = time.monotonic()
        made = self._compile(present)
        _check_not_older(made.revision, present.revision)
        return made

    def _is_retry_due(self, present: Snapshot) -> bool:
        """What could not be loaded may be there by now, such as an artefact on a shared disk."""
        return bool(present.problems) and time.monotonic() - self._compiled_at >= self._retry_s

    async def _look_forever(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.look_and_say()
            except Exception:  # noqa: BLE001 - logged with its trace; the next look may go better
                _log.exception("the snapshot cannot be renewed; serving on with the last one")
                self._stale = "an unexpected error, see the log"

    async def _say(self) -> None:
        """Report what is served, if it is new or was last said long ago; that it cannot be said changes nothing."""
        revision, said_at = self._reported
        report, snapshot = self._report, self.snapshot
        if report is None or (snapshot.revision == revision and time.monotonic() - said_at < self._report_s):
            return
        self._reported = (snapshot.revision, time.monotonic())
        try:
            await self._in_thread(lambda: report(snapshot.revision))
        except (BailiwickError, SQLAlchemyError, OSError) as error:
            _log.warning("what is served cannot be reported: %s", error)

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class _Older(Unavailable):
    """A store has fallen back behind what is served: a copy that lags, or a backup that was restored."""


def _check_not_older(found: Revision, served: Revision) -> None:
    if found.is_before(served):
        raise _Older(
            "the stores hold an older revision than the one that is served",
            requested=str(found),
            remedy="if a backup was restored, restart this gateway",
        )
