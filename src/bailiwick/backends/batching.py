"""Computes requests to an in-process model together that come at the same moment.

A request that comes alone is computed at once. When a second one comes in the same turn of the event loop, it and those
after it gather, until the turn is over or, where a window is set, until the window is over or the batch is full.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bailiwick.backends.model import UpstreamFailed
from bailiwick.domains.batching import Batching

Probabilities = NDArray[np.float64]

MAX_BATCH_CHARACTERS = 16_000
"""Of one batch: what bounds how long it keeps the event loop from everything else."""

_QUIET_WINDOWS = 4
"""After so many windows without a batch, the next request comes alone."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    texts: Sequence[str]
    ends_s: float
    answer: asyncio.Future[Probabilities]


@dataclass(slots=True)
class BatchCounts:
    """What was computed: calls of the model, requests in them, and requests that were dropped unanswered."""

    batches: int = 0
    requests: int = 0
    expired: int = 0
    left: int = 0


class Batcher:
    """Gathers the requests of one event loop for one model.

    Args:
        predict: probabilities, shape ``(len(texts), labels)``; a row depends on its text alone.
        rules: the domain's section ``batching``.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        predict: Callable[[Sequence[str]], Probabilities],
        rules: Batching,
        monotonic: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._compute = predict
        self._size = rules.size
        self._window_s = rules.window_ms / 1000
        self._monotonic = monotonic
        self._waiting: list[_Waiting] = []
        self._texts = 0
        self._timer: asyncio.Handle | None = None
        self._crowded = False
        self._turn_taken = False
        self._flushed_s = 0.0
        self.counts = BatchCounts()

    async def predict(self, texts: Sequence[str], within_s: float) -> Probabilities:
        """The rows of some texts.

        Args:
            texts: at least one; as many as a batch holds, or more, are computed by themselves.
            within_s: seconds until the answer is of no use any more; less than two windows: it waits for nobody.

        Raises:
            UpstreamFailed: the time was over before they were computed.
            Exception: what the model raised for these texts; neighbours in the batch have their answers.
        """
        loop = asyncio.get_running_loop()
        if self._crowded and self._window_s and not self._waiting:
            self._crowded = self._monotonic() - self._flushed_s <= _QUIET_WINDOWS * self._window_s
        if len(texts) >= self._size or (not self._crowded and not self._comes_second(loop)):
            self.counts.batches += 1
            self.counts.requests += 1
            return self._compute(texts)
        answer: asyncio.Future[Probabilities] = loop.create_future()
        now = self._monotonic()
        self._waiting.append(_Waiting(texts, now + within_s, answer))
        self._texts += len(texts)
        if self._texts >= self._size or within_s <= 2 * self._window_s or not self._window_s:
            self._flush_soon(loop)
        elif self._timer is None:
            self._timer = loop.call_later(self._window_s, self._flush)
        return await answer

    def _comes_second(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether another request has come in this turn of the loop; from then on requests gather."""
        if self._turn_taken:
            self._crowded = True
            return True
        self._turn_taken = True
        loop.call_soon(self._end_turn)
        return False

    def _end_turn(self) -> None:
        self._turn_taken = False

    def _flush_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if isinstance(self._timer, asyncio.TimerHandle):
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Compute one batch; what is left over has its turn after the loop has seen to everything else."""
        self._timer = None
        self._flushed_s = self._monotonic()
        batch = self._next_batch()
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_soon(self._flush)
        elif len(batch) < 2:
            self._crowded = False
        if batch:
            self._answer(batch)

    def _next_batch(self) -> list[_Waiting]:
        now = self._monotonic()
        batch: list[_Waiting] = []
        texts = characters = taken = 0
        for each in self._waiting:
            length = sum(map(len, each.texts))
            if batch and (texts + len(each.texts) > self._size or characters + length > MAX_BATCH_CHARACTERS):
                break
            taken += 1
            self._texts -= len(each.texts)
            if each.answer.done():  # whoever asked has left
                self.counts.left += 1
            elif each.ends_s <= now:
                self.counts.expired += 1
                each.answer.set_exception(UpstreamFailed("the time was over before a batch was computed", status=504))
            else:
                batch.append(each)
                texts, characters = texts + len(each.texts), characters + length
        del self._waiting[:taken]
        return batch

    def _answer(self, batch: Sequence[_Waiting]) -> None:
        self.counts.batches += 1
        self.counts.requests += len(batch)
        try:
            rows = self._compute([text for each in batch for text in each.texts])
        except Exception as error:  # noqa: BLE001 - raised again for the one whose texts are to blame
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            for each in batch:
                self._answer([each])
            return
        begin = 0
        for each in batch:
            each.answer.set_result(rows[begin : begin + len(each.texts)])
            begin += len(each.texts)
