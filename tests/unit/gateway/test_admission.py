"""Admission through a real gateway application, on a clock that moves when told to."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import pytest
from experiment_plans import experiment
from gateway_gate import OTHER, SECRET, START, Gate, story

from bailiwick.clock import VirtualClock
from bailiwick.gateway.access_log import line_of
from bailiwick.gateway.admission.meter import UsageMeter
from bailiwick.gateway.admission.model import Used
from bailiwick.gateway.traces import attributes_of
from bailiwick.governance.access.model import DayUsage, Limits
from bailiwick.governance.access.secret import digest_of
from bailiwick.traffic.model import PlacedExperiments


def test_optional__no_key_or_anothers__is_let_in_and_counted() -> None:
    gate = Gate()

    async def told() -> None:
        assert (await gate.post(secret=None))[0] == 200
        assert (await gate.post(secret="sk-whatever"))[0] == 200
        assert (await gate.post())[0] == 200

    story(gate, told)
    assert [each.key for each in gate.seen] == ["", "", "key-1"]
    assert "bailiwick_gateway_keyless_requests_total 2\n" in gate.metrics()
    assert 'bailiwick_gateway_key_requests_total{key="key-1",status="200"} 1\n' in gate.metrics()


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize(
    ("secret", "reason", "word"),
    [
        (OTHER, "unknown", "unknown"),
        (SECRET[:-1], "mistyped", "checksum"),
        (SECRET[:20] + "0" + SECRET[21:], "mistyped", "checksum"),
        ("bwk_", "mistyped", "checksum"),
        ("bwk_" + "é" * 49, "mistyped", "checksum"),
    ],
)
def test_wrong_key__that_looks_like_ours__is_401_in_every_mode(
    required: bool, secret: str, reason: str, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(required=required)
    caplog.set_level(logging.DEBUG)

    async def told() -> None:
        status, document, headers = await gate.post(secret=secret)
        assert status == 401
        assert (document["error"]["code"], document["error"]["type"]) == ("invalid_api_key", "invalid_request_error")
        assert word in document["error"]["message"]
        assert headers["www-authenticate"].startswith("Bearer")
        assert headers["x-should-retry"] == "false"
        assert len(secret) < 10 or secret not in json.dumps(document) + caplog.text

    story(gate, told)
    assert f'bailiwick_gateway_key_refusals_total{{key="",reason="{reason}"}} 1\n' in gate.metrics()
    assert gate.tape.answered == []


def test_required__nothing_or_anothers_key__is_401_before_the_body_is_read() -> None:
    gate = Gate(required=True)

    async def told() -> None:
        for secret in (None, "sk-whatever", ""):
            assert (await gate.post(secret=secret))[0] == 401
        status, document, _ = await gate.call("POST", "/v1/chat/completions", b"x" * (64 << 20), None)
        assert (status, document["error"]["code"]) == (401, "invalid_api_key")
        for method, path in (
            ("GET", "/v1/models"),
            ("GET", "/v1/models/cards"),
            ("GET", "/v1/backends"),
            ("POST", "/v1/feedback"),
            ("POST", "/ofrep/v1/evaluate/flags"),
            ("POST", "/ofrep/v1/evaluate/flags/x"),
        ):
            assert (await gate.call(method, path, b"{}", None))[0] == 401, path
            assert (await gate.call(method, path, b"{}"))[0] != 401, path
        for path in ("/healthz", "/readyz", "/metrics"):
            scope = {"type": "http", "method": "GET", "path": path, "headers": []}
            sent: list[Any] = []

            async def send(message: Any, sent: list[Any] = sent) -> None:
                sent.append(message)

            await gate.app(scope, None, send)  # type: ignore[arg-type]
            assert sent[0]["status"] == 200

    story(gate, told)


def test_key__revoked_expired_or_replaced__is_refused_with_the_reason() -> None:
    gate = Gate()

    async def told() -> None:
        gate.let_in(expires_at=START + timedelta(minutes=1))
        await gate.reloader.look()
        assert (await gate.post())[0] == 200
        gate.clock.advance(timedelta(minutes=1))  # no new snapshot is needed for that
        status, document, _ = await gate.post()
        assert (status, document["error"]["message"].split(";")[0]) == (401, "the key has expired")
        gate.let_in(expires_at=None, revoked_at=START)
        await gate.reloader.look()
        status, document, _ = await gate.post()
        assert (status, document["error"]["message"].split(";")[0]) == (401, "the key was revoked")

    story(gate, told)


def test_revocation__while_the_body_comes__is_seen() -> None:
    gate = Gate()

    async def told() -> None:
        asked = json.dumps({"model": "cards", "messages": [{"role": "user", "content": "hi"}]}).encode()
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            gate.let_in(revoked_at=START)
            await gate.reloader.look()
            return {"type": "http.request", "body": asked}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"authorization", f"Bearer {SECRET}".encode())]
        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}
        await gate.app(scope, receive, send)
        assert sent[0]["status"] == 401

    story(gate, told)


def test_domains__of_a_key__bound_what_it_may_ask_and_see() -> None:
    gate = Gate(domains=("card*",))

    async def told() -> None:
        assert (await gate.post())[0] == 200
        for model in ("loans", "loans@v2", "nobody"):
            status, document, _ = await gate.post({"model": model})
            assert (status, document["error"]["code"]) == (403, "model_not_allowed"), model
        names = [each["id"] for each in (await gate.call("GET", "/v1/models"))[1]["data"]]
        assert names == ["auto", "cards"]
        everything = [each["id"] for each in (await gate.call("GET", "/v1/models", secret=None))[1]["data"]]
        assert everything == ["auto", "cards", "loans"]
        assert (await gate.call("GET", "/v1/models/cards"))[0] == 200
        assert (await gate.call("GET", "/v1/models/loans"))[0] == 404
        assert (await gate.post({"model": "auto"}))[0] == 200  # the default domain is cards
        gate.let_in(domains=("loans",))
        await gate.reloader.look()
        status, document, _ = await gate.post({"model": "auto"})
        assert (status, document["error"]["code"]) == (403, "model_not_allowed")

    story(gate, told)
    assert gate.tape.answered and {each["domain"] for each in gate.tape.answered} == {"cards"}


def test_requests__over_the_limit__are_429_with_openais_headers() -> None:
    gate = Gate(limits=Limits(requests_per_minute=3))

    async def told() -> None:
        found = [await gate.post() for _ in range(4)]
        assert [status for status, _, _ in found] == [200, 200, 200, 429]
        assert [headers["x-ratelimit-remaining-requests"] for _, _, headers in found] == ["2", "1", "0", "0"]
        assert found[0][2]["x-ratelimit-limit-requests"] == "3"
        assert found[0][2]["x-ratelimit-reset-requests"] == "20s"
        error, headers = found[3][1]["error"], found[3][2]
        assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")
        assert "3 requests a minute" in error["message"]
        assert (headers["retry-after"], headers["retry-after-ms"]) == ("20", "20000")
        assert headers["x-ratelimit-reset-requests"] == "1m0s"
        gate.clock.advance(timedelta(seconds=19.999))
        assert (await gate.post())[0] == 429
        gate.clock.advance(timedelta(seconds=0.001))
        assert (await gate.post())[0] == 200
        assert (await gate.post(secret=None))[0] == 200  # others are not meant

    story(gate, told)
    assert 'bailiwick_gateway_key_refusals_total{key="key-1",reason="requests"} 2\n' in gate.metrics()


def test_tokens__estimated_on_entry__are_settled_with_what_was_used() -> None:
    gate = Gate(limits=Limits(tokens_per_minute=1_000))

    async def told() -> None:
        _, answer, headers = await gate.post({"max_tokens": 500})
        assert int(headers["x-ratelimit-remaining-tokens"]) < 500  # prompt and answer were taken
        _, _, headers = await gate.post({"max_tokens": 500})
        spent = answer["usage"]["total_tokens"]
        assert int(headers["x-ratelimit-remaining-tokens"]) > 1_000 - spent - 530
        status, _, headers = await gate.post({"max_tokens": 8_000})  # more than a minute's: asks for all of it
        assert (status, int(headers["retry-after-ms"])) == (429, 60 * 2 * spent)
        gate.clock.advance(timedelta(minutes=1))
        assert (await gate.post({"max_tokens": 8_000}))[0] == 200

    story(gate, told)
    assert 'bailiwick_gateway_key_tokens_total{key="key-1",type="completion"} 3\n' in gate.metrics()


def test_tokens__of_a_request_that_is_refused_later__are_given_back() -> None:
    gate = Gate(limits=Limits(tokens_per_minute=100, requests_per_minute=10))

    async def told() -> None:
        status, _, _ = await gate.post({"max_tokens": 50, "n": 2})  # a local model gives one answer
        assert status == 400
        _, _, headers = await gate.post({"max_tokens": 1})
        assert int(headers["x-ratelimit-remaining-tokens"]) > 60
        assert headers["x-ratelimit-remaining-requests"] == "8"  # it was a request all the same

    story(gate, told)


def test_stream__is_settled_when_it_ends() -> None:
    gate = Gate(limits=Limits(tokens_per_minute=1_000, in_flight=1))

    async def told() -> None:
        for _ in range(3):
            status, events, headers = await gate.post({"stream": True, "max_tokens": 900})
            assert (status, events[:6]) == (200, b"data: ")
            assert int(headers["x-ratelimit-remaining-tokens"]) < 100

    story(gate, told)
    assert gate.door.meter.spent("key-1") > 0


def test_in_flight__while_one_is_answered__the_next_waits() -> None:
    gate = Gate(limits=Limits(in_flight=1))
    begun, may_end = asyncio.Event(), asyncio.Event()

    class Slow:
        in_process = False

        async def answer(self, _call: Any) -> dict[str, Any]:
            begun.set()
            await may_end.wait()
            return {"ok": True}

    async def told() -> None:
        snapshot = gate.reloader.snapshot
        cards = replace(snapshot.served["cards"], backends={"v1": Slow()})
        gate.reloader._snapshot = replace(snapshot, served={**snapshot.served, "cards": cards})

        async def ask() -> int:
            body = json.dumps({"model": "cards", "messages": [{"role": "user", "content": "hi"}]}).encode()
            sent: list[Any] = []
            stays = asyncio.Event()

            async def receive() -> dict[str, Any]:
                if not sent and not stays.is_set():
                    stays.set()
                    return {"type": "http.request", "body": body}
                await asyncio.Event().wait()
                raise AssertionError

            async def send(message: Any) -> None:
                sent.append(message)

            headers = [(b"authorization", f"Bearer {SECRET}".encode())]
            path = "/v1/chat/completions"
            await gate.app({"type": "http", "method": "POST", "path": path, "headers": headers}, receive, send)
            return int(sent[0]["status"])

        first = asyncio.ensure_future(ask())
        await begun.wait()
        assert await ask() == 429
        may_end.set()
        assert await first == 200
        assert await ask() == 200

    story(gate, told)


def test_domain_limit__everybody_together__with_and_without_keys() -> None:
    gate = Gate()

    async def told() -> None:
        gate.let_in(limited=(("cards", Limits(requests_per_minute=2)),))
        await gate.reloader.look()
        assert (await gate.post())[0] == 200
        status, _, headers = await gate.post(secret=None)
        assert (status, headers["x-ratelimit-remaining-requests"]) == (200, "0")
        for secret in (SECRET, None):
            status, document, _ = await gate.post(secret=secret)
            assert (status, "the domain 'cards'" in document["error"]["message"]) == (429, True)
        assert (await gate.post({"model": "loans"}))[0] == 200

    story(gate, told)


def test_refusal__by_the_domain__takes_nothing_from_the_key() -> None:
    gate = Gate(limits=Limits(requests_per_minute=10))

    async def told() -> None:
        gate.let_in(limited=(("cards", Limits(requests_per_minute=1)),))
        await gate.reloader.look()
        await gate.post()
        for _ in range(5):
            assert (await gate.post())[0] == 429
        _, _, headers = await gate.post({"model": "loans"})
        assert headers["x-ratelimit-remaining-requests"] == "8"

    story(gate, told)


def test_budget__of_a_day__ends_at_midnight_of_utc() -> None:
    gate = Gate(limits=Limits(tokens_per_day=400))

    async def told() -> None:
        statuses = []
        while (found := await gate.post({"max_tokens": 250}))[0] == 200:
            statuses.append(found[0])
        status, document, headers = found
        assert (status, document["error"]["code"]) == (429, "insufficient_quota")
        assert (headers["retry-after"], headers["x-should-retry"]) == ("3600", "false")
        assert gate.door.meter.spent("key-1") <= 400
        assert len(statuses) > 3  # what was taken for the answer came back
        gate.clock.advance(timedelta(hours=1))
        assert (await gate.post({"max_tokens": 250}))[0] == 200

    story(gate, told)


def test_observers__of_a_request__carry_the_id_and_never_the_secret() -> None:
    gate = Gate()

    async def told() -> None:
        await gate.post()

    story(gate, told)
    (finished,) = gate.seen
    assert line_of(finished, "now")["key"] == attributes_of(finished)["bailiwick.key"] == "key-1"
    long = replace(finished, body={"max_tokens": 1 << 63, "temperature": 0.5}, cache="hit")
    assert attributes_of(long)["gen_ai.request.temperature"] == 0.5
    assert attributes_of(long)["bailiwick.cache"] == "hit"
    assert "gen_ai.request.max_tokens" not in attributes_of(long)
    snapshot = gate.reloader.snapshot
    shown = repr([finished, asdict(finished), snapshot.access, gate.key, gate.metrics()])
    assert SECRET not in shown and digest_of(SECRET) not in shown


def test_flags__of_domains_that_the_key_may_not_ask__are_not_there() -> None:
    gate = Gate(domains=("cards",))
    gate.sources.placed = PlacedExperiments(
        {"cards": (experiment("tone"),), "loans": (experiment("pace", domain="loans"),)}
    )
    asked = json.dumps({"context": {"targetingKey": "user-1"}}).encode()

    async def told() -> None:
        flags = "/ofrep/v1/evaluate/flags"
        every = await gate.call("POST", flags, asked, None)
        assert [each["key"] for each in every[1]["flags"]] == ["pace", "tone"]
        mine = await gate.call("POST", flags, asked)
        assert [each["key"] for each in mine[1]["flags"]] == ["tone"]
        assert (await gate.call("POST", f"{flags}/tone", asked))[0] == 200
        assert (await gate.call("POST", f"{flags}/pace", asked))[0] == 404

    story(gate, told)


# The meter


class Kept:
    """A store of usage that can go away."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], DayUsage] = {}
        self.elsewhere: dict[str, int] = {}
        self.away = False

    def write(self, gateway: str, totals: Any) -> None:
        if self.away:
            raise OSError("away")
        self.rows |= {(each.key, each.day): each for each in totals}

    def tokens_elsewhere(self, day: str, gateway: str) -> Mapping[str, int]:
        if self.away:
            raise OSError("away")
        return self.elsewhere


