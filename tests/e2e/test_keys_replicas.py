"""Limits over several real gateways: together in Redis, each by itself without, budgets in either case."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import openai
import pytest
from servers import OwnRedis
from serving import ADA, Fleet, ServerProcess, serving

from bailiwick.governance.access.model import Limits

pytestmark = [pytest.mark.slow, pytest.mark.redis]

HELLO = [{"role": "user", "content": "my card was stolen"}]
SETTINGS = {"BAILIWICK_KEYS": "required", "BAILIWICK_METRICS_INTERVAL_S": "0.2"}


@pytest.fixture
def own_redis() -> Iterator[OwnRedis]:
    running = OwnRedis()
    yield running
    running.close()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet(tmp_path_factory.mktemp("fleet"))


def ask(server: ServerProcess, secret: str) -> str:
    """How a request ends, as the official client words it."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=secret, max_retries=0, timeout=30) as client:
        try:
            client.chat.completions.create(model="cards", messages=HELLO)  # type: ignore[arg-type]
        except openai.APIStatusError as error:
            return str(error.code)
    return "ok"


def started(stack: ExitStack, fleet: Fleet, number: int, settings: dict[str, str]) -> list[ServerProcess]:
    with ThreadPoolExecutor(number) as threads:
        contexts = [serving(fleet.home, settings) for _ in range(number)]
        return list(threads.map(stack.enter_context, contexts))


def test_three_gateways__one_key__get_its_limit_together_and_lose_nobody_without_redis(
    fleet: Fleet, own_redis: OwnRedis
) -> None:
    limits = Limits(requests_per_minute=30, in_flight=20)
    secret = fleet.platform.access.create("shared", actor=ADA, limits=limits).secret
    with ExitStack() as stack, ThreadPoolExecutor(6) as threads:
        servers = started(stack, fleet, 3, {**SETTINGS, "BAILIWICK_REDIS_URL": own_redis.url})
        began = time.monotonic()
        found = Counter(threads.map(lambda n: ask(servers[n % 3], secret), range(90)))
        most = 30 + (time.monotonic() - began) / 2 + 1
        assert set(found) == {"ok", "rate_limit_exceeded"}
        assert 30 <= found["ok"] <= most
        own_redis.stop()
        alone = Counter(threads.map(lambda n: ask(servers[n % 3], secret), range(90)))
        assert set(alone) <= {"ok", "rate_limit_exceeded"}  # nobody is answered otherwise
        # each goes on from the third of the burst that it has taken itself
        assert 0 < alone["ok"] <= 3 * most - found["ok"] + 3 * (time.monotonic() - began) / 2
        own_redis.start()


def test_two_gateways__without_redis__share_a_budget_with_a_second_of_delay(fleet: Fleet) -> None:
    secret = fleet.platform.access.create("thrifty", actor=ADA, limits=Limits(tokens_per_day=60)).secret
    with ExitStack() as stack:
        first, second = started(stack, fleet, 2, SETTINGS)
        while ask(first, secret) == "ok":
            pass
        time.sleep(1.0)
        assert [ask(second, secret) for _ in range(3)] == ["insufficient_quota"] * 3
