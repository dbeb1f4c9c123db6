"""Three gateways over one real Redis: never more than the limit together; a Redis that goes away loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from gateway_sources import Memory, compiler
from gateway_sources import request as request_for
from servers import OwnRedis

from bailiwick.clock import SystemClock
from bailiwick.gateway.admission.door import Door
from bailiwick.gateway.admission.meter import UsageMeter
from bailiwick.gateway.admission.model import RateLimited, Standing, is_refused
from bailiwick.gateway.admission.shared import SharedLimits
from bailiwick.gateway.answering import Asked as Routed
from bailiwick.gateway.targets import targets
from bailiwick.governance.access.model import AccessState, ClientKey, KeySecret, Kind, Limit, Limits
from bailiwick.governance.access.secret import digest_of, secret_of
from bailiwick.governance.access.table import compile_access
from bailiwick.metrics.prometheus import render

pytestmark = pytest.mark.redis

HOUR_MS = 3_600_000


class Time:
    """Milliseconds that move when told to."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def own_redis() -> Iterator[OwnRedis]:
    running = OwnRedis()
    yield running
    running.close()


def gateways(url: str, number: int = 3, **options: Any) -> list[SharedLimits]:
    chosen = {"timeout_s": 5.0, **options}
    return [SharedLimits(url, lambda: HOUR_MS, lambda: "2026-03-01", **chosen) for _ in range(number)]


def told(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())


async def taken(of: SharedLimits, limits: list[Limit], tokens: int = 1, known: int = 0) -> tuple[bool, list[Standing]]:
    found = await of.take(limits, tokens, lambda _limit: known)
    assert found is not None
    return not is_refused(found[0]), list(found[0])


async def stop(*running: SharedLimits) -> None:
    for each in running:
        await each.stop()


def limit(kind: Kind, most: int) -> Limit:
    return Limit(f"key:k:{kind.value}", kind, most, "k")


@pytest.mark.parametrize("kind", list(Kind))
def test_three_gateways__racing__get_exactly_the_limit_together(redis_url: str, kind: Kind) -> None:
    async def story() -> None:
        now = Time()
        running = gateways(redis_url, now_ms=now)
        admitted: list[bool] = []
        for _ in range(10):  # those that a gateway asks at once travel together, so in waves
            asked = [taken(running[number % 3], [limit(kind, 50)]) for number in range(30)]
            admitted += [found for found, _ in await asyncio.gather(*asked)]
        assert sum(admitted) == 50
        assert all(sum(admitted[gateway::3]) > 0 for gateway in range(3))
        await stop(*running)

    told(story)


def test_three_gateways__one_after_another__see_what_the_others_took(redis_url: str) -> None:
    """The read path too: what a gateway tells its client to be left is what all have left."""

    async def story() -> None:
        running = gateways(redis_url, now_ms=Time())
        left = [(await taken(running[number % 3], [limit(Kind.REQUESTS, 9)]))[1][0].remaining for number in range(9)]
        assert left == [8, 7, 6, 5, 4, 3, 2, 1, 0]
        assert not (await taken(running[1], [limit(Kind.REQUESTS, 9)]))[0]
        await stop(*running)

    told(story)


def test_time__passes_alike_for_all__on_the_clock_of_redis(redis_url: str) -> None:
    async def story() -> None:
        running = gateways(redis_url)  # no clock given: that of Redis
        limits = [limit(Kind.REQUESTS, 6_000)]
        await asyncio.gather(*(taken(running[n % 3], [limit(Kind.REQUESTS, 6_000)], 1) for n in range(30)))
        _, (before,) = await taken(running[0], limits)
        await asyncio.sleep(0.1)  # ten of a hundred per second come back
        _, (after,) = await taken(running[1], limits)
        assert after.remaining >= before.remaining + 5
        await stop(*running)

    told(story)


def test_refusal__by_one_of_several_limits__takes_from_none(redis_url: str) -> None:
    async def story() -> None:
        running = gateways(redis_url, now_ms=Time())
        wide, narrow = limit(Kind.REQUESTS, 100), Limit("domain:d:requests", Kind.REQUESTS, 1, "d")
        assert (await taken(running[0], [wide, narrow]))[0]
        for gateway in running:
            assert not (await taken(gateway, [wide, narrow]))[0]
        _, (standing,) = await taken(running[2], [wide])
        assert standing.remaining == 98
        await stop(*running)

    told(story)


def test_in_flight__of_a_gateway_that_was_killed__runs_out_and_is_renewed_while_it_lives(redis_url: str) -> None:
    async def story() -> None:
        now = Time()
        killed, living = gateways(redis_url, 2, now_ms=now, lease_s=30)
        mine, others = [limit(Kind.IN_FLIGHT, 1)], [Limit("key:o:in_flight", Kind.IN_FLIGHT, 1, "o")]
        assert (await taken(killed, mine))[0]
        assert (await taken(living, others))[0]
        killed._renewing.cancel()  # type: ignore[union-attr]
        now.ms += 29_000
        await living._renew()
        assert not (await taken(living, mine))[0]
        now.ms += 2_000
        assert (await taken(living, mine))[0]
        assert not (await taken(living, others))[0]  # still under way in a gateway that lives
        await stop(killed, living)

    told(story)


