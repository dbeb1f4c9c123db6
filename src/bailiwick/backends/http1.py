"""One HTTP/1.1 connection to an upstream: an asyncio protocol around httptools, one exchange after the other.

The body is handed on as the bytes that came. Reading stops while more than `_HIGH_WATER` bytes wait to be taken, so a
client that reads slowly slows its upstream down instead of filling the memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections.abc import Callable
from enum import Enum
from typing import Any, cast

import httptools

from bailiwick.backends.patience import Patience
from bailiwick.backends.ports import Break, Timing, TransportFailed

MAX_HEAD_BYTES = 1 << 16
"""Of a head, of trailers, of chunk extensions: of whatever an upstream sends without any byte of a body."""

_HIGH_WATER = 1 << 18
_READABLE = select.POLLIN | select.POLLERR | select.POLLHUP


class _Phase(Enum):
    IDLE = 0
    HEAD = 1
    BODY = 2
    COMPLETE = 3
    CLOSED = 4


class Connection(asyncio.Protocol):
    """A connection, and the response on it (see `UpstreamResponse`).

    Args:
        loop: that it lives in.
        when_idle: called when it can be used again.
        when_lost: called once when it has ended.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        when_idle: Callable[[Connection], None],
        when_lost: Callable[[Connection], None],
    ) -> None:
        self._loop = loop
        self._when_idle = when_idle
        self._when_lost = when_lost
        self._transport: asyncio.Transport | None = None
        self._descriptor = -1
        self._parser: Any = httptools.HttpResponseParser(self)
        self._phase = _Phase.IDLE
        self._lost = False
        self._idle_since = loop.time()
        self._idle_limit_s: float | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._patience = Patience(loop, self._lose_patience)
        self._clear()

    def _clear(self) -> None:
        self._headers: dict[bytes, bytes] = {}
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._fruitless_bytes = 0
        self._paused = False
        self._keeps_alive = False
        self._error: TransportFailed | None = None
        self._silence_s = 30.0
        self.status = 0

    # what a pool and a backend call

    def usable(self, idle_s: float) -> bool:
        """Whether the next request may go over it: it is idle, not for too long, and the other side is still there.

        What arrives on an idle connection is its end, or nothing that was asked for. The event loop may not have seen
        it yet, so the socket itself is asked: that is the moment when a request can still safely go elsewhere.
        """
        if self._phase is not _Phase.IDLE or self._transport is None or self._transport.is_closing():
            return False
        idle_for = self._loop.time() - self._idle_since
        limit = idle_s if self._idle_limit_s is None else min(idle_s, self._idle_limit_s)
        return idle_for < limit and not self._has_ended()

    async def exchange(self, request: bytes, timing: Timing) -> None:
        """Send a request and wait for the head of its answer.

        Raises:
            TransportFailed: it did not come.
        """
        assert self._phase is _Phase.IDLE and self._transport is not None
        self._clear()
        self._silence_s = timing.silence_s
        self._phase = _Phase.HEAD
        self._transport.write(request)
        while self._phase is _Phase.HEAD:
            await self._wait(timing.first_byte_s, "the head of the answer")
        if not self.status:
            raise self._ended()

    def header(self, name: str) -> str | None:
        """A header of the answer; ``name`` in lower case."""
        value = self._headers.get(name.encode())
        return None if value is None else value.decode("latin-1")

    async def piece(self) -> bytes:
        """What has come of the body since the last piece; empty at its end."""
        while not self._pieces:
            if self._phase is _Phase.COMPLETE:
                return b""
            if self._phase is not _Phase.BODY:
                raise self._ended()
            await self._wait(self._silence_s, "the answer to go on")
        pieces = self._pieces
        taken = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._waiting_bytes = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return taken

    def release(self) -> None:
        """Ready for the next exchange if this one is complete, else closed at once."""
        transport = self._transport
        if (
            self._phase is _Phase.COMPLETE
            and self._keeps_alive
            and transport is not None
            and not transport.is_closing()
            and transport.get_write_buffer_size() == 0
        ):
            if self._paused:
                transport.resume_reading()
            self._pieces.clear()
            self._phase = _Phase.IDLE
            self._idle_since = self._loop.time()
            self._when_idle(self)
        else:
            self.abort()

    @property
    def ended(self) -> bool:
        """Whether the connection has ended."""
        return self._lost

    def abort(self) -> None:
        """Close at once, without waiting for anything that is still to be sent."""
        self._phase = _Phase.CLOSED
        if self._transport is not None:
            self._transport.abort()

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)
        plain: Any = transport.get_extra_info("socket")
        if plain is not None:
            self._descriptor = plain.fileno()
            with contextlib.suppress(OSError):  # a pipe in its place has no such option
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        phase = self._phase
        if phase is not _Phase.BODY and phase is not _Phase.HEAD:
            self._spoil()
            return
        self._fruitless_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(Break.BROKEN, "what came is not an HTTP answer")
            return
        if self._fruitless_bytes > MAX_HEAD_BYTES:
            self._fail(Break.BROKEN, f"the head is longer than {MAX_HEAD_BYTES} bytes")
        elif self._waiting_bytes > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        if self._pieces or self._phase is not phase:
            self._wake()

    def eof_received(self) -> bool:
        """The other side sends no more: close."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has ended; an answer without a length is complete with it."""
        if self._phase is _Phase.BODY and error is None and not self._has_length():
            self._phase = _Phase.COMPLETE
        elif self._phase in (_Phase.HEAD, _Phase.BODY):
            self._fail(Break.BROKEN, "the connection ended")
        elif self._phase is _Phase.IDLE:
            self._phase = _Phase.CLOSED
        self._keeps_alive = False
        self._patience.close()
        self._transport = None
        self._parser = None  # it refers to this object: without it nothing waits for the garbage collector
        self._wake()
        if not self._lost:
            self._lost = True
            self._when_lost(self)

    # what the parser calls

    def on_message_begin(self) -> None:
        """A head begins: the answer's, or one that nobody asked for."""
        if self._phase is not _Phase.HEAD:
            self._keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or a trailer, which is ignored."""
        if self._phase is _Phase.HEAD:
            self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is there; that of an interim answer (1xx) is followed by another."""
        if self._phase is not _Phase.HEAD:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self._headers.clear()
            return
        self.status = status
        self._phase = _Phase.BODY
        self._idle_limit_s = _kept_for_s(self._headers.get(b"keep-alive"))

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self._phase is _Phase.BODY:
            self._pieces.append(body)
            self._waiting_bytes += len(body)
            self._fruitless_bytes = 0

    def on_message_complete(self) -> None:
        """The answer has ended."""
        if self._phase is _Phase.BODY:
            self._phase = _Phase.COMPLETE
            self._keeps_alive = self._parser.should_keep_alive()

    # the rest

    async def _wait(self, seconds: float, what: str) -> None:
        waiter = self._waiter = self._loop.create_future()
        self._patience.begin(seconds, what)
        try:
            await waiter
        finally:
            self._waiter = None
            self._patience.end()

    def _lose_patience(self, seconds: float, what: str) -> None:
        self._fail(Break.SILENT, f"waited {seconds:g} s for {what}")

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, kind: Break, words: str) -> None:
        if self._error is None:
            self._error = TransportFailed(kind, words)
        self._keeps_alive = False
        self.abort()
        self._wake()

    def _spoil(self) -> None:
        """Bytes that nobody asked for: whatever was read before stays good, but nothing more goes over this."""
        self._keeps_alive = False
        if self._phase is _Phase.COMPLETE and self._transport is not None:
            self._transport.abort()
        else:
            self.abort()

    def _ended(self) -> TransportFailed:
        return self._error or TransportFailed(Break.BROKEN, "the connection was closed")

    def _has_length(self) -> bool:
        return b"content-length" in self._headers or b"transfer-encoding" in self._headers

    def _has_ended(self) -> bool:
        if self._descriptor < 0:
            return True
        poll = select.poll()
        try:
            poll.register(self._descriptor, _READABLE)
            return bool(poll.poll(0))
        except (OSError, ValueError):
            return True


def _kept_for_s(header: bytes | None) -> float | None:
    """How long the other side promises to keep an idle connection, less a little; None where it does not say.

    >>> _kept_for_s(b"timeout=5, max=100"), _kept_for_s(b"max=3"), _kept_for_s(None)
    (4.0, None, None)
    """
    for part in (header or b"").split(b","):
        name, _, value = part.strip().partition(b"=")
        if name.lower() == b"timeout" and value.isdigit() and len(value) < 10:
            return int(value) * 0.8
    return None
