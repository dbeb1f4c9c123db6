from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
import pytest
from caching_house import DONE, Counting, asking, chunk

from bailiwick.backends.model import Call, UpstreamFailed
from bailiwick.caching.answers import AnswerCache
from bailiwick.caching.model import Asking, NotCached, Outcome, Wishes
from bailiwick.domains.cache import AnswerCaching


class Time:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def cache(time: Time | None = None) -> AnswerCache:
    clock = time or Time()
    return AnswerCache(now_s=clock, monotonic=clock)


async def said(kept: AnswerCache, one: Asking) -> str:
    found = await kept.whole(one)
    document = orjson.loads(found) if isinstance(found, bytes) else found
    content: str = document["choices"][0]["message"]["content"]
    return content


async def events(kept: AnswerCache, one: Asking) -> bytes:
    return b"".join([piece async for piece in kept.pieces(one)])


def test_whole__asked_again__the_model_is_asked_once() -> None:
    async def story() -> None:
        backend, kept = Counting(), cache()
        first, second = asking(backend), asking(backend, request_id="r2")
        assert await said(kept, first) == await said(kept, second) == "hello 1"
        assert (first.told.outcome, second.told.outcome) == (Outcome.MISS, Outcome.HIT)
        assert len(backend.calls) == 1
        assert first.call.usage.completion_tokens == 4
        assert second.call.usage.completion_tokens is None  # nothing was used for it
        assert kept.counters.of("saved_tokens", "cards") == 7

    asyncio.run(story())


def test_whole__time_passes__the_answer_ages_and_ends() -> None:
    async def story() -> None:
        time = Time()
        backend, kept = Counting(), cache(time)
        settings = AnswerCaching(ttl_s=60)
        await said(kept, asking(backend, settings=settings))
        time.now += 59
        second = asking(backend, settings=settings)
        assert await said(kept, second) == "hello 1" and second.told.age_s == 59
        time.now += 1
        assert await said(kept, asking(backend, settings=settings)) == "hello 2"

    asyncio.run(story())


def test_wishes__max_age_no_cache_no_store_only_if_cached() -> None:
    async def story() -> None:
        time = Time()
        backend, kept = Counting(), cache(time)
        with pytest.raises(NotCached):
            await said(kept, asking(backend, wishes=Wishes(only_if_cached=True)))
        assert not backend.calls
        await said(kept, asking(backend))
        time.now += 10
        assert await said(kept, asking(backend, wishes=Wishes(max_age_s=10, only_if_cached=True))) == "hello 1"
        with pytest.raises(NotCached):
            await said(kept, asking(backend, wishes=Wishes(max_age_s=9, only_if_cached=True)))
        assert await said(kept, asking(backend, wishes=Wishes(no_store=True))) == "hello 2"
        assert await said(kept, asking(backend)) == "hello 1"  # what no-store asked for was not kept
        assert await said(kept, asking(backend, wishes=Wishes(no_cache=True))) == "hello 3"
        assert await said(kept, asking(backend)) == "hello 3"  # what no-cache asked for was
        assert await said(kept, asking(backend, wishes=Wishes(max_age_s=0))) == "hello 3"

    asyncio.run(story())


def test_stream__asked_again__is_replayed_and_never_serves_a_whole_answer() -> None:
    async def story() -> None:
        backend, kept = Counting(), cache()
        expected = chunk("1 ") + chunk("end") + DONE
        first, second = asking(backend, stream=True), asking(backend, stream=True)
        assert await events(kept, first) == await events(kept, second) == expected
        assert (first.told.outcome, second.told.outcome) == (Outcome.MISS, Outcome.HIT)
        assert (first.call.usage.completion_tokens, second.call.usage.completion_tokens) == (4, None)
        assert await said(kept, asking(backend)) == "hello 2"

    asyncio.run(story())


@pytest.mark.parametrize("stream", [False, True])
def test_failure__is_not_kept(stream: bool) -> None:
    async def story() -> None:
        backend, kept = Counting(frozenset({1})), cache()
        ask: Any = events if stream else said
        with pytest.raises(UpstreamFailed):
            await ask(kept, asking(backend, stream=stream))
        await ask(kept, asking(backend, stream=stream))
        last = asking(backend, stream=stream)
        await ask(kept, last)
        assert last.told.outcome is Outcome.HIT and len(backend.calls) == 2

    asyncio.run(story())


class Passing(Counting):
    """Its answers are what could be had at the moment."""

    async def answer(self, call: Call) -> dict[str, Any]:
        call.usage.passing = True
        return await super().answer(call)

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        call.usage.passing = True
        async for piece in super().stream(call):
            yield piece


