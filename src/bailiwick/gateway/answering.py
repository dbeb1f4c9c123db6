"""Answers a request: target after target until one answers, each attempt observed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from bailiwick.backends.model import Call, Operation, UpstreamFailed
from bailiwick.caching.answers import AnswerCache
from bailiwick.caching.model import NO_WISHES, NotCached, Wishes
from bailiwick.gateway.cached import asking_of, cache_values
from bailiwick.gateway.model import Meter, ModelRequest, Snapshot
from bailiwick.gateway.parameters import bounded_body, bounded_response, with_parameters
from bailiwick.gateway.participants import Participant
from bailiwick.gateway.pins import Pins
from bailiwick.gateway.ports import Recorder
from bailiwick.gateway.targets import Target, targets
from bailiwick.gateway.trace_context import Trace
from bailiwick.models.ensemble.selection import NO_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class Asked:
    """A request on its way, with those who may answer it.

    Args:
        targets: what may be asked, in this order.
        unit: who asked; empty where nobody is known.
        ends_s: when the client has waited long enough, by `time.perf_counter`; None: it does not say.
        meter: what is measured on the way.
        limits: on cost and latency, for ensembles that choose.
        wishes: what the request says of kept answers.
        stand_in: asked before a fallback is, whether it may be; raises `BailiwickError`. None: it may.
        trace: the headers of the client's trace.
    """

    request: ModelRequest
    targets: tuple[Target, ...]
    request_id: str
    unit: str = ""
    ends_s: float | None = None
    meter: Meter = field(default_factory=Meter)
    limits: Limits = NO_LIMITS
    wishes: Wishes = NO_WISHES
    stand_in: Callable[[Target], Awaitable[None]] | None = None
    trace: Trace = ()


class Answering:
    """The way from a validated request to an answer.

    Args:
        pins: for ``domain@version``.
        recorder: gets one observation for each attempt, and the exposures to experiments, answered or not: an arm
            that fails must not look good by losing its requests.
        cache: for the domains that keep answers.
    """

    def __init__(self, pins: Pins, recorder: Recorder, cache: AnswerCache | None = None) -> None:
        self._cache = cache or AnswerCache()
        self._pins = pins
        self._recorder = recorder

    def ask(
        self, request: ModelRequest, snapshot: Snapshot, request_id: str, unit: str, participant: Participant
    ) -> Asked:
        """Decide who may answer. A version that the request names is loaded by `loaded`, once it is let in.

        Raises:
            BailiwickError: as `targets` and `Pins.place`.
        """
        if request.version is not None:
            return Asked(request, (self._pins.place(request.model, request.version, snapshot),), request_id)
        chosen = tuple(targets(request, snapshot, unit, participant))
        return Asked(request, chosen, request_id, "" if unit == request_id else unit)

    async def loaded(self, asked: Asked, snapshot: Snapshot) -> Asked:
        """The request with the version that it names.

        Raises:
            BailiwickError: as `Pins.loaded`.
        """
        return replace(asked, targets=(await self._pins.loaded(asked.targets[0], snapshot),))

    async def whole(self, asked: Asked) -> tuple[Target, dict[str, Any] | bytes]:
        """The first answer, with the target that gave it; as bytes where it was given to another request.

        Raises:
            NotCached: the request wants a kept answer only, and there is none.
            UpstreamFailed: no target answered; the last failure.
            BailiwickError: a fallback may not be asked; see `Asked.stand_in`.
            InvalidInput: the request is out of a domain's bounds, or refused by the model.
        """
        last = len(asked.targets) - 1
        for index, target in enumerate(asked.targets):
            if index and asked.stand_in is not None:
                await asked.stand_in(target)
            call = call_of(asked, target)
            asked.meter.usage = call.usage
            started = time.perf_counter()
            try:
                asking = asking_of(asked, target, call)
                document = await (target.backend.answer(call) if asking is None else self._cache.whole(asking))
            except NotCached:
                raise
            except UpstreamFailed:
                self._observe(asked, target, started, failed=True)
                if index == last:
                    raise
            except BaseException:
                self._expose_lost(asked, target, begun=False)
                raise
            else:
                self._observe(asked, target, started, failed=False)
                return target, document
        raise AssertionError("there is always a target")

    async def pieces(self, asked: Asked) -> AsyncIterator[tuple[Target, bytes]]:
        """The first stream that begins. Other targets are tried only until the first piece.

        Raises:
            BailiwickError: as `whole`; a stream may also break off after pieces were given.
        """
        last = len(asked.targets) - 1
        for index, target in enumerate(asked.targets):
            if index and asked.stand_in is not None:
                await asked.stand_in(target)
            call = call_of(asked, target)
            asked.meter.usage = call.usage
            started, begun = time.perf_counter(), False
            try:
                asking = asking_of(asked, target, call)
                source = target.backend.stream(call) if asking is None else self._cache.pieces(asking)
                # the port promises an iterator; every adapter gives a generator, which has an `aclose`
                async with aclosing(source) as stream:  # type: ignore[type-var]
                    async for piece in stream:
                        if not begun:
                            asked.meter.first_token_s = time.perf_counter() - started
                        begun = True
                        yield target, piece
            except NotCached:
                raise
            except UpstreamFailed:
                self._observe(asked, target, started, failed=True)
                if begun or index == last:
                    raise
            except BaseException:
                self._expose_lost(asked, target, begun)
                raise
            else:
                self._observe(asked, target, started, failed=False)
                return

    def _observe(self, asked: Asked, target: Target, started: float, *, failed: bool) -> None:
        """One request logged when answered; a failed attempt counts against its version, and is no answer."""
        if not target.counted:
            return
        domain, version = target.served.domain.id, target.version
        latency_ms = (time.perf_counter() - started) * 1000
        if failed:
            self._recorder.record(domain, version, "failed", 1.0, arm=target.arm)
            self._recorder.record(domain, version, "latency_ms", latency_ms, arm=target.arm)
            self._expose(asked, target, {"latency_ms": latency_ms, "failed": 1.0})
        else:
            self._recorder.served(
                asked.request_id,
                domain,
                version,
                _values(latency_ms, asked.meter),
                arm=target.arm,
                exposures=target.exposures,
                unit=asked.unit,
            )

    def _expose_lost(self, asked: Asked, target: Target, begun: bool) -> None:
        """Count what ended otherwise: the model refused or broke, or the client left.

        A client that leaves before the first piece got no answer, perhaps because the arm is slow; one that leaves
        later has stopped reading. Neither says how long an answer takes.
        """
        self._expose(asked, target, {"failed": 0.0 if begun else 1.0})

    def _expose(self, asked: Asked, target: Target, values: dict[str, float]) -> None:
        exposures = target.exposures
        if exposures:
            self._recorder.exposed(
                exposures,
                request_id=asked.request_id,
                domain=target.served.domain.id,
                version=target.version,
                values=values,
            )


def _values(latency_ms: float, meter: Meter) -> dict[str, float]:
    """What is observed of an answer. Tokens per second are over the whole answer, the wait for the first included."""
    values = {"latency_ms": latency_ms, "failed": 0.0, **cache_values(meter)}
    usage = meter.usage
    if usage.prompt_tokens is not None:
        values["prompt_tokens"] = usage.prompt_tokens
    if usage.completion_tokens is not None:
        values["completion_tokens"] = usage.completion_tokens
        values["tokens_per_second"] = usage.completion_tokens / max(latency_ms / 1000, 1e-9)
    if meter.first_token_s is not None:
        values["time_to_first_token_ms"] = meter.first_token_s * 1000
    return values


def call_of(asked: Asked, target: Target) -> Call:
    """What is asked of a target: the body inside the domain's bounds.

    Raises:
        InvalidInput: the request is out of them.
    """
    domain = target.served.domain
    body = asked.request.body
    if asked.request.operation is not Operation.EMBEDDING:
        fit = bounded_response if asked.request.operation is Operation.RESPONSE else bounded_body
        body = fit(with_parameters(body, target.parameters), domain.generation, domain=domain.id)
    deadline_s = domain.backend.timeout_s
    if asked.ends_s is not None:
        deadline_s = min(deadline_s, max(0.0, asked.ends_s - time.perf_counter()))
    return Call(asked.request.operation, body, asked.request_id, deadline_s, limits=asked.limits, trace=asked.trace)
