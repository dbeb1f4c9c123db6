"""Whatever an upstream sends, a call ends with an answer or a typed error, soon, and leaves nothing open behind."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_upstream import DONE, EVENT, GOOD, WHOLE, backend_of, call_of, eventually, upstream

from bailiwick.backends.connections import Http1Client
from bailiwick.backends.model import UpstreamFailed, UpstreamRefused
from bailiwick.backends.pool import UpstreamPool

STATUS = [b"200 OK", b"100 Continue", b"101 Switching", b"204 None", b"301 Moved", b"404 No", b"503 Busy", b"99 X", b""]
HEADERS = [
    b"content-type: application/json",
    b"content-type: text/event-stream",
    b"content-length: %d" % len(WHOLE),
    b"content-length: 5",
    b"content-length: -1",
    b"content-length: 99999999999999999999",
    b"content-length: 1, 2",
    b"transfer-encoding: chunked",
    b"transfer-encoding: gzip, chunked",
    b"content-encoding: gzip",
    b"connection: close",
    b"connection: upgrade",
    b"upgrade: h2c",
    b"retry-after: nan",
    b"retry-after: 1e999",
    b"keep-alive: timeout=99999999999999999999",
    b" folded",
    b"\x00: \xff",
    b"x" * 70_000 + b": y",
]
BODIES = [
    WHOLE,
    EVENT * 3 + DONE,
    EVENT,
    b"29\r\n" + WHOLE + b"\r\n0\r\n\r\n",
    b"29;" + b"x" * 70_000,
    b"ffffffffffffffff1\r\n",
    b"0\r\n" + b"a: b\r\n" * 20_000 + b"\r\n",
    b"data: {",
    b"[1]",
    b"\xff\xfe",
    GOOD,
    b"",
]

answers = st.builds(
    lambda version, status, headers, body: version + b" " + status + b"\r\n" + b"\r\n".join([*headers, b"", body]),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"ICY"]),
    st.sampled_from([b"200 OK", *STATUS]),
    st.lists(st.sampled_from(HEADERS), max_size=4),
    st.sampled_from(BODIES),
)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[bytes], bool]:
    """The pieces that an upstream sends, and whether it hangs up afterwards."""
    whole = draw(answers | st.binary(max_size=60))
    if draw(st.booleans()):  # damage one byte
        at = draw(st.integers(0, max(0, len(whole) - 1)))
        whole = whole[:at] + draw(st.binary(max_size=2)) + whole[at + 1 :]
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=3)))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)], draw(st.booleans())


async def converse(talks: list[tuple[list[bytes], bool]], *, stream: bool) -> None:
    async def answer(_head: bytes, _reader: Any, writer: asyncio.StreamWriter) -> None:
        pieces, hangs_up = talks[min(len(server.heads), len(talks)) - 1]
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        if hangs_up:
            writer.close()

    pool = UpstreamPool()
    assert isinstance(pool.client, Http1Client)
    async with upstream(answer) as server:
        backend = backend_of(pool, server.url, timeout_s=0.15, breaker_failures=0)
        for _ in talks:
            try:
                async with asyncio.timeout(10):  # a hang is an error of another kind
                    if stream:
                        async for events in backend.stream(call_of(deadline_s=0.15)):
                            assert events.endswith(b"\n\n")
                    else:
                        assert isinstance(await backend.answer(call_of(deadline_s=0.15)), dict)
            except (UpstreamFailed, UpstreamRefused):
                pass
            (report,) = pool.reports()
            assert report.under_way == 0
        await pool.close()
        await eventually(lambda: pool.client.open_connections == 0 and server.open == 0)  # type: ignore[attr-defined]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(conversations(), min_size=1, max_size=3), st.booleans())
def test_upstream__sends_anything__answer_or_typed_error_and_nothing_left_open(
    talks: list[tuple[list[bytes], bool]], stream: bool
) -> None:
    asyncio.run(converse(talks, stream=stream))


def test_upstream__answers_with_a_second_answer_behind__the_next_call_does_not_get_it() -> None:
    """Response splitting: what comes unasked must never answer somebody else's request."""

    async def work() -> None:
        pool = UpstreamPool()
        async with upstream(GOOD + GOOD.replace(b"choices", b"stolen!")) as server:
            backend = backend_of(pool, server.url)
            for _ in range(5):
                assert "choices" in await backend.answer(call_of())
        await pool.close()

    asyncio.run(work())