def test_meter__store_that_is_away_at_the_start__is_learned_from_later() -> None:
    clock, kept = VirtualClock(START), Kept()
    kept.elsewhere, kept.away = {"k": 70}, True
    meter = UsageMeter(clock, kept, "g1", every_s=3_600)

    async def told() -> None:
        await meter.start()
        meter.admitted("k", Used(2, 1))
        assert meter.spent("k") == 3
        kept.away = False
        await meter.flush()
        assert meter.spent("k") == 73
        await meter.stop()

    asyncio.run(told())
    assert kept.rows[("k", "2026-03-01")].tokens == 3


def test_meter__store_that_is_away__loses_nothing() -> None:
    clock, kept = VirtualClock(START), Kept()
    meter = UsageMeter(clock, kept, "g1", has_budgets=lambda: bool(kept.elsewhere))

    async def told() -> None:
        meter.admitted("k", Used(10, 5))
        kept.away = True
        await meter.flush()
        meter.refused("k")
        await meter.flush()
        kept.away = False
        clock.advance(timedelta(hours=2))  # into the next day
        meter.admitted("k", Used(1, 1))
        await meter.flush()
        kept.elsewhere = {"k": 70}
        await meter.flush()

    asyncio.run(told())
    assert kept.rows[("k", "2026-03-01")] == DayUsage("k", "2026-03-01", 1, 1, 10, 5, START)
    assert kept.rows[("k", "2026-03-02")].tokens == 2
    assert (meter.today, meter.spent("k")) == ("2026-03-02", 72)
    clock.advance(timedelta(days=1))
    assert (meter.spent("k"), meter.to_midnight_ms()) == (0, 23 * 3_600_000)
