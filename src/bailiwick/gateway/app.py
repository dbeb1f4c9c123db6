"""The data plane: a plain ASGI application that speaks OpenAI's wire format."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import orjson

from bailiwick.backends.model import Operation
from bailiwick.caching.answers import AnswerCache
from bailiwick.caching.model import Outcome
from bailiwick.caching.wishes import wishes_of
from bailiwick.errors import BailiwickError
from bailiwick.gateway.admission.door import Door
from bailiwick.gateway.answering import Answering, Asked
from bailiwick.gateway.asgi import (
    JSON_TYPE,
    ClientGone,
    Receive,
    Scope,
    Send,
    read_body,
    send_bytes,
    send_json,
    unit_of,
    unless_client_leaves,
)
from bailiwick.gateway.evaluations import FLAGS, Evaluations
from bailiwick.gateway.exchange import Exchange
from bailiwick.gateway.limits import limits_of
from bailiwick.gateway.listing import MODEL, Listing, send_error
from bailiwick.gateway.model import FeedbackRequest, Finished, ShadowBackend
from bailiwick.gateway.participants import Asker
from bailiwick.gateway.pins import Pins
from bailiwick.gateway.ports import Recorder
from bailiwick.gateway.reloader import Reloader
from bailiwick.gateway.requests import parse_feedback, parse_request, timeout_of
from bailiwick.gateway.shadowing import MAX_BYTES, Shadows
from bailiwick.gateway.telemetry import Telemetry, gauge
from bailiwick.gateway.trace_context import passed_on
from bailiwick.metrics.prometheus import CONTENT_TYPE, Family, Sample, render
from bailiwick.models.ensemble.selection import NO_LIMITS

DEFAULT_MAX_BODY_BYTES = 4 << 20

_log = logging.getLogger(__name__)
_EVENTS = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))


class Gateway:
    """The ASGI application. It owns the paths that `serves` says, and no others.

    Args:
        reloader: holds the snapshot.
        pins: versions asked for by name.
        recorder: for observations and feedback.
        max_body_bytes: longest accepted request body.
        more_families: what else ``/metrics`` shows.
        upstreams: what ``/v1/backends`` shows: each replica of each upstream.
        observers: told of every finished request for a model; they must not wait.
        on_feedback: told of feedback once it is stored.
        cache: for the domains that keep answers.
        door: lets requests in; None: everybody, but with what looks like one of our keys.
    """

    def __init__(
        self,
        reloader: Reloader,
        pins: Pins,
        recorder: Recorder,
        *,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        more_families: Callable[[], Sequence[Family]] = tuple,
        upstreams: Callable[[], list[dict[str, Any]]] = list,
        observers: Sequence[Callable[[Finished], None]] = (),
        on_feedback: Callable[[FeedbackRequest], None] | None = None,
        cache: AnswerCache | None = None,
        door: Door | None = None,
    ) -> None:
        self._reloader = reloader
        self.cache = cache or AnswerCache()
        self._answering = Answering(pins, recorder, self.cache)
        self._recorder = recorder
        self._max_body_bytes = max_body_bytes
        self._more_families = more_families
        self._on_feedback = on_feedback
        self.telemetry = Telemetry()
        self.shadows = Shadows(recorder)
        self.draining = False
        self._observers = (self.telemetry.finish, *observers)
        self._door = door or Door()
        self._evaluations = Evaluations(reloader, recorder, self.telemetry, max_body_bytes, self._door.identify)
        listing = Listing(reloader, self._door.identify, upstreams)
        self._prefixes: dict[str, tuple[str, Callable[[Scope, Receive, Send], Awaitable[None]]]] = {
            **dict.fromkeys((MODEL, MODEL.removeprefix("/v1")), ("GET", listing.one_model)),
            f"{FLAGS}/": ("POST", self._evaluations),
        }
        self._paths: dict[str, tuple[str, Callable[[Scope, Receive, Send], Awaitable[None]]]] = {
            **{f"/v1/{operation.value}": ("POST", self._operation(operation)) for operation in Operation},
            "/v1/feedback": ("POST", self._feedback),
            FLAGS: ("POST", self._evaluations),
            "/v1/models": ("GET", listing.models),
            "/v1/backends": ("GET", listing.backends),
            "/healthz": ("GET", self._health),
            "/readyz": ("GET", self._readiness),
            "/metrics": ("GET", self._metrics),
        }
        # Clients of other gateways may have a base URL without /v1.
        for path in ("/v1/models", *(f"/v1/{operation.value}" for operation in Operation)):
            self._paths[path.removeprefix("/v1")] = self._paths[path]

    def serves(self, path: str) -> bool:
        """Whether the gateway answers this path."""
        return path in self._paths or path.startswith(tuple(self._prefixes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        path = scope["path"]
        known = self._paths.get(path)
        method, handler = known or next(found for prefix, found in self._prefixes.items() if path.startswith(prefix))
        asked = scope["method"]
        if asked != method and (asked, method) != ("HEAD", "GET"):  # the server leaves out the body
            headers = [(b"allow", b"GET, HEAD" if method == "GET" else method.encode())]
            await send_json(send, 405, _plain_error(f"{path} answers to {method} only", "method_not_allowed"), headers)
            return
        await handler(scope, receive, send)

    def _operation(self, operation: Operation) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        async def handle(scope: Scope, receive: Receive, send: Send) -> None:
            exchange = Exchange(operation, scope, receive, send)
            self.telemetry.in_flight += 1
            try:
                await self._converse(exchange)
            except ClientGone:
                exchange.status = 499
            except BailiwickError as error:
                await exchange.fail(error)
            except Exception:  # noqa: BLE001 - logged with its trace; the client gets an answer whatever happens
                _log.exception("request %s failed", exchange.request_id)
                await exchange.fail_unexpectedly()
            finally:
                self.telemetry.in_flight -= 1
                self._door.finish(exchange.ticket, exchange.status)
                self._finish(exchange)

        return handle

    def _finish(self, exchange: Exchange) -> None:
        finished = exchange.finished()
        for observe in self._observers:
            try:
                observe(finished)
            except Exception:  # noqa: BLE001 - logged with its trace; the request was answered
                _log.exception("request %s is not observed", exchange.request_id)

    async def _converse(self, exchange: Exchange) -> None:
        access = self._reloader.snapshot.access
        exchange.key = self._door.identify(exchange.headers, access)
        raw = await read_body(exchange.headers, exchange.receive, self._max_body_bytes)
        request = exchange.request = parse_request(exchange.operation, raw)
        unit = unit_of(exchange.headers, request.unit, exchange.request_id)
        asker = Asker(exchange.headers, request.unit, exchange.request_id)
        snapshot = self._reloader.snapshot
        if snapshot.access is not access:  # changed while the body came
            exchange.key = self._door.identify(exchange.headers, snapshot.access)
        self._door.check(exchange.key, request.model)
        if exchange.key is not None:
            asker.client = exchange.key.id
            asker.may_ask = None if exchange.key.exact is None else exchange.key.may_ask
        asked = self._answering.ask(request, snapshot, exchange.request_id, unit, asker)
        if (timeout_s := timeout_of(exchange.headers)) is not None:
            asked = replace(asked, ends_s=exchange.started + timeout_s)
        if (limits := limits_of(exchange.headers)) is not NO_LIMITS:
            asked = replace(asked, limits=limits)
        if b"traceparent" in exchange.headers:
            asked = replace(asked, trace=passed_on(exchange.headers))
        if any(target.served.caching is not None for target in asked.targets):
            user, client = "" if unit == exchange.request_id else unit, "" if exchange.key is None else exchange.key.id
            asked = replace(asked, wishes=wishes_of(exchange.headers, user, client))
        if exchange.key is not None or snapshot.access.domains:
            asked, exchange.ticket = await self._door.admit(exchange.key, asked, snapshot.access)
            exchange.send = self._door.watched(exchange.ticket, exchange.send)
        if request.version is not None:
            asked = await self._answering.loaded(asked, snapshot)
        exchange.asked = asked
        work = self._stream(exchange, asked) if request.stream else self._whole(exchange, asked)
        if all(target.backend.in_process for target in asked.targets):
            await work
        else:
            await unless_client_leaves(exchange.receive, work, exchange.presence)

    async def _whole(self, exchange: Exchange, asked: Asked) -> None:
        exchange.target, document = await self._answering.whole(asked)
        if isinstance(document, bytes):  # given to another request before: it was copied then
            await exchange.respond(200, document, JSON_TYPE)
            return
        await exchange.respond(200, orjson.dumps(document), JSON_TYPE)
        cast = self.shadows.of(asked, exchange.target)
        if cast is not None:
            self.shadows.offer(cast, asked, exchange.target, document)

    async def _stream(self, exchange: Exchange, asked: Asked) -> None:
        cast: ShadowBackend | None = None
        copied: list[bytes] = []
        length = 0
        async for target, piece in self._answering.pieces(asked):
            if not exchange.begun:
                exchange.target = target
                await exchange.begin(200, _EVENTS)
                cast = None if _is_kept(asked) else self.shadows.of(asked, target)
            await exchange.send({"type": "http.response.body", "body": piece, "more_body": True})
            if cast is not None and length <= MAX_BYTES:
                length += len(piece)
                copied.append(piece)
        await exchange.send({"type": "http.response.body", "body": b""})
        if cast is not None and exchange.target is not None and length <= MAX_BYTES:
            self.shadows.offer(cast, asked, exchange.target, b"".join(copied))

    async def _feedback(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = dict(scope["headers"])
            self._door.identify(headers, self._reloader.snapshot.access)
            asked = parse_feedback(await read_body(headers, receive, self._max_body_bytes))
            stored = await asyncio.to_thread(self._recorder.feedback, **asdict(asked))
        except ClientGone:
            return
        except BailiwickError as error:
            await send_error(send, error)
            return
        if self._on_feedback is not None:
            self._on_feedback(asked)
        await send_json(send, 201, {"object": "feedback", **asdict(stored)})

    async def _health(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send_json(send, 200, {"status": "ok"})

    async def _readiness(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        if not self._reloader.ready or self.draining:
            await send_json(send, 503, {"status": "draining" if self.draining else "starting"})
            return
        snapshot, stale = self._reloader.snapshot, self._reloader.stale
        document = {
            "status": "ready" if stale is None else "stale",
            "reason": stale,
            "revision": asdict(snapshot.revision),
            "built_at": snapshot.built_at.isoformat(),
            "domains": sorted(snapshot.table.ready),
            "problems": list(snapshot.problems),
        }
        await send_json(send, 200, document)

    async def _metrics(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        reloader = self._reloader
        ready = len(reloader.snapshot.table.ready) if reloader.ready else 0
        served = reloader.snapshot.served.values() if reloader.ready else ()
        families = [
            *self.telemetry.families(),
            *self.shadows.families(),
            *self.cache.families(),
            gauge("snapshot_stale", "1 while the stores cannot be read.", reloader.stale is not None),
            Family(
                "bailiwick_gateway_snapshot_reloads_total",
                "counter",
                "Snapshots swapped in since the start.",
                [Sample(reloader.reloads, {})],
            ),
            gauge(
                "domains_with_problems",
                "Domains that cannot be served as configured; /readyz says why.",
                sum(entry.problem is not None for entry in served),
            ),
            gauge(
                "experiments_left_out",
                "Experiments that cannot run in this process; /readyz says why.",
                sum(len(entry.problems) for entry in served),
            ),
            gauge(
                "shadows_left_out",
                "Versions that shall answer in the shadow and cannot in this process; /readyz says why.",
                sum(entry.shadow_problem is not None for entry in served),
            ),
            gauge(
                "experiments",
                "Experiments that requests can enter.",
                sum(len(e.experiments.experiments) for e in served),
            ),
            gauge("domains_ready", "Domains that can answer.", ready),
            *self._door.families(),
            *await asyncio.to_thread(self._recorder.families),
            *await asyncio.to_thread(self._more_families),
        ]
        await send_bytes(send, 200, render(families).encode(), [(b"content-type", CONTENT_TYPE.encode())])


def _is_kept(asked: Asked) -> bool:
    """Whether the answer was given to another request before."""
    return asked.meter.cache is not None and asked.meter.cache.outcome is Outcome.HIT


def _plain_error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
