"""Upstreams that cost little: one that echoes, one that fails every tenth call, one that fails a tenth at random."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

from benchmarks.gateway_load import ANSWER, CHUNK, CHUNKS

_asked = 0
_random = random.Random(1)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """The peer and the upstream: reads the body, answers a fixed completion, or 32 events one by one."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if b'"stream":true' in body.replace(b" ", b""):
        kind = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        for _ in range(CHUNKS):
            await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


async def flaky(scope: Any, receive: Any, send: Any) -> None:
    """The echo, which answers every tenth request with 503."""
    global _asked
    _asked += 1
    if _asked % 10:
        await echo(scope, receive, send)
    else:
        await _fail(receive, send, 503)


async def unlucky(scope: Any, receive: Any, send: Any) -> None:
    """The echo, which fails a tenth of the requests at random: 503, 500, 429, or a connection that breaks."""
    if _random.random() >= 0.1:
        await echo(scope, receive, send)
        return
    status = _random.choice([503, 500, 429, 0])
    if status:
        await _fail(receive, send, status)
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})
    raise ConnectionAbortedError


async def _fail(receive: Any, send: Any, status: int) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def serve(application: Any = echo) -> None:
    """Run one of them until stopped; prints its url."""
    import uvicorn

    from bailiwick.cli.serve import bound_socket

    listening = bound_socket("127.0.0.1", 0)
    print(json.dumps({"url": f"http://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
    config = uvicorn.Config(
        application,
        interface="asgi3",
        http="httptools",
        loop="uvloop",
        lifespan="off",
        log_level="critical",
        access_log=False,
    )
    uvicorn.Server(config).run(sockets=[listening])


def command(name: str = "echo") -> tuple[str, str]:
    """Words that run one of them in a process of its own."""
    return "-c", f"from benchmarks import gateway_upstreams as u; u.serve(u.{name})"
