"""Load over several gateways as a balancer sends it, which counts every request that is lost.

Only replicas whose ``/readyz`` says 200 get new requests. A connection is kept until its replica says ``close``. A
replica that cannot be connected to costs nothing; once a request is sent it counts, and it is never sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

_LOOK_S = 0.05


class Balancer:
    """Sends one request after the other from each worker.

    Args:
        urls: of the gateways.
        bodies: of chat requests, taken in turn.
    """

    def __init__(self, urls: Sequence[str], bodies: Sequence[dict[str, object]]) -> None:
        self._addresses = {url: url.removeprefix("http://").partition(":")[::2] for url in urls}
        self._bodies = [json.dumps(body).encode() for body in bodies]
        self.ready: set[str] = set(urls)
        self.lost: list[str] = []
        self.answered: dict[str, int] = dict.fromkeys(urls, 0)
        self.streams = 0

    @property
    def total(self) -> int:
        """Requests answered so far."""
        return sum(self.answered.values())

    @asynccontextmanager
    async def running(self, workers: int = 4, pause_s: float = 0.03) -> AsyncIterator[None]:
        """Load while the block runs; what is under way at its end is finished."""
        stop = asyncio.Event()
        looking = asyncio.create_task(self._look())
        tasks = [asyncio.create_task(self._work(number, stop, pause_s)) for number in range(workers)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait for something that can be seen without blocking."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.02)

    async def more(self, requests: int) -> None:
        """Wait until so many more are answered."""
        wanted = self.total + requests
        await self.until(lambda: self.total >= wanted)

    async def _look(self) -> None:
        while True:
            for url in self._addresses:
                try:
                    status, _ = await self._exchange(
                        url, b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
                    )
                except (OSError, asyncio.IncompleteReadError):
                    status = 0
                (self.ready.add if status == 200 else self.ready.discard)(url)
            await asyncio.sleep(_LOOK_S)

    async def _exchange(self, url: str, message: bytes) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection(*self._addresses[url])
        try:
            writer.write(message)
            head = await reader.readuntil(b"\r\n\r\n")
            return int(head.split(b" ")[1]), head
        finally:
            writer.close()

    async def _work(self, number: int, stop: asyncio.Event, pause_s: float) -> None:
        kept: tuple[str, asyncio.StreamReader, asyncio.StreamWriter] | None = None
        turn = number
        while not stop.is_set():
            if kept is None or kept[0] not in self.ready:
                if kept is not None:
                    kept[2].close()
                kept = await self._connected()
                if kept is None:
                    await asyncio.sleep(_LOOK_S)
                    continue
            url, reader, writer = kept
            body = self._bodies[turn % len(self._bodies)]
            turn += 1
            try:
                async with asyncio.timeout(60):
                    again = await self._ask(reader, writer, body)
            except (OSError, EOFError, TimeoutError, AssertionError) as error:
                self.lost.append(f"{url}: {error!r}")
                again = False
            else:
                self.answered[url] += 1
            if not again:
                writer.close()
                kept = None
            await asyncio.sleep(pause_s)
        if kept is not None:
            kept[2].close()

    async def _connected(self) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter] | None:
        for url in random.sample(sorted(self.ready), len(self.ready)):
            with contextlib.suppress(OSError):
                return (url, *await asyncio.open_connection(*self._addresses[url]))
        return None

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> bool:
        """Whether the connection can be used again."""
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
        writer.write(head + body)
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert answer.startswith(b"http/1.1 200"), answer[:200]
        if b"transfer-encoding: chunked" in answer:
            events = await reader.readuntil(b"\r\n0\r\n\r\n")
            assert b"[DONE]" in events, events[-300:]
            self.streams += 1
        else:
            length = int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            assert b"choices" in await reader.readexactly(length)
        return b"connection: close" not in answer
