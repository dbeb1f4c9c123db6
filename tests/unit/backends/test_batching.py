"""Requests that come together are computed together, and never disturb each other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.backends.batching import MAX_BATCH_CHARACTERS, Batcher
from bailiwick.backends.model import UpstreamFailed
from bailiwick.domains.batching import Batching


class Model:
    """Reads a text's length; refuses texts that begin with ``bad``."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def predict(self, texts: Sequence[str]) -> Any:
        self.batches.append(list(texts))
        if any(text.startswith("bad") for text in texts):
            raise ValueError("a bad text")
        return np.array([[len(text), 1.0] for text in texts], float)


def together(batcher: Batcher, asked: Sequence[Sequence[str]], within_s: float = 30.0) -> Awaitable[list[Any]]:
    return asyncio.gather(*(batcher.predict(texts, within_s) for texts in asked), return_exceptions=True)


def test_batch__requests_of_one_turn__gather_after_the_first() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.predict, Batching(size=8))
        found = await together(batcher, [["a"], ["bb"], ["ccc"], ["dddd"]])
        assert [rows[0][0] for rows in found] == [1, 2, 3, 4]
        assert model.batches == [["a"], ["bb", "ccc", "dddd"]]
        await together(batcher, [["a"], ["bb"], ["ccc"]])  # still crowded: the first gathers as well
        assert model.batches[2:] == [["a", "bb", "ccc"]]

    asyncio.run(story())


def test_batch__one_after_another__none_waits() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.predict, Batching(size=8, window_ms=1_000))
        for _ in range(5):
            task = asyncio.ensure_future(batcher.predict(["a"], 30.0))
            await asyncio.sleep(0)
            assert task.done()  # computed in the turn that it came in
            await asyncio.sleep(0)
        assert batcher.counts.batches == 5

    asyncio.run(story())


def test_batch__long_after_a_crowd__a_request_alone_does_not_wait() -> None:
    async def story() -> None:
        now, model = 100.0, Model()
        batcher = Batcher(model.predict, Batching(size=64, window_ms=5), lambda: now)
        await together(batcher, [["a"], ["b"], ["c"]])
        now += 60.0
        task = asyncio.ensure_future(batcher.predict(["alone"], 30.0))
        await asyncio.sleep(0)
        assert task.done()

    asyncio.run(story())


def test_batch__crowd_is_over__the_window_is_not_waited_any_more() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.predict, Batching(size=64, window_ms=5))
        await together(batcher, [["a"], ["b"], ["c"]])
        await batcher.predict(["alone"], 30.0)  # may wait once, and finds itself alone
        task = asyncio.ensure_future(batcher.predict(["alone"], 30.0))
        await asyncio.sleep(0)
        assert task.done()

    asyncio.run(story())


def test_batch__full__is_computed_before_its_window_is_over() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.predict, Batching(size=3, window_ms=600_000))
        async with asyncio.timeout(60):
            await together(batcher, [["a"], ["b"], ["c"], ["d"]])
        assert [len(batch) for batch in model.batches] == [1, 3]

    asyncio.run(story())


def test_batch__request_that_cannot_wait__is_not_delayed() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.predict, Batching(size=64, window_ms=600_000))
        patient = asyncio.ensure_future(together(batcher, [["first"], ["patient"]], within_s=3_600))
        await asyncio.sleep(0.01)
        async with asyncio.timeout(60):
            assert (await batcher.predict(["hasty"], 500))[0][0] == 5
            await patient
        assert model.batches[1] == ["patient", "hasty"]

    asyncio.run(story())


def test_batch__too_late__is_dropped_before_it_is_computed() -> None:
    async def story() -> None:
        model, now = Model(), [0.0]
        batcher = Batcher(model.predict, Batching(size=8), monotonic=lambda: now[0])
        asked = asyncio.ensure_future(together(batcher, [["first"], ["late"]], within_s=1.0))
        await asyncio.sleep(0)  # both are there, the second one waits
        now[0] = 2.0
        found = await asked
        assert isinstance(found[1], UpstreamFailed) and found[1].status == 504
        assert model.batches == [["first"]] and batcher.counts.expired == 1

    asyncio.run(story())


def test_batch__one_is_bad__its_neighbours_are_answered() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.predict, Batching(size=8))
        found = await together(batcher, [["a"], ["bb"], ["bad"], ["dddd"]])
        assert isinstance(found[2], ValueError)
        assert [found[n][0][0] for n in (0, 1, 3)] == [1, 2, 4]

    asyncio.run(story())


def test_batch__who_asked_leaves__nothing_is_computed_for_it() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.predict, Batching(size=8, window_ms=10))
        tasks = [asyncio.ensure_future(batcher.predict([text], 30.0)) for text in ("a", "bb", "ccc")]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert model.batches == [["a"], ["ccc"]] and batcher.counts.left == 1

    asyncio.run(story())


def test_batch__long_texts__are_spread_over_several_turns() -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.predict, Batching(size=64))
        long = "x" * (MAX_BATCH_CHARACTERS // 2)
        await together(batcher, [["a"], [long], [long], [long]])
        assert [len(batch) for batch in model.batches] == [1, 2, 1]

    asyncio.run(story())


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6),
    st.sampled_from([0.0, 1.0]),
    st.lists(
        st.tuples(st.lists(st.text(max_size=5), min_size=1, max_size=8), st.booleans(), st.booleans()), max_size=12
    ),
)
def test_batch__any_crowd__everybody_gets_its_own_rows(
    size: int, window_ms: float, crowd: list[tuple[list[str], bool, bool]]
) -> None:
    async def story() -> None:
        model = Model()
        batcher = Batcher(model.predict, Batching(size=size, window_ms=window_ms))
        tasks = []
        for texts, leaves, pauses in crowd:
            tasks.append((asyncio.ensure_future(batcher.predict(texts, 30.0)), texts, leaves))
            if pauses:
                await asyncio.sleep(0)
            if leaves:
                tasks[-1][0].cancel()
        for task, texts, leaves in tasks:
            try:
                rows = await task
            except asyncio.CancelledError:
                assert leaves
            except ValueError:
                assert any(text.startswith("bad") for text in texts)
            else:
                assert [row[0] for row in rows] == [len(text) for text in texts]
        async with asyncio.timeout(30):
            while batcher._waiting:  # the last may have left before its window was over
                await asyncio.sleep(window_ms / 1000)
        assert batcher._texts == 0

    asyncio.run(story())


@pytest.mark.parametrize("within_s", [0.0, -1.0])
def test_batch__no_time_at_all__is_dropped(within_s: float) -> None:
    async def story() -> None:
        batcher = Batcher(Model().predict, Batching(size=8))
        found = await together(batcher, [["a"], ["b"]], within_s)
        assert isinstance(found[1], UpstreamFailed)

    asyncio.run(story())
