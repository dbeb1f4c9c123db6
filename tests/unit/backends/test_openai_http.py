"""An upstream's backend over real sockets: replicas, retries, breakers, hedging, deadlines."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from raw_upstream import DONE, EVENT, GOOD, backend_of, call_of, eventually, upstream

from bailiwick.backends.breaker import BreakerState
from bailiwick.backends.health import check_all
from bailiwick.backends.model import Operation, UpstreamFailed, Usage
from bailiwick.backends.pool import UpstreamPool
from bailiwick.domains.model import Backend
from bailiwick.network.addresses import OutsideOnly

BUSY = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"
ERROR = b"HTTP/1.1 500 Error\r\ncontent-length: 0\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def running(work: Callable[[UpstreamPool], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        pool = UpstreamPool()
        try:
            await work(pool)
        finally:
            await pool.close()

    asyncio.run(main())


async def drop(_head: bytes, _reader: Any, writer: asyncio.StreamWriter) -> None:
    writer.close()


def chunked(*pieces: bytes) -> bytes:
    return CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def test_replicas__one_is_busy_or_away__the_other_answers_at_once() -> None:
    async def work(pool: UpstreamPool) -> None:
        async with upstream(BUSY) as busy, upstream(GOOD) as good:
            backend = backend_of(pool, busy.url, "http://127.0.0.1:9/v1", good.url, retries=2, breaker_failures=0)
            for _ in range(20):
                assert (await backend.answer(call_of()))["object"] == "chat.completion"
            assert len(good.heads) == 20

    running(work)


@pytest.mark.parametrize(
    ("host", "networks", "kind"),
    [("127.0.0.1", ["127.0.0.0/8"], "ConnectionRefusedError"), ("localhost", ["10.1.0.0/16"], "AddressNotAllowed")],
)
def test_connection__cannot_be_made__says_of_which_kind_the_failure_is(
    host: str, networks: list[str], kind: str
) -> None:
    async def work() -> None:
        pool = UpstreamPool(allows=OutsideOnly(networks).allows)
        with pytest.raises(UpstreamFailed, match=rf"cannot be connected to \({kind}\)"):
            await backend_of(pool, f"http://{host}:9/v1").answer(call_of())
        await pool.close()

    asyncio.run(work())


def test_replicas__equally_fast__both_take_calls() -> None:
    async def work(pool: UpstreamPool) -> None:
        async def slow(_head: bytes, _reader: Any, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.02)
            writer.write(GOOD)

        async with upstream(slow) as one, upstream(slow) as two:
            backend = backend_of(pool, one.url, two.url)
            await asyncio.gather(*(backend.answer(call_of()) for _ in range(40)))
            assert min(len(one.heads), len(two.heads)) >= 15

    running(work)


def test_breaker__failures_in_a_row__left_alone_and_said_so() -> None:
    async def work(pool: UpstreamPool) -> None:
        async with upstream(ERROR) as broken:
            backend = backend_of(pool, broken.url, breaker_failures=3)
            for _ in range(5):
                with pytest.raises(UpstreamFailed) as caught:
                    await backend.answer(call_of())
            assert len(broken.heads) == 3
            assert (caught.value.status, "left alone" in str(caught.value)) == (503, True)
            (report,) = pool.reports()
            assert (report.state, report.openings, report.under_way) == (BreakerState.OPEN, 1, 0)

    running(work)


def test_breaker__upstream_comes_back__a_trial_closes_it() -> None:
    async def work(pool: UpstreamPool) -> None:
        answers = [ERROR] * 3 + [GOOD]

        async def scripted(_head: bytes, _reader: Any, writer: asyncio.StreamWriter) -> None:
            writer.write(answers[min(len(server.heads), len(answers)) - 1])

        async with upstream(scripted) as server:
            backend = backend_of(pool, server.url, breaker_failures=3)
            for _ in range(3):
                with pytest.raises(UpstreamFailed):
                    await backend.answer(call_of())
            await asyncio.sleep(1.05)
            await backend.answer(call_of())
            (report,) = pool.reports()
            assert report.state is BreakerState.CLOSED
            assert report.share < 0.5

    running(work)


def test_breaker__known_from_an_earlier_snapshot__kept() -> None:
    async def work(pool: UpstreamPool) -> None:
        async with upstream(ERROR) as broken:
            before = backend_of(pool, broken.url, breaker_failures=1)
            with pytest.raises(UpstreamFailed):
                await before.answer(call_of())
            after = backend_of(pool, broken.url, breaker_failures=1, retries=1)
            del before
            with pytest.raises(UpstreamFailed, match="left alone"):
                await after.answer(call_of())
            assert len(broken.heads) == 1

    running(work)


@pytest.mark.parametrize("refusal", ["400 Bad", "401 No", "404 Not", "429 Slow"])
def test_breaker__refusals__do_not_open_it(refusal: str) -> None:
    answer = f"HTTP/1.1 {refusal}\r\ncontent-length: 0\r\n\r\n".encode()

    async def work(pool: UpstreamPool) -> None:
        async with upstream(answer) as server:
            backend = backend_of(pool, server.url, breaker_failures=1)
            for _ in range(3):
                with pytest.raises(Exception, match="upstream"):
                    await backend.answer(call_of())
            assert len(server.heads) == 3

    running(work)


@pytest.mark.parametrize(
    ("operation", "fields", "attempts"),
    [
        (Operation.CHAT, {}, 1),
        (Operation.CHAT, {"repeatable": True}, 3),
        (Operation.EMBEDDING, {}, 3),
    ],
)
def test_retry__broken_off_before_it_answered__only_where_that_is_safe(
    operation: Operation, fields: dict[str, Any], attempts: int
) -> None:
    async def work(pool: UpstreamPool) -> None:
        async with upstream(drop) as server:
            backend = backend_of(pool, server.url, retries=2, **fields)
            with pytest.raises(UpstreamFailed):
                await backend.answer(call_of(operation))
            assert len(server.heads) == attempts

    running(work)


def test_retry__outage__budget_ends_the_retries() -> None:
    async def work(pool: UpstreamPool) -> None:
        async with upstream(BUSY) as server:
            backend = backend_of(pool, server.url, server.url.replace("/v1", "/v2"), retries=1, breaker_failures=0)
            for _ in range(100):
                with pytest.raises(UpstreamFailed):
                    await backend.answer(call_of())
            again, refused, _ = pool.retried()["far"]
            assert again + refused == 100
            assert refused > 40
            assert len(server.heads) == 100 + again == sum(report.calls for report in pool.reports())

    running(work)


def test_hedge__one_call_hangs__the_second_replica_answers_and_the_first_is_let_go() -> None:
    async def work(pool: UpstreamPool) -> None:
        hangs = False

        async def sometimes(_head: bytes, _reader: Any, writer: asyncio.StreamWriter) -> None:
            if not hangs:
                writer.write(GOOD)

        async with upstream(sometimes) as one, upstream(sometimes) as two:
            backend = backend_of(pool, one.url, two.url, hedge=True, timeout_s=20.0)
            for _ in range(30):
                await backend.answer(call_of())
            hangs = True
            asking = asyncio.create_task(backend.answer(call_of(deadline_s=20.0)))
            before = len(one.heads) + len(two.heads)
            await eventually(lambda: len(one.heads) + len(two.heads) == before + 2)
            hangs = False
            slow = one if one.heads[-1] else two
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await eventually(lambda: slow.open == 0)
            assert all(report.under_way == 0 for report in pool.reports())
            assert pool.retried()["far"][2] >= 1

    running(work)


def test_hedge__first_replica_is_slow__answer_of_the_other() -> None:
    async def work(pool: UpstreamPool) -> None:
        slow = False

        async def first(_head: bytes, _reader: Any, writer: asyncio.StreamWriter) -> None:
            if slow:
                await asyncio.sleep(30)
            writer.write(GOOD)

        async with upstream(first) as one, upstream(GOOD) as two:
            backend = backend_of(pool, one.url, two.url, hedge=True, timeout_s=20.0)
            for _ in range(30):
                await backend.answer(call_of())
            slow = True
            started = time.monotonic()
            await asyncio.gather(*(backend.answer(call_of(deadline_s=20.0)) for _ in range(4)))
            assert time.monotonic() - started < 15  # far from the 20 s that an unhedged call would fail after
            assert all(report.under_way == 0 for report in pool.reports())

    running(work)


def test_stream__given_up_by_its_reader__upstream_is_let_go() -> None:
    async def endless(_head: bytes, _reader: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM)
        while True:
            writer.write(EVENT)
            await writer.drain()
            await asyncio.sleep(0.005)

    async def work(pool: UpstreamPool) -> None:
        async with upstream(endless) as server:
            backend = backend_of(pool, server.url)
            async with aclosing(backend.stream(call_of())) as stream:  # type: ignore[type-var]
                assert (await anext(stream)).startswith(b"data: ")
            await eventually(lambda: server.open == 0)
            assert pool.reports()[0].under_way == 0

    running(work)


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_stream__cut_anywhere__the_same_events_and_connection_kept(size: int) -> None:
    text = EVENT * 5 + DONE
    answer = chunked(*(text[at : at + size] for at in range(0, len(text), size)))

    async def work(pool: UpstreamPool) -> None:
        async with upstream(answer) as server:
            backend = backend_of(pool, server.url)
            for _ in range(2):
                assert b"".join([piece async for piece in backend.stream(call_of())]) == text
            assert server.connections == 1

    running(work)


def test_deadline__shorter_than_the_answer__504_and_the_upstream_is_told_and_let_go() -> None:
    async def work(pool: UpstreamPool) -> None:
        async with upstream(b"") as server:
            backend = backend_of(pool, server.url)
            with pytest.raises(UpstreamFailed) as caught:
                await backend.answer(call_of(deadline_s=0.1))
            assert caught.value.status == 504
            told = server.heads[0].partition(b"x-request-timeout-ms: ")[2].partition(b"\r\n")[0]
            assert 1 <= int(told) <= 100
            await eventually(lambda: server.open == 0)
            assert pool.reports()[0].failures == 0  # the caller's haste is not the replica's fault

    running(work)


def test_compressed_answer__not_asked_for__says_what_to_do() -> None:
    answer = GOOD.replace(b"content-type", b"content-encoding: gzip\r\ncontent-type")

    async def work(pool: UpstreamPool) -> None:
        async with upstream(answer) as server:
            with pytest.raises(UpstreamFailed, match="upstream_client"):
                await backend_of(pool, server.url).answer(call_of())

    running(work)


def test_key__with_a_line_break__not_sent_and_not_told() -> None:
    async def work(pool: UpstreamPool) -> None:
        async with upstream(GOOD) as server:
            backend = backend_of(pool, server.url, api_key_env="KEY")
            backend._environment = {"KEY": "sk-secret\r\nx-evil: 1"}
            with pytest.raises(UpstreamFailed) as caught:
                await backend.answer(call_of())
            assert "sk-secret" not in str(caught.value)
            assert server.heads == []

    running(work)


def test_health_check__replica_ill_then_well__left_alone_then_tried_at_once() -> None:
    async def work(pool: UpstreamPool) -> None:
        well = False

        async def health(head: bytes, _reader: Any, writer: asyncio.StreamWriter) -> None:
            writer.write(GOOD if well or b"GET" not in head else ERROR)

        async with upstream(health) as server:
            backend = backend_of(pool, server.url, breaker_failures=2, health_path="/models")
            replicas = backend._replicas.replicas
            for _ in range(2):
                await check_all(pool.client, replicas)
            with pytest.raises(UpstreamFailed, match="left alone"):
                await backend.answer(call_of())
            well = True
            await check_all(pool.client, replicas)
            await backend.answer(call_of())
            assert server.heads[0].startswith(b"GET /v1/models HTTP/1.1")
            assert replicas[0].breaker.state is BreakerState.CLOSED

    running(work)


def test_addresses__one_or_several__all_there() -> None:
    assert Backend().addresses == ()
    assert Backend(base_url="http://a").addresses == ("http://a",)
    assert Backend(base_url=("http://a", "http://b")).addresses == ("http://a", "http://b")


def test_usage__of_a_whole_answer__is_told() -> None:
    body = b'{"object":"chat.completion","usage":{"prompt_tokens":7,"completion_tokens":2}}'

    async def work(pool: UpstreamPool) -> None:
        async with upstream(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)) as server:
            call = call_of()
            await backend_of(pool, server.url).answer(call)
            assert call.usage == Usage(7, 2)

    running(work)


@pytest.mark.parametrize(
    ("operation", "events"),
    [
        (Operation.CHAT, (b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}\n\n', DONE)),
        (
            Operation.RESPONSE,
            (
                b'data: {"type":"response.created","response":{"usage":null}}\n\n',
                b'data: {"type":"response.completed","response":{"usage":{"input_tokens":7,"output_tokens":2}}}\n\n',
            ),
        ),
    ],
)
def test_usage__of_a_stream__is_told(operation: Operation, events: tuple[bytes, ...]) -> None:
    async def work(pool: UpstreamPool) -> None:
        async with upstream(chunked(*events)) as server:
            call = replace(call_of(), operation=operation)
            assert b"".join([piece async for piece in backend_of(pool, server.url).stream(call)]) == b"".join(events)
            assert call.usage == Usage(7, 2)

    running(work)


def test_identity__at_another_address__is_another() -> None:
    """Answers of an ensemble are kept by what its members say of themselves: one that moved must not go unnoticed."""

    async def work(pool: UpstreamPool) -> None:
        first, second = (backend_of(pool, f"http://127.0.0.1:{port}/v1") for port in (9, 10))
        assert first.identity != second.identity
        assert first.identity == backend_of(pool, "http://127.0.0.1:9/v1").identity

    running(work)
