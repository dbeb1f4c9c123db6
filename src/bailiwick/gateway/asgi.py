"""The few things that a plain ASGI application needs: reading a body, sending JSON, noticing that a client left."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import orjson

from bailiwick.gateway.faults import TooLarge, TooSlow
from bailiwick.gateway.presence import PRESENCE, Presence

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

JSON_TYPE = (b"content-type", b"application/json")
_BODY_S = 30.0
_THROWN_AWAY = 4
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,100}")


class ClientGone(Exception):
    """The client has closed the connection: there is nobody to answer."""


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes:
    """The whole request body.

    A body that is too long is read on and thrown away, up to four times the limit: a client that is still sending
    would see a broken connection instead of the answer.

    Raises:
        TooLarge: it is longer than ``limit`` bytes.
        TooSlow: it was not there after 30 seconds.
        ClientGone: the client left.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit * _THROWN_AWAY:
        raise _too_large(limit)
    message = await _received(receive)
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False) and len(body) <= limit:
        return body
    try:
        async with asyncio.timeout(_BODY_S):
            return await _rest_of_body(message, receive, limit)
    except TimeoutError as error:
        raise TooSlow(f"the body was not there after {_BODY_S:g} s", what="body") from error


async def _rest_of_body(message: MutableMapping[str, Any], receive: Receive, limit: int) -> bytes:
    pieces = [message.get("body", b"")]
    length = len(pieces[0])
    while message.get("more_body", False) and length <= limit * _THROWN_AWAY:
        message = await _received(receive)
        piece = message.get("body", b"")
        length += len(piece)
        if length <= limit:
            pieces.append(piece)
    if length > limit:
        raise _too_large(limit)
    return b"".join(pieces)


async def _received(receive: Receive) -> MutableMapping[str, Any]:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is longer than {limit} bytes", what="body", allowed=limit)


async def send_bytes(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """A whole response."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, status: int, document: Any, headers: Headers = ()) -> None:
    """A whole JSON response."""
    await send_bytes(send, status, orjson.dumps(document), [JSON_TYPE, *headers])


async def unless_client_leaves(
    receive: Receive, work: Coroutine[Any, Any, None], presence: Presence | None = None
) -> None:
    """Do the work, but give it up when the client closes the connection. The request body must have been read.

    Args:
        receive: says it where the server knows no `Presence`, at the price of a task that waits for it.
        work: stays in the task of the caller.
        presence: of the client, where the server knows it.

    Raises:
        ClientGone: the client left; the work was cancelled and has ended.
    """
    if presence is not None:
        await _unless_absent(presence, work)
        return
    watched = Presence()

    async def watch() -> None:
        await receive()
        watched.leave()

    watching = asyncio.ensure_future(watch())
    try:
        await _unless_absent(watched, work)
    finally:
        watching.cancel()


async def _unless_absent(presence: Presence, work: Coroutine[Any, Any, None]) -> None:
    if presence.left:
        work.close()
        raise ClientGone
    mine = asyncio.current_task()
    assert mine is not None, "a server runs each request in a task"
    presence.tell(mine.cancel)
    try:
        await work
    except asyncio.CancelledError:
        if presence.left and mine.uncancel() == 0:
            raise ClientGone from None
        raise
    finally:
        presence.tell(None)


def presence_of(scope: Scope) -> Presence | None:
    """Of the client, where the server knows it."""
    found: Presence | None = scope.get("extensions", {}).get(PRESENCE)
    return found


def request_id_of(headers: Mapping[bytes, bytes]) -> str:
    """The client's ``x-request-id`` if it is a plain word, else a new one."""
    given = headers.get(b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode("ascii")
    return next(_FRESH_IDS)


def _fresh_ids() -> Iterator[str]:
    """Names that nobody can guess, 96 bits each. Many are drawn at once: each draw is a call of the system."""
    while True:
        drawn = secrets.token_hex(12 * 256)
        yield from (drawn[at : at + 24] for at in range(0, len(drawn), 24))


_FRESH_IDS = _fresh_ids()


def unit_of(headers: Mapping[bytes, bytes], user: str | None, request_id: str) -> str:
    """Whom an answer stays the same for: the body's user, the user or session of the headers, or this request alone."""
    if user is not None:
        return user
    named = headers.get(b"x-user-id") or headers.get(b"x-session-id")
    return named.decode("utf-8", "replace") if named else request_id
