"""An upstream that answers with whatever bytes a test wants, on a real socket in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from bailiwick.backends.model import Call, Operation
from bailiwick.backends.openai_http import OpenAiHttpBackend
from bailiwick.backends.pool import UpstreamPool
from bailiwick.domains.model import Backend, Domain

Answer = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

WHOLE = b'{"object":"chat.completion","choices":[]}'
GOOD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(WHOLE), WHOLE)
EVENT = b'data: {"choices":[]}\n\n'
DONE = b"data: [DONE]\n\n"


class RawUpstream:
    """Counts what it sees.

    Args:
        answer: called for each request with its head, until it closes the writer.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.connections = self.ended = 0
        self.url = ""

    @property
    def open(self) -> int:
        """Connections that stand."""
        return self.connections - self.ended

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while not writer.is_closing():
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                    await reader.readexactly(int(length or 0))
                    self.heads.append(head)
                    await self.answer(head, reader, writer)
        finally:
            self.ended += 1
            writer.close()


@asynccontextmanager
async def upstream(answer: Answer | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawUpstream]:
    """A raw upstream; bytes are written for every request, and the connection stays open."""

    async def write(_head: bytes, _reader: Any, writer: asyncio.StreamWriter) -> None:
        assert isinstance(answer, bytes)
        writer.write(answer)

    made = RawUpstream(write if isinstance(answer, bytes) else answer)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, limit=1 << 20, ssl=tls)
    made.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield made
    finally:
        server.close()


def backend_of(pool: UpstreamPool, *urls: str, **fields: Any) -> OpenAiHttpBackend:
    """A backend over the addresses, which does not try again unless told to."""
    chosen = {"timeout_s": 2.0, "retries": 0, **fields}
    base_url = urls[0] if len(urls) == 1 else urls
    domain = Domain("far", "Far", "a", backend=Backend("openai-compatible", base_url=base_url, model="m", **chosen))
    return OpenAiHttpBackend(domain, pool, {"KEY": "sk-secret"})


def call_of(operation: Operation = Operation.CHAT, deadline_s: float = 2.0) -> Call:
    """A call with the least body."""
    return Call(operation, {"model": "far", "messages": []}, "r1", deadline_s)


async def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
