"""HTTP/1.1 connections that cannot be held for nothing: bounds on the head, on slow senders, on readers that stall.

uvicorn reads a request for as long as its client likes to send it, whatever the length of its head. Each of these
bounds costs nothing while a request comes in one piece. Requests are answered by `Cycle`, and learn from `Presence`
that their client has left.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from bailiwick.gateway.cycle import Cycle
from bailiwick.gateway.presence import PRESENCE, Presence

_LINGER_S = 1.0


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What one connection, and all of them together, may take.

    Args:
        most_connections: at the same time; one more is answered with 503 and closed.
        head_bytes: of a request: its line and its headers.
        head_s: seconds from a connection, or a request's first byte, until its head is there.
        request_s: seconds from the end of a head until the body is there.
        stalled_s: seconds that a client may leave an answer unread, once the buffers are full.
    """

    most_connections: int = 4_096
    head_bytes: int = 64 << 10
    head_s: float = 10.0
    request_s: float = 60.0
    stalled_s: float = 60.0


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with `ConnectionLimits`; see `guarded`."""

    limits = ConnectionLimits()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, unless there are too many."""
        super().connection_made(transport)
        self._presence = Presence()
        self._in_head = False
        self._receiving = False
        self._head_bytes = 0
        self._read_bytes = 0
        self._refused = False
        self._stalled: asyncio.TimerHandle | None = None
        self._late: asyncio.TimerHandle | None = None
        if len(self.connections) > self.limits.most_connections:
            self._refuse(503, "too many connections", "server_error", "too_many_connections")
        else:
            self._late = self.loop.call_later(self.limits.head_s, self._out_of_time)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        for timer in (self._late, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._presence.leave()

    def data_received(self, data: bytes) -> None:
        """Read on; what does not complete a request is timed."""
        if self._refused:
            return
        self._read_bytes = len(data)
        super().data_received(data)
        if not self._receiving:
            self._on_time()
        elif self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.head_bytes:
                self._refuse_head()
            elif self._late is None:
                self._late = self.loop.call_later(self.limits.head_s, self._out_of_time)
        elif self._late is None:
            self._late = self.loop.call_later(self.limits.request_s, self._out_of_time)

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._in_head = self._receiving = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """A request's head is whole."""
        self._in_head = False
        self._on_time()
        if self._head_bytes + self._read_bytes > self.limits.head_bytes and self._head_is_too_long():
            self._refuse_head()
        elif not self._refused:
            self._take_request()

    def on_body(self, body: bytes) -> None:
        """A piece of a body; of a refused request nothing is kept."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._receiving = False
        if not self._refused:
            super().on_message_complete()
            if not self.pipeline:
                self.flow.resume_reading()  # a long body may have paused it: that the client leaves must be seen

    def _head_is_too_long(self) -> bool:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self.limits.head_bytes

    def _take_request(self) -> None:
        """Answer the request whose head is there, or queue it behind one that is being answered."""
        version = self.parser.get_http_version()
        path, raw_path, query = _parts(self.url)
        scope: Any = self.scope
        scope["http_version"] = version
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["path"] = self.root_path + path
        scope["raw_path"] = self.root_path.encode("ascii") + raw_path
        scope["query_string"] = query
        scope["extensions"] = {PRESENCE: self._presence}
        before = self.cycle
        cycle = self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.limits.stalled_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read on."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def _on_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _out_of_time(self) -> None:
        """The client is late, unless it is we who read no further: an earlier request of it is being answered."""
        self._late = None
        if self.flow.read_paused and not self.transport.is_closing():
            self._late = self.loop.call_later(self.limits.request_s, self._out_of_time)
        elif self._receiving:
            self._refuse(408, "the request did not come in time", "invalid_request_error", "request_timeout")
        else:
            self._refused = True
            self.transport.close()  # nothing was ever sent

    def _refuse_head(self) -> None:
        words = f"the request's head is longer than {self.limits.head_bytes} bytes"
        self._refuse(431, words, "invalid_request_error", "headers_too_large")

    def _refuse(self, status: int, message: str, kind: str, code: str) -> None:
        """Answer, where no answer has begun, and close; whoever does not even read that is cut off."""
        if self._refused:
            return
        self._refused = True
        self._on_time()
        if self.cycle is None or self.cycle.response_complete or not (self.cycle.response_started or self._in_head):
            error = {"message": message, "type": kind, "param": None, "code": code}
            body = orjson.dumps({"error": error})
            retry = b"retry-after: 1\r\nx-should-retry: true\r\n" if status == 503 else b""
            self.transport.write(
                STATUS_LINE[status]
                + b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n" % len(body)
                + retry
                + b"\r\n"
                + body
            )
        self.transport.close()
        self.loop.call_later(_LINGER_S, self.transport.abort)


@lru_cache(maxsize=256)
def _parts(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, path as it was sent, and query of a request's target."""
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""


def guarded(limits: ConnectionLimits) -> type[GuardedProtocol]:
    """The protocol with these limits, for ``uvicorn.Config(http=...)``."""
    fields: dict[str, Any] = {"limits": limits}
    return type("GuardedProtocol", (GuardedProtocol,), fields)
