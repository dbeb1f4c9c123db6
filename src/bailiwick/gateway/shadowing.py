"""Lets a version answer copies of requests in the background, and compares what it says with what was served.

Nobody waits for it: copies are made after the answer has gone, few at a time, and dropped and counted when it is slower
than requests come in. Its answers are thrown away; only whether they agree is kept, and of classifiers the two labels.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from dataclasses import replace
from typing import Any

from bailiwick.backends.model import Operation
from bailiwick.errors import BailiwickError
from bailiwick.gateway.answering import Asked, call_of
from bailiwick.gateway.model import ShadowBackend
from bailiwick.gateway.ports import Recorder
from bailiwick.gateway.saying import said, said_in_stream
from bailiwick.gateway.targets import Target
from bailiwick.metrics.observations import SHADOW_ARM
from bailiwick.metrics.prometheus import Family, Sample
from bailiwick.traffic.shadow import is_copied

MAX_BYTES = 256 << 10
"""Longer requests and answers are not copied: what waits must stay small."""

DISAGREEMENT = "disagreement:"
"""Begins the metrics that count what disagreed: ``disagreement:SERVED -> SHADOW``."""

_PAIRS = 200
_LONGEST = 80
_log = logging.getLogger(__name__)


class Shadows:
    """The copies of one gateway.

    Args:
        recorder: gets ``latency_ms``, ``failed`` and ``agreement`` (0 or 1) in an arm of their own.
        at_once: copies that are answered at the same time.
        waiting: copies that are under way or wait at most.
    """

    def __init__(self, recorder: Recorder, *, at_once: int = 4, waiting: int = 64) -> None:
        self._recorder = recorder
        self._waiting = waiting
        self._turn = asyncio.Semaphore(at_once)
        self._tasks: set[asyncio.Task[None]] = set()
        self._pairs: dict[tuple[str, str], set[str]] = {}
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._closed = False

    def of(self, asked: Asked, target: Target) -> ShadowBackend | None:
        """Who shall answer a copy of a request that a target serves, if anybody."""
        cast, plan = target.served.shadow, target.served.plan
        if cast is None or plan is None or not target.counted or target.version == cast.shadow.version:
            return None
        request = asked.request
        if request.operation is Operation.EMBEDDING or request.size > MAX_BYTES:
            return None
        return cast if is_copied(cast.shadow, plan.salt, asked.request_id) else None

    def offer(self, cast: ShadowBackend, asked: Asked, target: Target, answer: dict[str, Any] | bytes) -> None:
        """Copy a request whose answer has gone out; returns at once."""
        if self._closed or len(self._tasks) >= self._waiting:
            self._count(cast, target, "dropped")
            return
        task = asyncio.get_running_loop().create_task(self._answer(cast, asked, target, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Give up what is under way, and take nothing more."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def families(self) -> list[Family]:
        """What became of the copies."""
        samples = [
            Sample(number, {"domain": domain, "version": version, "outcome": outcome})
            for (domain, version, outcome), number in sorted(self._counts.items())
        ]
        return [Family("bailiwick_gateway_shadow_requests_total", "counter", "Copies of requests by outcome.", samples)]

    async def _answer(self, cast: ShadowBackend, asked: Asked, target: Target, answer: dict[str, Any] | bytes) -> None:
        async with self._turn:
            started = time.perf_counter()
            try:
                # the copy's deadline is the domain's: the client's is over, or nearly
                call = call_of(replace(asked, ends_s=None), target)
                body = {name: value for name, value in call.body.items() if not name.startswith("stream")}
                document = await cast.backend.answer(replace(call, body=body))
            except BailiwickError:
                self._observe(cast, target, started, None)
                return
            except Exception:  # noqa: BLE001 - logged with its trace; nobody waits for this answer
                _log.exception("the shadow %s failed", cast.shadow.version)
                self._observe(cast, target, started, None)
                return
            served = said_in_stream(answer) if isinstance(answer, bytes) else said(answer)
            self._observe(cast, target, started, (served, said(document)))

    def _observe(
        self, cast: ShadowBackend, target: Target, started: float, answers: tuple[str | None, str | None] | None
    ) -> None:
        self._count(cast, target, "failed" if answers is None else "answered")
        self._record(cast, target, "failed", 1.0 if answers is None else 0.0)
        self._record(cast, target, "latency_ms", (time.perf_counter() - started) * 1000)
        if answers is None or answers[0] is None or answers[1] is None:
            return
        served, shadow = answers
        self._record(cast, target, "agreement", float(served == shadow))
        if served != shadow and target.backend.in_process and cast.backend.in_process:
            self._record(cast, target, self._pair(cast, target, f"{_short(served)} -> {_short(shadow)}"), 1.0)

    def _pair(self, cast: ShadowBackend, target: Target, pair: str) -> str:
        """The metric that counts a pair of labels; beyond 200 pairs all are counted as one."""
        known = self._pairs.setdefault((target.served.domain.id, cast.shadow.version), set())
        if len(known) < _PAIRS:
            known.add(pair)
        return DISAGREEMENT + (pair if pair in known else "other")

    def _record(self, cast: ShadowBackend, target: Target, metric: str, value: float) -> None:
        self._recorder.record(target.served.domain.id, cast.shadow.version, metric, value, arm=SHADOW_ARM)

    def _count(self, cast: ShadowBackend, target: Target, outcome: str) -> None:
        self._counts[(target.served.domain.id, cast.shadow.version, outcome)] += 1


def _short(label: str | None) -> str:
    """A label as part of a metric's name."""
    return "".join(each if each.isprintable() else "?" for each in (label or "")[:_LONGEST])
