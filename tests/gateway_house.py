"""A real gateway application over sources in memory, with a recorder that remembers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from gateway_sources import Constant, Memory, compiler

from bailiwick.backends.model import Call
from bailiwick.gateway.admission.door import Door
from bailiwick.gateway.app import Gateway
from bailiwick.gateway.model import Finished, ShadowBackend, Snapshot
from bailiwick.gateway.pins import Pins
from bailiwick.gateway.reloader import Reloader
from bailiwick.metrics.model import Feedback
from bailiwick.metrics.observations import SHADOW_ARM
from bailiwick.metrics.prometheus import Family, render
from bailiwick.traffic.model import Shadow

RESPONSES = "/v1/responses"


class Other(Constant):
    """A model that says the other label."""

    def predict(self, texts: Any) -> Any:
        return np.tile([0.25, 0.75], (len(texts), 1))


class Tape:
    """A recorder that remembers."""

    def __init__(self) -> None:
        self.answered: list[dict[str, Any]] = []
        self.numbers: list[tuple[str, str, str, float, str]] = []

    def record(self, domain: str, version: str, metric: str, value: float, *, arm: str = "") -> bool:
        self.numbers.append((domain, version, metric, value, arm))
        return True

    def served(self, request_id: str, domain: str, version: str, values: Mapping[str, float], **more: Any) -> bool:
        self.answered.append({"domain": domain, "version": version, **values})
        return True

    def exposed(self, exposures: Sequence[Any], **_more: Any) -> bool:
        return True

    def feedback(self, request_id: str, **_more: Any) -> Feedback:
        raise AssertionError(request_id)

    def families(self) -> list[Family]:
        return []

    def shadow(self, metric: str) -> list[float]:
        return [value for _, _, name, value, arm in self.numbers if name == metric and arm == SHADOW_ARM]


class Scripted:
    """A backend outside of this process that does what it is told."""

    in_process = False

    def __init__(self, answer: Callable[[Call], Awaitable[dict[str, Any]]]) -> None:
        self._answer = answer
        self.calls: list[Call] = []

    async def answer(self, call: Call) -> dict[str, Any]:
        self.calls.append(call)
        return await self._answer(call)

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        raise AssertionError("a shadow is asked for whole answers")
        yield b""


class House:
    """A gateway over sources in memory."""

    def __init__(
        self,
        shadow: Shadow | None,
        backend: Any = None,
        observers: Sequence[Callable[[Finished], None]] = (),
        door: Door | None = None,
    ) -> None:
        self.sources = Memory()
        self.sources.models["v2"] = Other()
        self.sources.held["cards"] = replace(self.sources.held["cards"], shadow=shadow)
        self.tape = Tape()
        self.seen: list[Finished] = []
        made = compiler(self.sources)

        def compiled(previous: Snapshot | None) -> Snapshot:
            found = made.compile(previous)
            if backend is None or shadow is None:
                return found
            served = replace(found.served["cards"], shadow=ShadowBackend(shadow, backend))
            return replace(found, served={**found.served, "cards": served})

        self.reloader = Reloader(self.sources.revision, compiled, 3_600)
        self.app = Gateway(self.reloader, Pins(made), self.tape, observers=[self.seen.append, *observers], door=door)

    async def ask(
        self, stream: bool = False, model: str = "cards", path: str = "/v1/chat/completions", **headers: str
    ) -> tuple[int, bytes]:
        asked = {"role": "user", "content": "secret words"}
        field = "input" if path == RESPONSES else "messages"
        body = {"model": model, field: [asked], "stream": stream}
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
        }
        messages: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(body).encode()}

        async def send(message: Any) -> None:
            messages.append(message)

        await self.app(scope, receive, send)
        return messages[0]["status"], b"".join(each.get("body", b"") for each in messages)

    def counted(self) -> str:
        return render(self.app.shadows.families())


async def settled(house: House) -> None:
    while house.app.shadows._tasks:
        await asyncio.sleep(0.001)


def run(house: House, story: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await house.reloader.start()
        try:
            await story()
        finally:
            await house.app.shadows.stop()
            await house.reloader.stop()

    asyncio.run(whole())
