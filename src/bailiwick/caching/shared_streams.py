"""One stream for several identical requests: read once, given to each from its beginning, at its own pace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from bailiwick.errors import Unavailable


class SharedStream:
    """A source that is read by a task of its own. When the last reader leaves, the source is closed.

    Args:
        source: an async generator of pieces.
        limit: bytes that are held at most. Beyond it nobody can join any more, what all have read is let go, and the
            source is read no further ahead of the slowest reader than that.
        on_whole: gets everything, where the source ended well within the limit; called before readers see the end.
        on_end: called when it is over, whichever way.
    """

    def __init__(
        self,
        source: AsyncIterator[bytes],
        limit: int,
        on_whole: Callable[[bytes], None],
        on_end: Callable[[], None],
    ) -> None:
        self._source = source
        self._limit = limit
        self._on_whole = on_whole
        self._on_end = on_end
        self._pieces: deque[bytes] = deque()
        self._gone = 0
        self._held = 0
        self._places: dict[object, int] = {}
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._over = False
        self._error: BaseException | None = None
        self.is_open = True
        self._task = asyncio.get_running_loop().create_task(self._pump())

    async def read(self, first_within_s: float) -> AsyncIterator[bytes]:
        """The pieces from the first one on. Must begin while `is_open`, and be closed.

        Raises:
            TimeoutError: the first piece did not come in time.
            Exception: what the source raised, after the pieces that came before.
        """
        me = object()
        self._places[me] = 0
        try:
            if not self._pieces and not self._over:
                async with asyncio.timeout(first_within_s):
                    await self._news.wait()
            while True:
                while self._places[me] < self._gone + len(self._pieces):
                    piece = self._pieces[self._places[me] - self._gone]
                    self._places[me] += 1
                    if not self.is_open:
                        self._let_go()
                    yield piece
                if self._over:
                    break
                await self._news.wait()
            if self._error is not None:
                raise self._error.with_traceback(None)
        finally:
            del self._places[me]
            if not self._places and not self._over:
                self.is_open = False
                self._on_end()
                self._task.cancel()
            elif not self.is_open:
                self._let_go()

    async def _pump(self) -> None:
        try:
            # the port promises an iterator; every adapter gives a generator, which has an `aclose`
            async with aclosing(self._source) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    self._pieces.append(piece)
                    self._held += len(piece)
                    self._tell()
                    await self._until_room()
            if self.is_open:
                self._on_whole(b"".join(self._pieces))
        except asyncio.CancelledError:
            self._error = Unavailable("the gateway is stopping")
            raise
        except Exception as error:  # noqa: BLE001 - raised again in every reader
            self._error = error
        finally:
            self.is_open = False
            self._over = True
            self._on_end()
            self._tell()

    async def _until_room(self) -> None:
        if self._held > self._limit:
            self.is_open = False
            self._on_end()
            self._let_go()
        while self._held > self._limit:
            self._room.clear()
            await self._room.wait()

    def _let_go(self) -> None:
        """Drop what every reader has read."""
        slowest = min(self._places.values(), default=self._gone + len(self._pieces))
        while self._pieces and self._gone < slowest:
            self._held -= len(self._pieces.popleft())
            self._gone += 1
        self._room.set()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
