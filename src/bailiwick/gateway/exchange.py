"""One request for a model and what has been sent for it so far."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import orjson

from bailiwick.backends.model import Operation, UpstreamFailed
from bailiwick.errors import BailiwickError
from bailiwick.gateway.admission.headers import limit_headers, refusal_headers
from bailiwick.gateway.admission.model import Ticket
from bailiwick.gateway.answering import Asked
from bailiwick.gateway.asgi import JSON_TYPE, Headers, Receive, Scope, Send, presence_of, request_id_of
from bailiwick.gateway.cached import cache_headers
from bailiwick.gateway.faults import error_body, retry_headers, status_of
from bailiwick.gateway.model import Finished, Meter, ModelRequest
from bailiwick.gateway.targets import Target
from bailiwick.governance.access.table import AdmittedKey
from bailiwick.traffic.model import Assignment

_NOTHING = Meter()
_NO_BODY: Mapping[str, Any] = {}


class Exchange:
    """See the module.

    Args:
        operation: what is asked.
        scope, receive, send: of the server.
    """

    def __init__(self, operation: Operation, scope: Scope, receive: Receive, send: Send) -> None:
        self.operation = operation
        self.headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self.receive = receive
        self.send = send
        self.presence = presence_of(scope)
        self.request_id = request_id_of(self.headers)
        self.target: Target | None = None
        self.request: ModelRequest | None = None
        self.asked: Asked | None = None
        self.key: AdmittedKey | None = None
        self.ticket: Ticket | None = None
        self.status = 0
        self.begun = False
        self.started = time.perf_counter()

    async def begin(self, status: int, headers: Headers) -> None:
        """Send the head."""
        self.begun, self.status = True, status
        await self.send({"type": "http.response.start", "status": status, "headers": [*headers, *self._named()]})

    async def respond(self, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
        """Send head and body."""
        await self.begin(status, (*headers, (b"content-length", b"%d" % len(body))))
        await self.send({"type": "http.response.body", "body": body})

    async def fail(self, error: BailiwickError) -> None:
        """Send the error: as a response, or as the last event of a stream that has begun."""
        status = status_of(error)
        document = orjson.dumps(error_body(error, status))
        if self.begun:
            self.status = status
            told = isinstance(error, UpstreamFailed) and error.told
            await self.send({"type": "http.response.body", "body": b"" if told else b"data: " + document + b"\n\n"})
            return
        await self.respond(status, document, JSON_TYPE, *refusal_headers(error), *retry_headers(error))

    async def fail_unexpectedly(self) -> None:
        """Send an error that gives nothing away."""
        await self.fail(BailiwickError("an unexpected error; the log has the details", where=self.request_id))

    def finished(self) -> Finished:
        """What is told of the exchange once it is over."""
        request, asked = self.request, self.asked
        target = self.target or (asked.targets[0] if asked else None)  # what fails is counted where it was asked
        meter = asked.meter if asked else _NOTHING
        return Finished(
            request_id=self.request_id,
            operation=self.operation,
            model=_asked_model(request) if request else "",
            domain=target.served.domain.id if target else "",
            version=target.version if target else "",
            route=target.route.method.value if target else "",
            status=self.status,
            seconds=time.perf_counter() - self.started,
            stream=request.stream if request else False,
            first_token_s=meter.first_token_s,
            prompt_tokens=meter.usage.prompt_tokens,
            completion_tokens=meter.usage.completion_tokens,
            traceparent=self.headers.get(b"traceparent", b""),
            body=request.body if request else _NO_BODY,
            cache=meter.cache.outcome.value if meter.cache and meter.cache.outcome else "",
            key=self.key.id if self.key else "",
            decision=asked.targets[0].route.decision if asked else None,
            answered=self.target is not None,
            text=request.text if request else "",
        )

    def _named(self) -> list[tuple[bytes, bytes]]:
        named = [(b"x-request-id", self.request_id.encode())]
        if self.ticket is not None:
            named += limit_headers(self.ticket.standings)
        if self.target is not None:
            route = self.target.route
            named += [
                (b"x-bailiwick-domain", route.domain.encode()),
                (b"x-bailiwick-version", self.target.version.encode()),
                (b"x-bailiwick-route", route.method.value.encode()),
                (b"x-bailiwick-confidence", b"%.4f" % route.confidence),
                *(cache_headers(self.asked.meter) if self.asked is not None and self.asked.meter.cache else ()),
            ]
            if self.target.assigned:  # in one header: clients refuse answers with more than a hundred
                named.append((b"x-bailiwick-experiment", b", ".join(map(_experiment_header, self.target.assigned))))
        return named


def _asked_model(request: ModelRequest) -> str:
    return request.model if request.version is None else f"{request.model}@{request.version}"


def _experiment_header(assigned: Assignment) -> bytes:
    return f"{assigned.experiment}={assigned.arm.name}".encode("ascii")