@pytest.mark.parametrize("in_process", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_passing_answer__is_given_and_not_kept(stream: bool, in_process: bool) -> None:
    async def story() -> None:
        backend, kept = Passing(in_process=in_process), cache()
        ask: Any = events if stream else said
        await ask(kept, asking(backend, stream=stream))
        await ask(kept, asking(backend, stream=stream))
        assert len(backend.calls) == 2

    asyncio.run(story())


@pytest.mark.parametrize("stream", [False, True])
def test_together__identical_requests__one_call_and_one_of_them_used_it(stream: bool) -> None:
    async def story() -> None:
        backend, kept = Counting(), cache()
        backend.gate.clear()
        ask: Any = events if stream else said
        askings = [asking(backend, stream=stream, request_id=f"r{n}") for n in range(5)]
        tasks = [asyncio.create_task(ask(kept, one)) for one in askings]
        await asyncio.sleep(0.01)
        backend.gate.set()
        assert len(set(await asyncio.gather(*tasks))) == 1
        assert len(backend.calls) == 1
        outcomes = [one.told.outcome for one in askings]
        assert outcomes.count(Outcome.MISS) == 1 and outcomes.count(Outcome.HIT) == 4
        assert sum(one.call.usage.completion_tokens or 0 for one in askings) == 4

    asyncio.run(story())


@pytest.mark.parametrize("stream", [False, True])
def test_together__the_call_fails__each_gets_the_failure(stream: bool) -> None:
    async def story() -> None:
        backend, kept = Counting(frozenset({1})), cache()
        backend.gate.clear()
        ask: Any = events if stream else said
        tasks = [asyncio.create_task(ask(kept, asking(backend, stream=stream))) for _ in range(3)]
        await asyncio.sleep(0.01)
        backend.gate.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(each, UpstreamFailed) for each in found)
        assert not kept._streams and not len(kept._flights)

    asyncio.run(story())


@pytest.mark.parametrize("stream", [False, True])
def test_together__the_first_leaves__the_others_are_answered(stream: bool) -> None:
    async def story() -> None:
        backend, kept = Counting(), cache()
        backend.gate.clear()
        ask: Any = events if stream else said
        tasks = [asyncio.create_task(ask(kept, asking(backend, stream=stream))) for _ in range(3)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        await asyncio.sleep(0.01)
        backend.gate.set()
        assert await tasks[1] == await tasks[2]
        assert len(backend.calls) == 1 and backend.left == 0

    asyncio.run(story())


@pytest.mark.parametrize("stream", [False, True])
def test_together__all_leave__the_call_is_given_up_and_the_next_begins_anew(stream: bool) -> None:
    async def story() -> None:
        backend, kept = Counting(), cache()
        backend.gate.clear()
        ask: Any = events if stream else said
        tasks = [asyncio.create_task(ask(kept, asking(backend, stream=stream))) for _ in range(2)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)
        assert backend.left == 1
        backend.gate.set()
        await ask(kept, asking(backend, stream=stream))
        assert len(backend.calls) == 2

    asyncio.run(story())


def test_together__one_has_little_time__it_alone_is_too_late() -> None:
    async def story() -> None:
        backend, kept = Counting(), cache()
        backend.gate.clear()
        hasty = asyncio.create_task(said(kept, asking(backend, deadline_s=0.02)))
        await asyncio.sleep(0)
        patient = asyncio.create_task(said(kept, asking(backend, deadline_s=30)))
        with pytest.raises(UpstreamFailed) as found:
            await hasty
        assert found.value.status == 504
        backend.gate.set()
        assert await patient == "hello 1"
        assert backend.calls[0].deadline_s == 30

    asyncio.run(story())


def test_stream__reader_that_closes_early__leaves_the_source_to_the_others() -> None:
    async def story() -> None:
        backend, kept = Counting(), cache()
        backend.gate.clear()
        async with aclosing(kept.pieces(asking(backend, stream=True))) as early:  # type: ignore[type-var]
            async for _ in early:
                late = asyncio.create_task(events(kept, asking(backend, stream=True)))
                await asyncio.sleep(0.01)
                break
        backend.gate.set()
        assert (await late).endswith(DONE) and backend.left == 0

    asyncio.run(story())


def test_stream__longer_than_is_kept__reaches_everybody_whole_and_is_not_kept() -> None:
    async def story() -> None:
        backend, kept = Counting(), cache()
        settings = AnswerCaching(max_answer_bytes=64)
        expected = chunk("1 ") + chunk("end") + DONE
        assert await events(kept, asking(backend, stream=True, settings=settings)) == expected
        again = asking(backend, stream=True, settings=settings)
        assert (await events(kept, again)).startswith(chunk("2 ")) and again.told.outcome is Outcome.MISS

    asyncio.run(story())


def test_domain_changes__old_answers_are_let_go_and_late_ones_not_kept() -> None:
    async def story() -> None:
        backend, kept = Counting(), cache()
        await said(kept, asking(backend))
        assert await said(kept, asking(backend, domain_seed=b"next")) == "hello 2"
        backend.gate.clear()
        late = asyncio.create_task(said(kept, asking(backend, "late", domain_seed=b"next")))
        await asyncio.sleep(0.01)
        other = asyncio.create_task(said(kept, asking(backend, "other", domain_seed=b"after")))
        await asyncio.sleep(0.01)
        backend.gate.set()
        await asyncio.gather(late, other)
        assert kept._domains["cards"].seed == b"after" and len(kept._domains["cards"].store) == 1

    asyncio.run(story())


def test_keep_only__domains_that_keep_nothing_any_more__are_let_go() -> None:
    async def story() -> None:
        backend, kept = Counting(), cache()
        await said(kept, asking(backend))
        await said(kept, asking(backend, domain="loans"))
        kept.keep_only(frozenset({"loans"}))
        assert set(kept._domains) == {"loans"}

    asyncio.run(story())


def test_families__hits_misses_bytes() -> None:
    async def story() -> None:
        backend, kept = Counting(), cache()
        assert kept.families() == []
        for _ in range(3):
            await said(kept, asking(backend))
        families = {each.name: each for each in kept.families()}
        found = {each.labels["outcome"]: each.value for each in families["bailiwick_cache_requests_total"].samples}
        assert found == {"hit": 2, "miss": 1}
        assert families["bailiwick_cache_entries"].samples[0].value == 1
        assert families["bailiwick_cache_bytes"].samples[0].value > 600

    asyncio.run(story())
