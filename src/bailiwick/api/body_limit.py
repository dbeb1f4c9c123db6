"""Refuses request bodies that are too long while they arrive, before any of them is parsed or kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """ASGI middleware.

    Args:
        app: what answers the requests that are short enough.
        usual: longest body in bytes.
        larger: the same for paths that begin so.
    """

    def __init__(self, app: ASGIApp, usual: int, larger: Mapping[str, int]) -> None:
        self._app = app
        self._usual = usual
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or answer it with 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = next((most for start, most in self._larger.items() if scope["path"].startswith(start)), self._usual)
        counted = _Counted(receive, limit)
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit:
            await _too_long(limit)(scope, receive, send)
            return
        begun = False

        async def watched_send(message: Message) -> None:
            nonlocal begun
            if counted.exceeded and not begun:
                return  # the answer to half a body
            begun = True
            await send(message)

        try:
            await self._app(scope, counted, watched_send)
        except ClientDisconnect:
            if not counted.exceeded:
                raise
        if counted.exceeded and not begun:
            await _too_long(limit)(scope, receive, send)


class _Counted:
    """Receives until the limit, then says that the client has left."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self.exceeded = False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.exceeded = True
            return {"type": "http.disconnect"}
        return message


def _too_long(limit: int) -> JSONResponse:
    fields: dict[str, Any] = {"code": "request_too_large", "what": "body", "allowed": limit}
    title = f"the body is longer than {limit:,} bytes"
    document = {"type": "urn:bailiwick:request_too_large", "title": title, "status": 413, **fields}
    # Whatever of the body is still to come is not read: the connection ends with this answer.
    return JSONResponse(document, 413, {"connection": "close"}, media_type="application/problem+json")
