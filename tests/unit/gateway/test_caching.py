"""The cache inside the gateway: headers, metrics, arms, versions, feedback's request ids."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest
from caching_house import Counting
from experiment_plans import experiment
from gateway_sources import Memory, compiler, split

from bailiwick.caching.answers import AnswerCache
from bailiwick.domains.cache import AnswerCaching, SemanticCache
from bailiwick.domains.model import Backend, Domain, Generation
from bailiwick.gateway.app import Gateway
from bailiwick.gateway.model import Finished, Snapshot
from bailiwick.gateway.pins import Pins
from bailiwick.gateway.reloader import Reloader
from bailiwick.traffic.model import PlacedExperiments
from bailiwick.traffic.weights import whole


class Tape:
    """A recorder that remembers."""

    def __init__(self) -> None:
        self.answered: list[dict[str, Any]] = []
        self.lost: list[Any] = []

    def record(self, *_: Any, **_more: Any) -> bool:
        return True

    def served(self, request_id: str, domain: str, version: str, values: Mapping[str, float], **more: Any) -> bool:
        self.answered.append({"id": request_id, "version": version, **values, **more})
        return True

    def exposed(self, exposures: Any, **more: Any) -> bool:
        self.lost.append(exposures)
        return True

    def feedback(self, *_: Any, **_more: Any) -> Any:
        raise AssertionError

    def families(self) -> list[Any]:
        return []


class House:
    """A gateway whose domain `cards` keeps answers; `backend` stands in for the versions of `cards`, where given."""

    def __init__(self, settings: AnswerCaching | None = None, backend: Any = None) -> None:
        self.sources = Memory()
        cards = self.sources.domains["cards"]
        self.sources.domains["cards"] = replace(
            cards, cache=settings or AnswerCaching(), generation=Generation(temperature=0.0)
        )
        self.tape = Tape()
        self.seen: list[Finished] = []
        made = compiler(self.sources)

        def compiled(previous: Snapshot | None) -> Snapshot:
            found = made.compile(previous)
            if backend is None:
                return found
            served = found.served["cards"]
            stood_in = replace(served, backends=dict.fromkeys(served.backends, backend))
            return replace(found, served={**found.served, "cards": stood_in})

        self.reloader = Reloader(self.sources.revision, compiled, 3_600)
        self.cache = AnswerCache()
        self.app = Gateway(
            self.reloader,
            Pins(made),
            self.tape,
            observers=[self.seen.append],
            cache=self.cache,  # type: ignore[arg-type]
        )

    async def ask(self, text: str = "hello", *, path: str = "/v1/chat/completions", **more: Any) -> Answer:
        headers = {name.replace("_", "-"): value for name, value in more.pop("headers", {}).items()}
        field = {"/v1/completions": "prompt", "/v1/embeddings": "input"}.get(path, "messages")
        content = [{"role": "user", "content": text}] if field == "messages" else text
        body = {"model": "cards", field: content, **more}
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        messages: list[dict[str, Any]] = []
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()
            asked = True
            return {"type": "http.request", "body": json.dumps(body).encode()}

        async def send(message: Any) -> None:
            messages.append(message)

        await self.app(scope, receive, send)
        return Answer(messages)


class Answer:
    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(each.get("body", b"") for each in messages)

    @property
    def cache(self) -> str | None:
        return self.headers.get("x-bailiwick-cache")

    @property
    def document(self) -> Any:
        return orjson.loads(self.body)


def run(house: House, story: Callable[[], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        await house.reloader.start()
        try:
            await story()
        finally:
            await house.app.shadows.stop()
            await house.reloader.stop()

    asyncio.run(all_of_it())


def test_hit__looks_like_an_answer_of_its_own() -> None:
    house = House()

    async def story() -> None:
        first, second = await house.ask(), await house.ask()
        assert (first.cache, second.cache) == ("miss", "hit")
        assert "age" not in first.headers and second.headers["age"] == "0"
        assert second.document == {**first.document, "id": f"chatcmpl-{second.headers['x-request-id']}"}
        assert second.headers["x-request-id"] != first.headers["x-request-id"]
        assert second.headers["x-bailiwick-version"] == "v1"
        assert [each["cache_hit"] for each in house.tape.answered] == [0.0, 1.0]
        assert house.tape.answered[1]["id"] == second.headers["x-request-id"]
        assert "prompt_tokens" in house.tape.answered[0] and "prompt_tokens" not in house.tape.answered[1]
        assert [each.cache for each in house.seen] == ["miss", "hit"]

    run(house, story)


def test_hit__stream__events_name_the_request_that_asked() -> None:
    house = House()

    async def story() -> None:
        first, second = [await house.ask(stream=True) for _ in range(2)]
        assert (first.cache, second.cache) == ("miss", "hit")
        own = f'"id":"chatcmpl-{second.headers["x-request-id"]}"'.encode()
        assert second.body.count(own) == first.body.count(b'"id":"chatcmpl-') == 3
        assert second.body.endswith(b"data: [DONE]\n\n")
        assert second.headers["content-type"].startswith("text/event-stream")

    run(house, story)


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings"])
def test_hit__other_operations(path: str) -> None:
    house = House()

    async def story() -> None:
        first, second = [await house.ask(path=path) for _ in range(2)]
        assert (first.status, first.cache, second.cache) == (200, "miss", "hit")
        assert (await house.ask("other", path=path)).cache == "miss"

    run(house, story)


def test_domain_without_the_section__says_nothing_of_a_cache() -> None:
    house = House()
    house.sources.domains["cards"] = replace(house.sources.domains["cards"], cache=None)

    async def story() -> None:
        for _ in range(2):
            assert (await house.ask()).cache is None
        assert all("cache_hit" not in each for each in house.tape.answered)

    run(house, story)


def test_cache_control__of_the_request() -> None:
    house = House()

    async def story() -> None:
        missing = await house.ask(headers={"cache_control": "only-if-cached"})
        assert missing.status == 504 and missing.document["error"]["code"] == "not_cached"
        assert (await house.ask(headers={"cache_control": "no-store"})).cache == "bypass"
        assert (await house.ask()).cache == "miss"
        assert (await house.ask(headers={"cache_control": "only-if-cached"})).cache == "hit"
        assert (await house.ask(headers={"cache_control": "no-cache"})).cache == "miss"
        assert not house.tape.lost

    run(house, story)


def test_auto_and_named_and_pinned__same_domain_and_version__same_answer() -> None:
    house = House()

    async def story() -> None:
        assert (await house.ask()).cache == "miss"
        assert (await house.ask(model="auto")).cache == "hit"
        assert (await house.ask(model="cards@v1")).cache == "hit"
        assert (await house.ask(model="cards@v2")).cache == "miss"

    run(house, story)


def test_new_version__never_serves_old_answers() -> None:
    backend = Counting()
    house = House(backend=backend)

    async def story() -> None:
        assert (await house.ask()).cache == "miss"
        assert (await house.ask()).cache == "hit"
        house.sources.held["cards"] = replace(whole("cards", "v2", "s"), revision=2)
        house.sources.changed()
        await house.reloader.look()
        assert (await house.ask()).cache == "miss"

    run(house, story)


def test_clear__another_generation__asks_the_model_again() -> None:
    house = House()

    async def story() -> None:
        await house.ask()
        cards = house.sources.domains["cards"]
        house.sources.domains["cards"] = replace(cards, cache=AnswerCaching(generation=1))
        house.sources.changed()
        await house.reloader.look()
        assert (await house.ask()).cache == "miss"

    run(house, story)


def test_experiment__arms_with_the_same_version__share_no_answers() -> None:
    backend = Counting()
    house = House(backend=backend)
    house.sources.placed = PlacedExperiments({"cards": (experiment("same"),)})

    async def story() -> None:
        seen: dict[str, str] = {}
        for number in range(40):
            found = await house.ask(user=f"u{number}", temperature=0)
            arm = found.headers["x-bailiwick-experiment"]
            said = found.document["choices"][0]["message"]["content"]
            assert seen.setdefault(arm, said) == said
        assert len(seen) == 2 and len(set(seen.values())) == 2 and len(backend.calls) == 2
        assert all(each["exposures"] for each in house.tape.answered)  # hits count as well

    run(house, story)


def test_versions_by_user__share_no_answers() -> None:
    backend = Counting()
    house = House(backend=backend)
    house.sources.held["cards"] = split("cards", 5_000)

    async def story() -> None:
        seen: dict[str, set[str]] = {}
        for number in range(40):
            found = await house.ask(user=f"u{number}")
            seen.setdefault(found.headers["x-bailiwick-version"], set()).add(
                found.document["choices"][0]["message"]["content"]
            )
        assert {version: len(said) for version, said in seen.items()} == {"v1": 1, "v2": 1}
        assert seen["v1"] != seen["v2"]

    run(house, story)


def test_scope_user__another_user_is_answered_afresh() -> None:
    house = House(AnswerCaching(scope="user"))

    async def story() -> None:
        assert (await house.ask(user="ada")).cache == "miss"
        assert (await house.ask(user="ada")).cache == "hit"
        assert (await house.ask(user="bob")).cache == "miss"
        assert (await house.ask()).cache == "bypass"

    run(house, story)


def test_backend_without_identity__is_never_cached() -> None:
    backend = Counting()
    backend.identity = ""
    house = House(backend=backend)

    async def story() -> None:
        assert [(await house.ask()).cache for _ in range(2)] == ["bypass", "bypass"]
        assert len(backend.calls) == 2

    run(house, story)


def test_sampled_upstream_answer__bypass() -> None:
    house = House(backend=Counting())

    async def story() -> None:
        assert [(await house.ask(temperature=0.5)).cache for _ in range(2)] == ["bypass", "bypass"]
        assert [(await house.ask()).cache for _ in range(2)] == ["miss", "hit"]  # the domain's default is 0

    run(house, story)


def test_similar__compiled_once__and_without_its_model_only_the_same_question_is_answered() -> None:
    house = House()
    sources = house.sources
    upstream = Backend("openai-compatible", base_url="http://127.0.0.1:1/v1", model="m")

    def proven(model: str | None) -> Domain:
        return Domain(
            "helper", "H", "a", backend=upstream, cache=AnswerCaching(semantic=SemanticCache(0.8, 0.02, model))
        )

    sources.domains["helper"] = proven("v1")
    made = compiler(sources)
    first = made.compile(None)
    caching = first.served["helper"].caching
    assert caching is not None and caching.similarity is not None
    sources.changed()
    again = made.compile(first).served["helper"].caching
    assert again is not None and again.similarity is caching.similarity
    sources.domains["helper"] = proven("gone")
    lost = made.compile(first)
    assert lost.served["helper"].caching is not None and lost.served["helper"].caching.similarity is None
    assert any("similar questions are not looked for" in problem for problem in lost.problems)


def test_metrics__the_cache_is_shown() -> None:
    house = House()

    async def story() -> None:
        for _ in range(3):
            await house.ask()
        messages: list[Any] = []

        async def send(message: Any) -> None:
            messages.append(message)

        await house.app({"type": "http", "method": "GET", "path": "/metrics", "headers": []}, None, send)  # type: ignore[arg-type]
        shown = messages[1]["body"].decode()
        assert 'bailiwick_cache_requests_total{domain="cards",outcome="hit"} 2' in shown

    run(house, story)
