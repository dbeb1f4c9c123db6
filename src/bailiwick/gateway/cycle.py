"""One request and its answer on an HTTP/1.1 connection: uvicorn's cycle, with a cheaper way to send.

The head of an answer goes out together with the first piece of its body, as ASGI asks of servers, and its headers are
checked together: nine of ten answers of a gateway are one head and one piece.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

_WITHOUT_BODY = frozenset({204, 304})


class Cycle(RequestResponseCycle):
    """See the module. It writes no access log of its own."""

    _head = b""

    async def send(self, message: Any) -> None:
        """Send the head, or a piece of the body; waits while the client is slower than the answer.

        Raises:
            RuntimeError: the application breaks the rules of ASGI or HTTP.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if not self.response_started:
            if kind != "http.response.start":
                raise RuntimeError(f"Expected ASGI message 'http.response.start', but got {kind!r}.")
            self.response_started = True
            self.waiting_for_100_continue = False
            self._head = self._head_of(message["status"], message.get("headers", ()))
        elif self.response_complete or kind != "http.response.body":
            raise RuntimeError(f"Unexpected ASGI message {kind!r}.")
        else:
            self._send_piece(message.get("body", b""), more=message.get("more_body", False))

    def _head_of(self, status: int, headers: Any) -> bytes:
        lines = [STATUS_LINE[status]]
        values = []
        says_close = False
        for given, value in chain(self.default_headers, headers):
            name = _field_name(given)
            if name == b"content-length" and self.chunked_encoding is None:
                self.expected_content_length = int(value)
                self.chunked_encoding = False
            elif name == b"transfer-encoding" and value.lower() == b"chunked":
                self.expected_content_length = 0
                self.chunked_encoding = True
            elif name == b"connection" and b"close" in [token.strip() for token in value.lower().split(b",")]:
                self.keep_alive = False
                says_close = True
            lines.append(b"%b: %b\r\n" % (name, value))
            values.append(value)
        if HEADER_VALUE_RE.search(b"\t".join(values)):
            raise RuntimeError("Invalid HTTP header value.")
        if not self.keep_alive and not says_close:
            lines.append(b"connection: close\r\n")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _WITHOUT_BODY:
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)

    def _send_piece(self, body: bytes, *, more: bool) -> None:
        head, self._head = self._head, b""
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            body = b""
        elif self.chunked_encoding:
            if body:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            if not more:
                body += b"0\r\n\r\n"
        else:
            if len(body) > self.expected_content_length:
                raise RuntimeError("Response content longer than Content-Length")
            self.expected_content_length -= len(body)
        if head or body:
            self.transport.write(head + body)
        if not more:
            if self.expected_content_length != 0:
                raise RuntimeError("Response content shorter than Content-Length")
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()


@lru_cache(maxsize=1_024)
def _field_name(name: bytes) -> bytes:
    """A header's name in lower case; there are few, and each answer has many.

    Raises:
        RuntimeError: it is none.
    """
    if HEADER_RE.search(name):
        raise RuntimeError("Invalid HTTP header name.")
    return name.lower()
