"""Where admission meets what stands beside it: kept answers, fallbacks, clients that leave or are slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from gateway_gate import OTHER, SECRET, START, Gate, story
from gateway_house import Scripted
from routing_log import Says

from bailiwick.backends.model import Call, UpstreamFailed, Usage
from bailiwick.domains.cache import AnswerCaching
from bailiwick.errors import Unavailable
from bailiwick.gateway import asgi
from bailiwick.gateway.admission.meter import UsageMeter
from bailiwick.gateway.admission.model import Used
from bailiwick.gateway.faults import error_body, retry_headers, status_of
from bailiwick.gateway.model import Served
from bailiwick.governance.access.model import AccessState, ClientKey, DayUsage, KeySecret, Limits
from bailiwick.governance.access.secret import digest_of, secret_of
from bailiwick.routing.model import Mode
from bailiwick.routing.policy import Algorithm, Knobs, Policy
from bailiwick.routing.rules import RuleBook
from bailiwick.routing.runtime import Published

CHAT = "/v1/chat/completions"


class Failing(Scripted):
    """A model elsewhere that is down."""

    def __init__(self) -> None:
        super().__init__(fails)

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        yield json.dumps(await self.answer(call)).encode()


def caching(gate: Gate, settings: AnswerCaching) -> None:
    gate.sources.domains["cards"] = replace(gate.sources.domains["cards"], cache=settings)


def serve(gate: Gate, domain: str, backend: Any) -> None:
    """Let a backend stand in for every version of a domain."""
    snapshot = gate.reloader.snapshot
    served: Served = snapshot.served[domain]
    changed = replace(served, backends=dict.fromkeys(served.backends, backend))
    gate.reloader._snapshot = replace(snapshot, served={**snapshot.served, domain: changed})


async def fails(_call: Call) -> dict[str, Any]:
    raise UpstreamFailed("it is down")


@pytest.mark.parametrize("stream", [False, True])
def test_kept_answer__costs_no_tokens(stream: bool) -> None:
    gate = Gate(limits=Limits(tokens_per_minute=100_000))
    caching(gate, AnswerCaching())

    async def told() -> None:
        body = {"max_tokens": 4_000, "stream": stream}
        assert (await gate.post(body))[2]["x-bailiwick-cache"] == "miss"
        used = gate.door.meter.spent("key-1")
        assert used > 0
        assert (await gate.post(body))[2]["x-bailiwick-cache"] == "hit"
        assert gate.door.meter.spent("key-1") == used

    story(gate, told)


def two_keys(gate: Gate, first: str = SECRET) -> None:
    other = ClientKey("key-2", "other", "bob", "", (), Limits(), OTHER[:8], START, "ada")
    held = (KeySecret("key-1", digest_of(first)), KeySecret("key-2", digest_of(OTHER)))
    gate.sources.let_in = AccessState(gate.sources.let_in.revision + 1, (gate.key, other), held, ())


def test_scope_user__of_another_key__is_not_the_same_user() -> None:
    gate = Gate()
    caching(gate, AnswerCaching(scope="user"))
    two_keys(gate)

    async def told() -> None:
        assert (await gate.post({"user": "ada"}))[2]["x-bailiwick-cache"] == "miss"
        assert (await gate.post({"user": "ada"}, secret=OTHER))[2]["x-bailiwick-cache"] == "miss"
        assert (await gate.post({"user": "ada"}, secret=None))[2]["x-bailiwick-cache"] == "miss"
        for secret in (SECRET, OTHER, None):
            assert (await gate.post({"user": "ada"}, secret=secret))[2]["x-bailiwick-cache"] == "hit"

    story(gate, told)


@pytest.mark.parametrize("second", [SECRET, OTHER, None])
def test_conversation__named_alike_by_another_client__is_another_conversation(second: str | None) -> None:
    gate = Gate()
    two_keys(gate)
    learning = Published(1, Mode.ON, RuleBook(()), Policy(Knobs(Algorithm.STATIC, margin=1.0)), 1)
    gate.sources.routing = lambda: learning  # type: ignore[method-assign]
    gate.sources.detector = lambda _catalogue: Says((("cards", 0.5), ("loans", 0.5)))  # type: ignore[method-assign, assignment, return-value]

    async def told() -> None:
        for secret in (SECRET, second):
            status, _, _ = await gate.post({"model": "auto", "user": "ada"}, secret=secret)
            assert status == 200
        asked = [finished.decision for finished in gate.seen]
        assert [each is not None and each.follow_up for each in asked] == [False, second == SECRET]

    story(gate, told)


def test_scope_key__rotated__has_its_answers_still() -> None:
    gate = Gate()
    caching(gate, AnswerCaching(scope="key"))
    rotated = secret_of(b"c" * 32)

    async def told() -> None:
        assert (await gate.post())[2]["x-bailiwick-cache"] == "miss"
        two_keys(gate, rotated)
        await gate.reloader.look()
        assert (await gate.post(secret=rotated))[2]["x-bailiwick-cache"] == "hit"
        assert (await gate.post(secret=OTHER))[2]["x-bailiwick-cache"] == "miss"

    story(gate, told)


def test_only_if_cached__is_not_worth_another_try() -> None:
    gate = Gate()
    caching(gate, AnswerCaching())

    async def told() -> None:
        asked = {"model": "cards", "messages": [{"role": "user", "content": "hi"}]}
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(asked).encode()}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"cache-control", b"only-if-cached")]
        await gate.app({"type": "http", "method": "POST", "path": CHAT, "headers": headers}, receive, send)
        assert sent[0]["status"] == 504
        assert (b"x-should-retry", b"false") in sent[0]["headers"]

    story(gate, told)


def test_fallback__over_the_limit_of_its_own_domain__is_429_and_not_asked() -> None:
    gate = Gate(limits=Limits(tokens_per_minute=1_000))
    gate.sources.domains["cards"] = replace(gate.sources.domains["cards"], fallback="loans")
    gate.let_in((("loans", Limits(requests_per_minute=2)),))

    async def told() -> None:
        serve(gate, "cards", Failing())
        assert (await gate.post())[0] == 200
        status, _, headers = await gate.post(secret=None)
        assert (status, headers["x-bailiwick-domain"]) == (200, "loans")
        assert headers["x-ratelimit-remaining-requests"] == "0"
        left = gate.door._local._buckets["key:key-1:tokens"]
        status, document, headers = await gate.post()
        assert (status, document["error"]["code"]) == (429, "rate_limit_exceeded")
        assert "'loans'" in document["error"]["message"]
        assert headers["retry-after"] == "30"
        assert gate.door._local._buckets["key:key-1:tokens"] == left  # given back: it was not answered
        assert (await gate.post({"stream": True}))[0] == 429

    story(gate, told)
    assert len([each for each in gate.tape.answered if each["domain"] == "loans"]) == 2


def test_client_leaves__while_a_fallback_elsewhere_answers__is_given_up() -> None:
    gate = Gate()
    gate.sources.domains["cards"] = replace(gate.sources.domains["cards"], fallback="loans")
    begun, given_up = asyncio.Event(), asyncio.Event()

    async def waits(_call: Call) -> dict[str, Any]:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            given_up.set()
            raise
        raise AssertionError

    async def told() -> None:
        here = Failing()
        here.in_process = True
        serve(gate, "cards", here)
        serve(gate, "loans", Scripted(waits))
        asked = {"model": "cards", "messages": [{"role": "user", "content": "hi"}]}
        messages = [{"type": "http.request", "body": json.dumps(asked).encode()}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await begun.wait()
            return {"type": "http.disconnect"}

        async def send(_message: Any) -> None:
            raise AssertionError("there is nobody to be answered")

        scope = {"type": "http", "method": "POST", "path": CHAT, "headers": []}
        async with asyncio.timeout(20):
            await gate.app(scope, receive, send)
        assert given_up.is_set()

    story(gate, told)
    assert [each.status for each in gate.seen] == [499]


@pytest.mark.parametrize("path", [CHAT, "/v1/feedback", "/ofrep/v1/evaluate/flags"])
def test_body__that_does_not_come_in_time__is_408(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi, "_BODY_S", 0.01)
    gate = Gate()

    async def told() -> None:
        sent: list[Any] = []
        pieces = [{"type": "http.request", "body": b"{", "more_body": True}]

        async def receive() -> dict[str, Any]:
            if pieces:
                return pieces.pop()
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Any) -> None:
            sent.append(message)

        await gate.app({"type": "http", "method": "POST", "path": path, "headers": []}, receive, send)
        assert sent[0]["status"] == 408
        if not path.startswith("/ofrep"):
            error = json.loads(sent[1]["body"])["error"]
            assert (error["code"], error["type"]) == ("request_timeout", "invalid_request_error")

    story(gate, told)


def test_numbers__beyond_reason__are_not_added_up() -> None:
    """A client that leaves is charged the estimate: it must fit the column that it is added up in."""
    gate = Gate()

    async def leaves(_call: Call) -> dict[str, Any]:
        raise asgi.ClientGone

    async def told() -> None:
        serve(gate, "cards", Scripted(leaves))
        asked = {"model": "cards", "input": "hi", "n": 1 << 62, "max_output_tokens": 1 << 62}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(asked).encode()}

        async def send(message: Any) -> None:
            raise AssertionError(message)

        authorization = [(b"authorization", f"Bearer {SECRET}".encode())]
        await gate.app(
            {"type": "http", "method": "POST", "path": "/v1/responses", "headers": authorization}, receive, send
        )
        assert 1_000 < gate.door.meter.spent("key-1") <= 2_000_000_000

    story(gate, told)
    usage = Usage()
    usage.take({"prompt_tokens": 1 << 63, "completion_tokens": 5})
    assert usage == Usage(None, 5)


def test_meter__that_could_not_write_once__writes_on() -> None:
    written: list[DayUsage] = []

    class Store:
        failures = 1

        def write(self, _gateway: str, totals: Iterable[DayUsage]) -> None:
            if self.failures:
                self.failures -= 1
                raise OverflowError("Python int too large to convert to SQLite INTEGER")
            written.extend(totals)

        def tokens_elsewhere(self, _day: str, _gateway: str) -> Mapping[str, int]:
            return {}

    async def told() -> None:
        gate = Gate()
        meter = UsageMeter(gate.clock, Store(), "g", every_s=0.001)
        await meter.start()
        meter.admitted("key-1", Used(1, 2))
        async with asyncio.timeout(20):
            while not written:
                await asyncio.sleep(0.002)
        assert meter._task is not None and not meter._task.done()
        await meter.stop()

    asyncio.run(told())
    assert [(each.key, each.tokens) for each in written] == [("key-1", 3)]


@pytest.mark.parametrize("setting", ["database_url", "redis_url"])
def test_store_away__clients_do_not_learn_where_it_is(setting: str) -> None:
    error = Unavailable("cannot open 'postgresql://db.internal/x'", what=setting, where="db.internal", remedy="set it")
    document = error_body(error, status_of(error))
    assert "internal" not in json.dumps(document)
    assert document["error"]["code"] == "unavailable"
    assert retry_headers(error) == []  # it may be back in a moment, unlike what is set up wrongly
    assert retry_headers(Unavailable("no model", what="model")) == [(b"x-should-retry", b"false")]


def test_named_version__over_the_limit__is_not_loaded() -> None:
    gate = Gate(limits=Limits(requests_per_minute=2))
    gate.sources.models["v9"] = gate.sources.models["v1"]

    async def told() -> None:
        assert (await gate.post())[0] == 200
        assert (await gate.post({"model": "cards@nothing"}))[0] == 404  # it was looked for: that counts
        before = list(gate.sources.loads)
        assert (await gate.post({"model": "cards@v9"}))[0] == 429
        assert gate.sources.loads == before
        status, _, headers = await gate.post({"model": "cards@v9"}, secret=None)
        assert (status, headers["x-bailiwick-version"]) == (200, "v9")
        assert gate.sources.loads != before

    story(gate, told)
