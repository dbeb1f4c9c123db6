"""Streams that upstreams get wrong, through the whole gateway: the good part arrives, then an error; nothing stays."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from raw_upstream import RawUpstream, eventually, upstream
from serving import Fleet

from bailiwick.gateway.build import RunningGateway

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
WORD = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"

GOOD = {
    "as it should be": WORD + DONE,
    "carriage returns and newlines": (WORD + DONE).replace(b"\n", b"\r\n"),
    "carriage returns": (WORD + DONE).replace(b"\n", b"\r"),
    "mixed ends of lines": WORD.replace(b"\n\n", b"\r\n\n") + DONE.replace(b"\n\n", b"\n\r\n"),
    "comments and empty events": b": hello\n\n\n\n" + WORD + b":\n\n" + DONE,
    "no space after the colon": WORD.replace(b"data: ", b"data:") + b"data:[DONE]\n\n",
    "fields besides": b"event: message\nid: 7\nretry: 10\n" + WORD + DONE,
    "an object over several lines": WORD.replace(b'"object"', b'\ndata: "object"') + DONE,
    "more after the end": WORD + DONE + b"data: {nonsense\n\n" * 5,
    "no empty line after the end": WORD + DONE.rstrip(b"\n") + b"\n",
}
BAD = {
    "cut off": WORD + WORD[:40],
    "no end": WORD,
    "not JSON": WORD + b"data: {oops\n\n" + WORD + DONE,
    "not an object": WORD + b"data: 7\n\n" + DONE,
    "not UTF-8": WORD + WORD.replace(b"hi", b"\xff\xfe") + DONE,
    "a page": WORD + b"<html>busy</html>\n\n" + DONE,
    "an event without an end": WORD + b"data: " + b"x" * (3 << 20),
    "a line without an end": WORD + b"x" * (3 << 20),
    "nothing but newlines, then silence": WORD + b"\n" * 10_000,
    "its own error": WORD + b'data: {"error": {"message": "out of memory", "code": 500}}\n\n',
    "zeros": WORD + b"\0" * 100 + b"\n\n" + DONE,
}


class House:
    """A gateway over one upstream that sends what a test says."""

    def __init__(self, running: RunningGateway, server: RawUpstream) -> None:
        self.running = running
        self.server = server
        self.script, self.hangs_up = b"", True

    async def ask(self, path: str = "/v1/chat/completions") -> tuple[int, bytes]:
        body = {"model": "far", "messages": [{"role": "user", "content": "x"}], "input": "x", "stream": True}
        pieces = [{"type": "http.request", "body": json.dumps(body).encode()}]
        sent: list[Any] = []

        async def receive() -> Any:
            if pieces:
                return pieces.pop()
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "headers": []}
        async with asyncio.timeout(20):
            await self.running.app(scope, receive, send)
        return sent[0]["status"], b"".join(each.get("body", b"") for each in sent)


@asynccontextmanager
async def house(home: Path) -> AsyncIterator[House]:
    async def answer(_head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for start in range(0, len(made.script), 7_919):  # a prime, so that cuts fall everywhere
            writer.write(made.script[start : start + 7_919])
            await asyncio.sleep(0)
        if not made.hangs_up:
            await reader.read()
        writer.close()

    async with upstream(answer) as server:
        fleet = Fleet(home)
        fleet.upstream("far", server.url, timeout_s=0.5, retries=0, breaker_failures=0)
        running = RunningGateway(fleet.platform)
        await running.start()
        made = House(running, server)
        try:
            yield made
        finally:
            await running.stop()
            fleet.platform.close()


def words_of(answer: bytes) -> int:
    return answer.count(b'"content":"hi"')


def run(work: Callable[[], Any]) -> None:
    asyncio.run(work())


def test_stream__odd_but_allowed__arrives_whole(tmp_path: Path) -> None:
    async def work() -> None:
        async with house(tmp_path) as made:
            for name, made.script in GOOD.items():
                status, answer = await made.ask()
                assert (status, answer.endswith(b"[DONE]\n\n"), b"error" in answer) == (200, True, False), (
                    name,
                    answer,
                )
                assert words_of(answer) == 1 or name == "an object over several lines", name

    run(work)


@pytest.mark.parametrize("hangs_up", [True, False])
def test_stream__malformed__the_good_part_then_an_error_and_nothing_stays(tmp_path: Path, hangs_up: bool) -> None:
    async def work() -> None:
        async with house(tmp_path) as made:
            before, made.hangs_up = len(asyncio.all_tasks()), hangs_up
            for name, made.script in BAD.items():
                status, answer = await made.ask()
                last = answer.strip().rpartition(b"\n\n")[2]
                error = json.loads(last.removeprefix(b"data: "))["error"]
                assert (status, words_of(answer)) == (200, 1), (name, answer[:500])
                assert error["message"], name
                assert b"[DONE]" not in answer, name
                assert len(answer) < 2_000, "what is not an event is not passed on"
                await eventually(lambda: made.server.open == 0)
                assert len(asyncio.all_tasks()) <= before + 1, name
                assert made.running.app.telemetry.in_flight == 0

    run(work)


def test_streams__many_that_break__no_task_and_no_object_is_left(tmp_path: Path) -> None:
    async def work() -> None:
        async with house(tmp_path) as made:
            made.script = BAD["cut off"]
            for _ in range(20):
                await made.ask()
            gc.collect()
            tasks, objects = len(asyncio.all_tasks()), len(gc.get_objects())
            for _ in range(200):
                await made.ask()
            await eventually(lambda: made.server.open == 0)
            gc.collect()
            assert len(asyncio.all_tasks()) <= tasks + 1
            assert len(gc.get_objects()) < objects + 2_000, "ten objects a stream would be a leak"

    run(work)
