"""A real gateway application with keys, on a clock that moves when told to."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateway_house import House, run

from bailiwick.clock import VirtualClock
from bailiwick.domains.model import Domain
from bailiwick.gateway.admission.door import Door
from bailiwick.gateway.admission.local import LocalLimits
from bailiwick.governance.access.model import NO_LIMITS, AccessState, ClientKey, KeySecret, Limits
from bailiwick.governance.access.secret import digest_of, secret_of
from bailiwick.metrics.prometheus import render
from bailiwick.traffic.weights import whole

START = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)
SECRET = secret_of(b"a" * 32)
OTHER = secret_of(b"b" * 32)


class Gate(House):
    """A gateway with keys, on a virtual clock."""

    def __init__(self, *, required: bool = False, limits: Limits = NO_LIMITS, domains: tuple[str, ...] = ()) -> None:
        self.clock = VirtualClock(START)
        self.door = Door(required=required, clock=self.clock)
        self.door._local = LocalLimits(self.door.meter.spent, self.door.meter.to_midnight_ms, self.now_ms)
        super().__init__(None, door=self.door)
        self.sources.domains["loans"] = Domain("loans", "L", "a")
        self.sources.held["loans"] = whole("loans", "v2", "s")
        self.key = ClientKey("key-1", "app", "ada", "", domains, limits, SECRET[:8], START, "ada")
        self.let_in()

    def now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    def let_in(self, limited: tuple[tuple[str, Limits], ...] = (), **changes: Any) -> None:
        self.key = replace(self.key, **changes)
        held = (KeySecret("key-1", digest_of(SECRET)),)
        self.sources.let_in = AccessState(self.sources.let_in.revision + 1, (self.key,), held, limited)

    async def post(
        self, body: Mapping[str, Any] | None = None, secret: str | None = SECRET, path: str = "/v1/chat/completions"
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, document and headers."""
        asked = {"model": "cards", "messages": [{"role": "user", "content": "hi"}], **(body or {})}
        return await self.call("POST", path, json.dumps(asked).encode(), secret)

    async def call(
        self, method: str, path: str, raw: bytes = b"", secret: str | None = SECRET
    ) -> tuple[int, Any, dict[str, str]]:
        authorization = [] if secret is None else [(b"authorization", f"Bearer {secret}".encode())]
        scope = {"type": "http", "method": method, "path": path, "headers": authorization}
        messages: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw}

        async def send(message: Any) -> None:
            messages.append(message)

        await self.app(scope, receive, send)
        body = b"".join(each.get("body", b"") for each in messages)
        headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        document = json.loads(body) if headers["content-type"] == "application/json" else body
        return messages[0]["status"], document, headers

    def metrics(self) -> str:
        return render(self.door.families())


def story(gate: Gate, told: Callable[[], Awaitable[None]]) -> None:
    run(gate, told)