def test_budget__redis_that_came_back_empty__learns_what_was_written_down(own_redis: OwnRedis) -> None:
    async def story() -> None:
        (gateway,) = gateways(own_redis.url, 1, probe_s=0.05)
        budget = [limit(Kind.BUDGET, 100)]
        assert (await taken(gateway, budget, 60))[0]
        own_redis.stop()
        own_redis.start()
        assert await gateway.take(budget, 60, lambda _limit: 60) is None or not gateway.is_up
        while not gateway.is_up:
            await asyncio.sleep(0.02)
        assert not (await taken(gateway, budget, 60, known=60))[0]
        assert (await taken(gateway, budget, 40, known=60))[0]
        await stop(gateway)

    told(story)


# Through the door


class Asked:
    """A request of a hundred bytes, routed to the domain `cards`."""

    def __init__(self) -> None:
        snapshot = compiler(Memory()).compile(None)
        asked = request_for()
        self.routed = Routed(asked, tuple(targets(asked, snapshot, "u")), "req-1")


def door_of(url: str, most: int, **options: Any) -> tuple[Door, Any, Mapping[bytes, bytes], Any]:
    clock = SystemClock()
    key = ClientKey("k", "app", "", "", (), Limits(requests_per_minute=most, in_flight=most), "", clock.now(), "ada")
    secret = secret_of(b"s" * 32)
    access = compile_access(AccessState(1, (key,), (KeySecret("k", digest_of(secret)),)))
    meter = UsageMeter(clock)
    shared = SharedLimits(url, meter.to_midnight_ms, lambda: meter.today, **options)
    headers = {b"authorization": f"Bearer {secret}".encode()}
    return Door(clock=clock, meter=meter, shared=shared), access, headers, shared


def test_door__redis_away__counts_by_itself_says_so_and_comes_back(own_redis: OwnRedis) -> None:
    async def story() -> None:
        door, access, headers, shared = door_of(own_redis.url, 20, probe_s=0.05, timeout_s=2.0)

        async def ask() -> bool:
            key = door.identify(headers, access)
            try:
                _, ticket = await door.admit(key, Asked().routed, access)
            except RateLimited:
                return False
            door.finish(ticket, 200)
            return True

        assert "bailiwick_gateway_limits_shared 1\n" in render(door.families())
        assert [await ask() for _ in range(8)] == [True] * 8
        own_redis.stop()
        # nobody is lost, and what was taken from Redis was counted here too: 20 are not 28
        assert [await ask() for _ in range(13)] == [True] * 12 + [False]
        assert "bailiwick_gateway_limits_shared 0\n" in render(door.families())
        assert "bailiwick_gateway_limits_losses_total 1\n" in render(door.families())
        own_redis.start()
        while not shared.is_up:
            await asyncio.sleep(0.02)
        assert await ask()  # of a Redis that came back empty
        assert "bailiwick_gateway_limits_shared 1\n" in render(door.families())
        await door.stop()

    told(story)


@pytest.mark.parametrize("status", [200, 502])
def test_door__request_in_flight__is_counted_off_before_its_last_byte_goes_out(redis_url: str, status: int) -> None:
    """The client's next request may be with another gateway as soon as it has the last byte."""

    async def story() -> None:
        first, access, headers, _ = door_of(redis_url, 1, timeout_s=5.0)
        second, *_ = door_of(redis_url, 1, timeout_s=5.0)
        first_key, second_key = first.identify(headers, access), second.identify(headers, access)
        in_flight = replace(first_key, limits=tuple(each for each in first_key.limits if each.kind is Kind.IN_FLIGHT))
        refused: list[bool] = []

        async def next_request(_message: Any) -> None:
            try:
                await second.admit(replace(second_key, limits=in_flight.limits), Asked().routed, access)
            except RateLimited:
                refused.append(True)
            else:
                refused.append(False)

        _, ticket = await first.admit(in_flight, Asked().routed, access)
        send = first.watched(ticket, next_request)
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        await send({"type": "http.response.body", "body": b"}"})
        first.finish(ticket, status)
        assert refused == [True, True, False]
        await first.stop()
        await second.stop()

    told(story)


def test_door__redis_that_never_answers__holds_nobody_up_twice() -> None:
    """A server that takes connections and says nothing: one request waits for the limit, the others do not."""

    async def story() -> None:
        waiting: list[asyncio.StreamWriter] = []
        silent = await asyncio.start_server(lambda _reader, writer: waiting.append(writer), "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        door, access, headers, shared = door_of(f"redis://127.0.0.1:{port}/0", 20, timeout_s=0.05, probe_s=60.0)
        for _ in range(10):
            key = door.identify(headers, access)
            _, ticket = await door.admit(key, Asked().routed, access)
            door.finish(ticket, 200)
        assert (shared.is_up, shared.losses, len(waiting)) == (False, 1, 1)
        await door.stop()
        for writer in waiting:
            writer.close()
        silent.close()

    told(story)


def test_door__many_at_once_when_redis_goes_away__each_is_answered(own_redis: OwnRedis) -> None:
    async def story() -> None:
        door, access, headers, _ = door_of(own_redis.url, 1_000, probe_s=0.05, timeout_s=2.0)

        async def ask() -> None:
            _, ticket = await door.admit(door.identify(headers, access), Asked().routed, access)
            await asyncio.sleep(0)
            door.finish(ticket, 200)

        asking = [asyncio.ensure_future(ask()) for _ in range(100)]
        await asyncio.sleep(0.005)
        own_redis.stop()
        await asyncio.gather(*asking, *(ask() for _ in range(100)))
        await door.stop()

    told(story)
