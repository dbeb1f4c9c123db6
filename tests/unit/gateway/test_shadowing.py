"""Copies of requests through a real gateway application: nobody waits for them, and nobody sees them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gateway_house import RESPONSES, House, Scripted, run, settled
from gateway_sources import Constant

from bailiwick.backends.model import Call, UpstreamFailed
from bailiwick.gateway.shadowing import Shadows
from bailiwick.metrics.prometheus import render
from bailiwick.traffic.model import SLOTS, Shadow
from bailiwick.traffic.shadow import is_copied


@pytest.mark.parametrize("stream", [False, True])
def test_shadow__another_label__is_compared_and_counts_apart(stream: bool) -> None:
    house = House(Shadow("v2"))

    async def story() -> None:
        for _ in range(3):
            status, body = await house.ask(stream)
            assert (status, b'"a"' in body, b'"b"' in body) == (200, True, False)
        await settled(house)

    run(house, story)
    assert house.tape.shadow("agreement") == [0.0] * 3
    assert house.tape.shadow("disagreement:a -> b") == [1.0] * 3
    assert house.tape.shadow("failed") == [0.0] * 3
    assert len(house.tape.shadow("latency_ms")) == 3
    assert {each["version"] for each in house.tape.answered} == {"v1"}
    assert not any(arm == "" for *_, arm in house.tape.numbers)
    assert "secret" not in repr(house.tape.numbers)
    assert 'domain="cards",version="v2",outcome="answered"} 3' in house.counted()


def test_shadow__the_same_label__agrees() -> None:
    house = House(Shadow("v2"))
    house.sources.models["v2"] = Constant()

    async def story() -> None:
        await house.ask()
        await settled(house)

    run(house, story)
    assert house.tape.shadow("agreement") == [1.0]


def test_shadow__pins__are_not_copied() -> None:
    house = House(Shadow("v2"))

    async def story() -> None:
        assert (await house.ask(model="cards@v1"))[0] == 200
        await settled(house)

    run(house, story)
    assert house.tape.numbers == []


@pytest.mark.parametrize("failure", [UpstreamFailed("down"), ValueError("broken")])
def test_shadow__fails__the_user_sees_nothing_of_it(failure: Exception) -> None:
    async def fail(_call: Call) -> dict[str, Any]:
        raise failure

    house = House(Shadow("v2"), Scripted(fail))

    async def story() -> None:
        assert (await house.ask())[0] == 200
        await settled(house)

    run(house, story)
    assert house.tape.shadow("failed") == [1.0]
    assert house.tape.shadow("agreement") == []
    assert len(house.tape.answered) == 1


def test_shadow__hangs__users_go_on_copies_are_dropped_and_counted_and_given_up_at_the_end() -> None:
    async def hang(_call: Call) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("never")

    backend = Scripted(hang)
    house = House(Shadow("v2"), backend)
    house.app.shadows = Shadows(house.tape, at_once=2, waiting=5)

    async def story() -> None:
        for _ in range(20):
            assert (await house.ask())[0] == 200
        await asyncio.sleep(0)
        assert len(backend.calls) == 2

    run(house, story)
    assert len(house.tape.answered) == 20
    assert 'outcome="dropped"} 15' in house.counted()
    assert not house.app.shadows._tasks
    assert house.tape.shadow("failed") == []


def test_shadow__of_a_streamed_request__is_asked_for_a_whole_answer() -> None:
    async def answer(_call: Call) -> dict[str, Any]:
        return {"choices": [{"message": {"content": "a"}}]}

    backend = Scripted(answer)
    house = House(Shadow("v2"), backend)

    async def story() -> None:
        await house.ask(stream=True)
        await settled(house)

    run(house, story)
    assert "stream" not in backend.calls[0].body
    assert house.tape.shadow("agreement") == [1.0]


@pytest.mark.parametrize("stream", [False, True])
def test_shadow__of_the_responses_api__is_compared(stream: bool) -> None:
    house = House(Shadow("v2"))

    async def story() -> None:
        assert (await house.ask(stream, path=RESPONSES))[0] == 200
        await settled(house)

    run(house, story)
    assert house.tape.shadow("agreement") == [0.0]
    assert house.tape.shadow("disagreement:a -> b") == [1.0]


def test_shadow__client_with_little_time_left__the_copy_has_the_domains() -> None:
    async def answer(_call: Call) -> dict[str, Any]:
        return {"choices": [{"message": {"content": "a"}}]}

    backend = Scripted(answer)
    house = House(Shadow("v2"), backend)

    async def story() -> None:
        assert (await house.ask(x_request_timeout_ms="1"))[0] == 200
        await settled(house)

    run(house, story)
    assert backend.calls[0].deadline_s == house.reloader.snapshot.served["cards"].domain.backend.timeout_s


def test_shadow__that_cannot_be_loaded__is_named_and_everything_else_serves() -> None:
    house = House(Shadow("v9"))

    async def story() -> None:
        assert (await house.ask())[0] == 200
        assert any("the shadow 'v9' is left out" in each for each in house.reloader.snapshot.problems)

    run(house, story)


def test_is_copied__a_share__is_met_and_grows_without_giving_up_any() -> None:
    tenth, half = Shadow("v2", SLOTS // 10), Shadow("v2", SLOTS // 2)
    requests = [f"r{number}" for number in range(5_000)]
    few = {each for each in requests if is_copied(tenth, "s", each)}
    many = {each for each in requests if is_copied(half, "s", each)}
    assert few < many
    assert 400 < len(few) < 600  # 500 expected, deviation 21
    assert 2_300 < len(many) < 2_700


@pytest.mark.parametrize("path", ["/v1/chat/completions", RESPONSES])
@pytest.mark.parametrize("stream", [False, True])
def test_finished__tokens_and_first_token__are_measured_without_any_text(stream: bool, path: str) -> None:
    house = House(None)

    async def story() -> None:
        await house.ask(stream, path=path)

    run(house, story)
    [finished] = house.seen
    [answered] = house.tape.answered
    assert (finished.domain, finished.version, finished.status, finished.stream) == ("cards", "v1", 200, stream)
    assert finished.prompt_tokens == answered["prompt_tokens"] > 0
    assert finished.completion_tokens == answered["completion_tokens"] > 0
    assert answered["tokens_per_second"] == pytest.approx(answered["completion_tokens"] / answered["latency_ms"] * 1000)
    assert ("time_to_first_token_ms" in answered) == stream == (finished.first_token_s is not None)
    shown = render(house.app.telemetry.families())
    assert 'gen_ai_server_request_duration_seconds_count{gen_ai_operation_name="chat"' in shown
    assert ("gen_ai_server_time_to_first_token_seconds_count" in shown) == stream
    assert "secret" not in repr(finished)
