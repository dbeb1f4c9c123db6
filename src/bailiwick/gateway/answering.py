"""Answers a request: target after target until one answers, each attempt observed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from bailiwick.backends.model import Call, Operation, UpstreamFailed
from bailiwick.gateway.model import ModelRequest, Snapshot
from bailiwick.gateway.parameters import bounded_body
from bailiwick.gateway.pins import Pins
from bailiwick.gateway.ports import Recorder
from bailiwick.gateway.targets import Target, targets


@dataclass(frozen=True, slots=True)
class Asked:
    """A request on its way, with those who may answer it.

    Args:
        targets: what may be asked, in this order.
    """

    request: ModelRequest
    targets: tuple[Target, ...]
    request_id: str


class Answering:
    """The way from a validated request to an answer.

    Args:
        pins: for ``domain@version``.
        recorder: gets one observation for each attempt.
    """

    def __init__(self, pins: Pins, recorder: Recorder) -> None:
        self._pins = pins
        self._recorder = recorder

    async def ask(self, request: ModelRequest, snapshot: Snapshot, request_id: str, unit: str) -> Asked:
        """Decide who may answer.

        Raises:
            BailiwickError: as `targets` and `Pins.target`.
        """
        if request.version is not None:
            pinned = await self._pins.target(request.model, request.version, snapshot)
            return Asked(request, (pinned,), request_id)
        return Asked(request, tuple(targets(request, snapshot, unit)), request_id)

    async def whole(self, asked: Asked) -> tuple[Target, dict[str, Any]]:
        """The first answer, with the target that gave it.

        Raises:
            UpstreamFailed: no target answered; the last failure.
            InvalidInput: the request is out of a domain's bounds, or refused by the model.
        """
        last = len(asked.targets) - 1
        for index, target in enumerate(asked.targets):
            call = _call(asked, target)
            started = time.perf_counter()
            try:
                document = await target.backend.answer(call)
            except UpstreamFailed:
                self._observe(asked, target, started, failed=True)
                if index == last:
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
            call = _call(asked, target)
            started, begun = time.perf_counter(), False
            try:
                # the port promises an iterator; every adapter gives a generator, which has an `aclose`
                async with aclosing(target.backend.stream(call)) as stream:  # type: ignore[type-var]
                    async for piece in stream:
                        begun = True
                        yield target, piece
            except UpstreamFailed:
                self._observe(asked, target, started, failed=True)
                if begun or index == last:
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
            self._recorder.record(domain, version, "failed", 1.0)
            self._recorder.record(domain, version, "latency_ms", latency_ms)
        else:
            self._recorder.served(asked.request_id, domain, version, {"latency_ms": latency_ms, "failed": 0.0})


def _call(asked: Asked, target: Target) -> Call:
    domain = target.served.domain
    body = asked.request.body
    if asked.request.operation is not Operation.EMBEDDING:
        body = bounded_body(body, domain.generation, domain=domain.id)
    return Call(asked.request.operation, body, asked.request_id, domain.backend.timeout_s)
