"""Two gateways over one Redis share answers; a server that is slow, away, or holds nonsense costs no request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import orjson
import pytest
from caching_house import Counting, asking

from bailiwick.caching.answers import AnswerCache
from bailiwick.caching.keys import key_of
from bailiwick.caching.model import Asking, Outcome, Wishes
from bailiwick.caching.redis import RedisAnswers
from bailiwick.domains.cache import AnswerCaching
from bailiwick.errors import InvalidInput

PATIENT_S = 5.0
NOBODY_LISTENS = "redis://127.0.0.1:1/0"
pytestmark = pytest.mark.redis


def run(url: str, story: Callable[[RedisAnswers, AnswerCache, AnswerCache], Awaitable[None]]) -> None:
    async def whole() -> None:
        first, second = RedisAnswers(url, PATIENT_S), RedisAnswers(url, PATIENT_S)
        try:
            await story(first, AnswerCache(first), AnswerCache(second))
        finally:
            await first.close()
            await second.close()

    asyncio.run(whole())


async def said(kept: AnswerCache, one: Asking) -> str:
    found = await kept.whole(one)
    document = orjson.loads(found) if isinstance(found, bytes) else found
    content: str = document["choices"][0]["message"]["content"]
    return content


def test_two_gateways__the_second_is_given_what_the_first_was(redis_url: str) -> None:
    backend = Counting()

    async def story(shared: RedisAnswers, first: AnswerCache, second: AnswerCache) -> None:
        await said(first, asking(backend))
        await shared.settled()
        one = asking(backend)
        assert await said(second, one) == "hello 1" and one.told.outcome is Outcome.HIT
        assert second.counters.of("shared_hits", "cards") == 1
        assert await said(second, asking(backend)) == "hello 1"  # from its own memory now
        assert second.counters.of("shared_hits", "cards") == 1
        events = [piece async for piece in first.pieces(asking(backend, stream=True))]
        await shared.settled()
        assert b"".join([piece async for piece in second.pieces(asking(backend, stream=True))]) == b"".join(events)
        assert len(backend.calls) == 2

    run(redis_url, story)


def test_two_gateways__other_installation_version_arm__share_nothing(redis_url: str) -> None:
    backend = Counting()

    async def story(shared: RedisAnswers, first: AnswerCache, second: AnswerCache) -> None:
        await said(first, asking(backend))
        await shared.settled()
        for other in (
            asking(backend, domain_seed=b"other"),
            asking(backend, version="v2"),
            asking(backend, arm=b"e"),
            asking(backend, wishes=Wishes(user="ada"), settings=AnswerCaching(scope="user")),
        ):
            await said(second, other)
            assert other.told.outcome is Outcome.MISS

    run(redis_url, story)


def test_shared_answer__is_as_old_as_it_is_and_ends_in_time(redis_url: str) -> None:
    backend = Counting()

    async def story(shared: RedisAnswers, first: AnswerCache, second: AnswerCache) -> None:
        settings = AnswerCaching(ttl_s=100)
        first._now_s = lambda: time.time() - 60
        await said(first, asking(backend, settings=settings))
        await shared.settled()
        one = asking(backend, settings=settings)
        await said(second, one)
        assert one.told.outcome is Outcome.HIT and 59 <= one.told.age_s <= 65
        young = asking(backend, settings=settings, wishes=Wishes(max_age_s=30))
        await said(second, young)
        assert young.told.outcome is Outcome.MISS
        first._now_s = lambda: time.time() - 101
        await said(first, asking(backend, "old", settings=settings))
        await shared.settled()
        old = asking(backend, "old", settings=settings)
        await said(second, old)
        assert old.told.outcome is Outcome.MISS

    run(redis_url, story)


@pytest.mark.parametrize("settings", [AnswerCaching(shared=False), AnswerCaching(max_answer_bytes=64)])
def test_not_shared__where_the_domain_does_not_want_it(redis_url: str, settings: AnswerCaching) -> None:
    backend = Counting()

    async def story(shared: RedisAnswers, first: AnswerCache, second: AnswerCache) -> None:
        await said(first, asking(backend, settings=settings))
        await shared.settled()
        await said(second, asking(backend, settings=settings))
        assert len(backend.calls) == 2

    run(redis_url, story)


def test_local_model__is_computed_rather_than_fetched(redis_url: str) -> None:
    backend = Counting(in_process=True)

    async def story(shared: RedisAnswers, first: AnswerCache, second: AnswerCache) -> None:
        await said(first, asking(backend))
        await shared.settled()
        await said(second, asking(backend))
        assert len(backend.calls) == 2

    run(redis_url, story)


def test_nonsense_in_redis__is_no_answer(redis_url: str) -> None:
    import redis

    backend = Counting()
    one = asking(backend)
    key = key_of(one)
    assert key is not None

    async def story(_shared: RedisAnswers, first: AnswerCache, _second: AnswerCache) -> None:
        with redis.Redis.from_url(redis_url) as client:
            client.set(b"bailiwick:answer:" + key.hex().encode(), b'{"format":1,"length":3}\nxxx')
        assert await said(first, one) == "hello 1" and one.told.outcome is Outcome.MISS

    run(redis_url, story)


def test_answer_of_another_key__is_no_answer(redis_url: str) -> None:
    import redis

    backend = Counting()

    async def story(shared: RedisAnswers, first: AnswerCache, second: AnswerCache) -> None:
        await said(first, asking(backend, "one"))
        await shared.settled()
        keys = [key_of(asking(backend, text)) or b"" for text in ("one", "two")]
        with redis.Redis.from_url(redis_url) as client:
            mixed_up = client.get(b"bailiwick:answer:" + keys[0].hex().encode())
            client.set(b"bailiwick:answer:" + keys[1].hex().encode(), mixed_up)
        assert await said(second, asking(backend, "two")) == "two 2"

    run(redis_url, story)


def test_redis_away__no_request_fails_and_it_is_soon_left_alone() -> None:
    backend = Counting()

    async def story() -> None:
        shared = RedisAnswers(NOBODY_LISTENS)
        kept = AnswerCache(shared)
        for number in range(20):
            assert await said(kept, asking(backend, f"q{number}")) == f"q{number} {number + 1}"
            await shared.settled()
        assert 3 <= shared.failures <= 6
        assert shared.dropped >= 10
        await kept.close()

    asyncio.run(story())


def test_redis_is_silent__a_request_waits_no_longer_than_it_may() -> None:
    backend = Counting()

    async def story() -> None:
        async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(30)
            writer.close()

        server = await asyncio.start_server(hold, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        shared = RedisAnswers(f"redis://127.0.0.1:{port}/0", timeout_s=0.02)
        kept = AnswerCache(shared)
        async with asyncio.timeout(20):
            for number in range(6):
                await said(kept, asking(backend, f"q{number}"))
        assert shared.failures >= 3
        await kept.close()
        server.close()

    asyncio.run(story())


def test_url__unreadable__is_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        RedisAnswers("http://host")
