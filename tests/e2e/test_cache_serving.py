"""Kept answers and batching through real servers: two replicas over one database, official client, feedback."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import openai
import pytest
from receivers import eventually
from serving import ADA, Fleet, ServerProcess, Upstream, serving

from bailiwick.domains.batching import Batching
from bailiwick.domains.model import Generation

QUESTION = [{"role": "user", "content": "what is a loan, in short?"}]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.close()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Fleet]:
    built = Fleet(tmp_path_factory.mktemp("fleet"))
    built.upstream("chatty", upstream.url, timeout_s=5.0, retries=0, generation=Generation(temperature=0.0))
    built.platform.caching.change("chatty", {}, ADA)
    yield built
    built.platform.close()


@pytest.fixture(scope="module")
def servers(fleet: Fleet) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    environment = {"BAILIWICK_METRICS_INTERVAL_S": "0.2"}
    with serving(fleet.home, environment) as first, serving(fleet.home, environment) as second:
        yield first, second


def ask(server: ServerProcess, **more: Any) -> tuple[str | None, Any]:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    raw = client.chat.completions.with_raw_response.create(model="chatty", messages=QUESTION, **more)  # type: ignore[arg-type]
    return raw.headers.get("x-bailiwick-cache"), raw


def call(server: ServerProcess, method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "x-actor": "ada"}
    request = urllib.request.Request(server.url + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def test_two_gateways__hits_count_feedback_works_and_clearing_reaches_both(
    servers: tuple[ServerProcess, ServerProcess], upstream: Upstream
) -> None:
    upstream.will("ok")
    first, second = servers
    assert [ask(first)[0] for _ in range(3)] == ["miss", "hit", "hit"]
    assert [ask(second)[0] for _ in range(2)] == ["miss", "hit"]
    assert len(upstream.bodies) == 2
    state, raw = ask(first)
    assert state == "hit" and raw.parse().choices[0].message.content == "hello"
    stored = call(first, "POST", "/v1/feedback", {"request_id": raw.headers["x-request-id"], "value": True})
    assert stored["object"] == "feedback"

    def counted() -> bool:
        found = call(second, "GET", "/v1/cache/chatty")
        return (found["requests"], found["hits"]) == (6, 4)

    eventually(counted, "the hits of both gateways are not counted")
    call(second, "POST", "/v1/cache/chatty/clear")
    eventually(lambda: ask(first)[0] == "miss", "the first gateway still serves old answers")
    eventually(lambda: ask(second)[0] == "miss", "the second gateway still serves old answers")
    shown = urllib.request.urlopen(f"{first.url}/metrics", timeout=30).read().decode()
    assert 'bailiwick_cache_requests_total{domain="chatty",outcome="hit"}' in shown


def test_stream__official_client__hears_the_same_twice(
    servers: tuple[ServerProcess, ServerProcess], upstream: Upstream
) -> None:
    upstream.will("ok")
    client = openai.OpenAI(base_url=f"{servers[0].url}/v1", api_key="none", max_retries=0)

    def heard() -> str:
        stream = client.chat.completions.create(model="chatty", messages=QUESTION, stream=True, seed=7)  # type: ignore[arg-type]
        return "".join(each.choices[0].delta.content or "" for each in stream)

    assert heard() == heard() == "hello"
    assert len(upstream.bodies) == 1


def test_only_if_cached__official_client__is_told_with_504(servers: tuple[ServerProcess, ServerProcess]) -> None:
    with pytest.raises(openai.InternalServerError) as caught:
        ask(servers[0], seed=99, extra_headers={"cache-control": "only-if-cached"})
    assert caught.value.status_code == 504 and caught.value.code == "not_cached"


def test_batching__many_at_once__everybody_gets_its_own_label(
    servers: tuple[ServerProcess, ServerProcess], fleet: Fleet
) -> None:
    cards = fleet.platform.domains.get("cards").domain
    fleet.platform.domains.update(replace(cards, batching=Batching(size=8, window_ms=2)), ADA)
    texts = ["I lost my card", "where is my new card", "card fee too high"] * 40
    client = openai.OpenAI(base_url=f"{servers[0].url}/v1", api_key="none")

    def label(text: str) -> str:
        answer = client.chat.completions.create(model="cards", messages=[{"role": "user", "content": text}])
        return answer.choices[0].message.content or ""

    alone = {text: label(text) for text in texts[:3]}
    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(label, texts)) == [alone[text] for text in texts]
