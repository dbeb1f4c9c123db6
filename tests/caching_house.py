"""A backend that counts and waits when told to, and what is asked of a cache in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from bailiwick.backends.model import Call, Operation, UpstreamFailed
from bailiwick.caching.model import Asking, Wishes
from bailiwick.domains.cache import AnswerCaching

SEED, IDENTITY = b"seed", b"model"


def chunk(text: str) -> bytes:
    return b'data: {"id":"up-1","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % text.encode()


DONE = b"data: [DONE]\n\n"


class Counting:
    """Outside of this process. Each answer says which call it was; calls wait at `gate` while it is closed.

    Args:
        failing: numbers of calls that fail, from 1 on.
    """

    identity = "counting"

    def __init__(self, failing: frozenset[int] = frozenset(), *, in_process: bool = False) -> None:
        self.in_process = in_process
        self.calls: list[Call] = []
        self.failing = failing
        self.gate = asyncio.Event()
        self.gate.set()
        self.left = 0

    async def answer(self, call: Call) -> dict[str, Any]:
        self.calls.append(call)
        number = len(self.calls)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.left += 1
            raise
        if number in self.failing:
            raise UpstreamFailed(f"call {number} failed")
        usage = {"prompt_tokens": 3, "completion_tokens": 4}
        call.usage.take(usage)
        asked = call.body["messages"][-1]["content"]
        return {"id": f"up-{number}", "choices": [{"message": {"content": f"{asked} {number}"}}], "usage": usage}

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        self.calls.append(call)
        number = len(self.calls)
        try:
            yield chunk(f"{number} ")
            await self.gate.wait()
            if number in self.failing:
                raise UpstreamFailed(f"call {number} broke off")
            yield chunk("end")
            call.usage.take({"prompt_tokens": 3, "completion_tokens": 4})
            yield DONE
        except (asyncio.CancelledError, GeneratorExit):
            self.left += 1
            raise


def asking(
    backend: Any,
    text: str = "hello",
    *,
    settings: AnswerCaching | None = None,
    wishes: Wishes | None = None,
    domain_seed: bytes = SEED,
    identity: bytes = IDENTITY,
    version: str = "v1",
    arm: bytes = b"",
    stream: bool = False,
    request_id: str = "r1",
    deadline_s: float = 30.0,
    domain: str = "cards",
    **body: Any,
) -> Asking:
    """One attempt; ``body`` are more fields of the request."""
    fields = {"model": "cards", "messages": [{"role": "user", "content": text}], "temperature": 0, **body}
    call = Call(Operation.CHAT, fields, request_id, deadline_s)
    return Asking(
        domain=domain,
        settings=settings or AnswerCaching(),
        seed=domain_seed,
        call=call,
        backend=backend,
        identity=identity,
        version=version,
        arm=arm,
        stream=stream,
        wishes=wishes or Wishes(),
    )
