from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from caching_house import asking
from ensembles import Outside, chat, content, ensemble, inside
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.backends.ensemble.board import Board, SeatKey
from bailiwick.backends.ensemble.round import QuorumMissing
from bailiwick.backends.ensemble.standing import Rules, State
from bailiwick.backends.model import Call, Operation
from bailiwick.caching.answers import AnswerCache
from bailiwick.caching.model import Outcome
from bailiwick.errors import InvalidInput
from bailiwick.models.ensemble.quality import BUCKETS, Quality
from bailiwick.models.ensemble.selection import Limits
from bailiwick.models.ensemble.spec import LABELS, MemberSpec, Strategy

AS_JSON = {"response_format": {"type": "json_object"}}


def answered(backend: Any, call: Call | None = None) -> dict[str, Any]:
    found: dict[str, Any] = asyncio.run(backend.answer(call or chat()))
    return found


def test_vote__classifiers_in_process__label_members_and_summed_usage() -> None:
    backend = ensemble(Strategy.VOTE, inside(a=0.9, b=0.1), inside(a=0.2, b=0.8), inside(a=0.7, b=0.3), quorum=2)
    call = chat("two words", **AS_JSON)
    found = answered(backend, call)
    said = json.loads(content(found))
    assert (said["label"], said["domain"]) == ("a", "cards")
    assert said["confidence"] == pytest.approx(0.6, abs=1e-6)
    assert found["model"] == "cards@e1"
    assert found["bailiwick"]["agreed"] == ["cards@m0", "cards@m2"]
    assert [part["label"] for part in found["bailiwick"]["members"]] == ["a", "b", "a"]
    assert found["usage"] == {"prompt_tokens": 6, "completion_tokens": 3, "total_tokens": 9}
    assert (call.usage.prompt_tokens, call.usage.completion_tokens) == (6, 3)
    assert backend.in_process


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(sorted(LABELS)),
    st.lists(st.floats(0.01, 0.99), min_size=1, max_size=5),
    st.randoms(use_true_random=False),
)
def test_labels__members_in_another_order__the_same_answer(strategy: Strategy, sure: list[float], order: Any) -> None:
    def label(chances: Sequence[float]) -> tuple[str, float]:
        backend = ensemble(strategy, *(inside(a=chance, b=1 - chance) for chance in chances))
        said = json.loads(content(answered(backend, chat(**AS_JSON))))
        return said["label"], said["confidence"]

    shuffled = list(sure)
    order.shuffle(shuffled)
    assert label(sure) == label(shuffled)


def test_vote__every_operation__answered_in_its_shape() -> None:
    backend = ensemble(Strategy.AVERAGE, inside(a=0.9, b=0.1), inside(a=0.7, b=0.3))
    whole = answered(backend, Call(Operation.COMPLETION, {"prompt": ["x", "y"]}, "r"))
    assert [choice["text"] for choice in whole["choices"]] == ["a", "a"]
    response = answered(backend, Call(Operation.RESPONSE, {"input": "x"}, "r"))
    assert response["output"][0]["content"][0]["text"] == "a"
    assert response["usage"]["input_tokens"] == 2
    vectors = answered(backend, Call(Operation.EMBEDDING, {"input": ["x"]}, "r"))
    assert np.square(vectors["data"][0]["embedding"]).tolist() == pytest.approx([0.8, 0.2])


@pytest.mark.parametrize("operation", [Operation.CHAT, Operation.COMPLETION, Operation.RESPONSE])
def test_stream__decided_answer__as_events(operation: Operation) -> None:
    backend = ensemble(Strategy.MAJORITY, inside(a=0.9, b=0.1), Outside('{"label": "a", "confidence": 0.7}'))
    body = {**chat().body, "prompt": "x", "input": "x", "stream": True, "stream_options": {"include_usage": True}}

    async def story() -> bytes:
        return b"".join([piece async for piece in backend.stream(Call(operation, body, "r1"))])

    events = asyncio.run(story())
    assert b'"a"' in events
    assert events.endswith(b"data: [DONE]\n\n") or b"response.completed" in events
    outside = backend.members[1].backend
    assert isinstance(outside, Outside)
    assert "stream" not in outside.calls[0].body
    assert outside.calls[0].body["messages"][-1]["content"] == "x"


def test_vote__a_member_outside_names_a_new_label__it_can_win() -> None:
    backend = ensemble(
        Strategy.VOTE, inside(a=0.5, b=0.5), Outside('{"label": "c", "confidence": 0.9}'), Outside("c"), quorum=2
    )
    found = answered(backend, chat(**AS_JSON))
    assert json.loads(content(found))["label"] == "c"
    assert not backend.in_process
    outside = [part for part in found["bailiwick"]["members"] if part["member"] == "cards@m1"]
    assert outside[0]["usage"] == {"prompt_tokens": 3, "completion_tokens": 2}


def test_vote__members_fail_or_hang__the_quorum_answers_at_the_deadline() -> None:
    stuck, failing = Outside("a", stuck=True), Outside(fails=True)
    backend = ensemble(Strategy.VOTE, Outside("a"), Outside("a"), failing, stuck, quorum=2, deadline_ms=500.0)
    found = answered(backend)
    assert content(found) == "a"
    failed = {part["member"]: part["failed"] for part in found["bailiwick"]["members"] if "failed" in part}
    assert failed == {"cards@m2": "upstream_failed", "cards@m3": "timeout"}
    seats = {member.name: member.seat for member in backend.members}
    assert (seats["cards@m3"].failures, seats["cards@m0"].failures) == (1, 0)


def test_vote__fewer_than_the_quorum__a_typed_503_that_names_them() -> None:
    backend = ensemble(Strategy.VOTE, Outside("a"), Outside(fails=True), Outside(fails=True), quorum=2)
    with pytest.raises(QuorumMissing) as refused:
        answered(backend)
    assert refused.value.status == 503
    assert "1 of 3 members" in str(refused.value) and "cards@m1: scripted failure" in str(refused.value)


def test_vote__the_client_leaves__no_member_is_blamed() -> None:
    backend = ensemble(Strategy.VOTE, Outside("a", after_s=30), Outside("a", after_s=30))

    async def story() -> None:
        task = asyncio.ensure_future(backend.answer(chat()))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.02)

    asyncio.run(story())
    assert [(member.seat.failures, member.seat.under_way) for member in backend.members] == [(0, 0), (0, 0)]


def test_vote__everybody_refuses_the_request__the_clients_error_and_nobody_is_blamed() -> None:
    backend = ensemble(Strategy.VOTE, inside(a=0.5, b=0.5), inside(a=0.5, b=0.5))
    with pytest.raises(InvalidInput):
        answered(backend, Call(Operation.EMBEDDING, {"input": [1, 2]}, "r"))
    long = chat("x" * 100_001)
    with pytest.raises(InvalidInput, match="too many"):
        answered(backend, long)
    assert all(member.seat.failures == 0 for member in backend.members)


def test_switching__a_member_that_keeps_failing__benched_probed_and_back() -> None:
    now = [0.0]
    board = Board(rules=Rules(growing_s=0.0), clock_s=lambda: now[0])
    flaky = Outside('{"label": "b", "confidence": 1.0}', fails=True)
    backend = ensemble(Strategy.VOTE, inside(a=0.9, b=0.1), inside(a=0.8, b=0.2), flaky, quorum=2, board=board)
    seat = board.seat("cards", SeatKey("cards@e1", "cards@m2"))

    async def ask() -> dict[str, Any]:
        found: dict[str, Any] = await backend.answer(chat())
        await asyncio.sleep(0)  # a probe runs beside
        await asyncio.sleep(0.001)
        return found

    async def story() -> None:
        for _ in range(5):
            await ask()
        assert seat.standing.state is State.BENCHED
        calls = len(flaky.calls)
        assert len((await ask())["bailiwick"]["members"]) == 2
        assert len(flaky.calls) == calls, "not asked during the pause"
        flaky.fails = False
        for _ in range(3):
            now[0] += 3.0
            found = await ask()
            assert content(found) == "a", "a probe does not count"
        assert seat.standing.state is State.ACTIVE
        found = await ask()
        assert len(found["bailiwick"]["members"]) == 3

    asyncio.run(story())
    assert seat.benchings == 1


def test_stacking__a_member_is_benched__the_others_are_no_less_sure() -> None:
    now = [0.0]
    board = Board(clock_s=lambda: now[0])
    flaky = Outside("b", fails=True)
    backend = ensemble(Strategy.STACKING, inside(a=0.8, b=0.2), inside(a=0.8, b=0.2), flaky, quorum=2, board=board)

    async def sure() -> float:
        return float(json.loads(content(await backend.answer(chat(**AS_JSON))))["confidence"])

    async def story() -> None:
        failing = await sure()
        for _ in range(5):
            await sure()
        assert board.seat("cards", SeatKey("cards@e1", "cards@m2")).standing.state is State.BENCHED
        assert await sure() == pytest.approx(failing, abs=1e-6)

    asyncio.run(story())


def test_cache__a_member_fails_then_is_benched__the_answer_is_passing_then_kept_apart() -> None:
    now = [0.0]
    board = Board(clock_s=lambda: now[0])
    flaky = Outside("b", fails=True)
    flaky.identity = "flaky"  # type: ignore[attr-defined]
    backend = ensemble(Strategy.VOTE, inside(a=0.9, b=0.1), inside(a=0.8, b=0.2), flaky, quorum=2, board=board)
    backend._whole_identity = "all three"
    for _ in range(6):
        call = chat()
        assert backend.identity == "all three"
        answered(backend, call)
        assert call.usage.passing
        if not board.seat("cards", SeatKey("cards@e1", "cards@m2")).active:
            break
    call = chat()
    answered(backend, call)
    assert not call.usage.passing
    assert backend.identity == "all three\nwithout\ncards@m2"


def test_switching__too_few_active_for_the_quorum__benched_ones_are_asked() -> None:
    board = Board()
    flaky = Outside("a", fails=True)
    backend = ensemble(Strategy.VOTE, flaky, quorum=1, board=board)
    for _ in range(6):
        with pytest.raises(QuorumMissing):
            answered(backend)
    flaky.fails = False
    assert content(answered(backend)) == "a"


def test_observe__each_member_once__and_the_ensemble_not_at_all() -> None:
    seen: list[tuple[str, str, str, float, str]] = []

    def observe(domain: str, version: str, metric: str, value: float, *, arm: str = "") -> bool:
        seen.append((domain, version, metric, value, arm))
        return True

    backend = ensemble(Strategy.VOTE, inside(a=1.0, b=0.0), Outside(fails=True), board=Board(observe))
    answered(backend)
    failed = [each for each in seen if each[2] == "member_failed"]
    assert sorted(failed) == [
        ("cards", "m0", "member_failed", 0.0, "ensemble"),
        ("cards", "m1", "member_failed", 1.0, "ensemble"),
    ]
    assert {each[2] for each in seen} == {"member_failed", "member_latency_ms"}


CHEAP, DEAR = MemberSpec("cards", "m0", threshold=0.8, cost=1.0), MemberSpec("cards", "m1", cost=10.0)


@pytest.mark.parametrize(("sure", "label", "asked"), [(0.9, "a", 1), (0.7, "b", 2)])
def test_cascade__in_process__escalates_below_the_threshold(sure: float, label: str, asked: int) -> None:
    backend = ensemble(Strategy.CASCADE, inside(a=sure, b=1 - sure), inside(a=0.1, b=0.9), specs=[CHEAP, DEAR])
    found = answered(backend)
    assert content(found) == label
    assert len(found["bailiwick"]["members"]) == asked


def test_cascade__a_classifier_then_a_model_outside__asked_only_when_needed() -> None:
    outside = Outside("A long answer.")
    sure = ensemble(Strategy.CASCADE, inside(a=0.9, b=0.1), outside, specs=[CHEAP, DEAR])
    assert content(answered(sure)) == "a"
    assert not outside.calls
    unsure = ensemble(Strategy.CASCADE, inside(a=0.6, b=0.4), outside, specs=[CHEAP, DEAR])
    found = answered(unsure)
    assert content(found) == "A long answer."
    assert found["bailiwick"]["agreed"] == ["cards@m1"]


def test_cascade__everybody_behind_fails__the_unsure_answer_is_given() -> None:
    backend = ensemble(Strategy.CASCADE, inside(a=0.6, b=0.4), Outside(fails=True), specs=[CHEAP, DEAR])
    found = answered(backend)
    assert content(found) == "a"
    assert found["bailiwick"]["why"] == "nobody after it answered"


def test_cascade__a_stuck_first_member__leaves_time_for_the_next() -> None:
    backend = ensemble(Strategy.CASCADE, Outside("x", stuck=True), Outside("b"), specs=[CHEAP, DEAR], deadline_ms=800.0)
    assert content(answered(backend)) == "b"
    assert backend.members[0].seat.failures == 1


def even(members: int) -> Quality:
    return Quality(np.linspace(0.5, 1.5, members), np.zeros((members, BUCKETS)))


def test_select__limits__another_member_and_a_refusal_by_name() -> None:
    backend = ensemble(
        Strategy.SELECT,
        inside(a=1.0, b=0.0),
        inside(a=0.0, b=1.0),
        specs=[replace(CHEAP, threshold=None), DEAR],
        quality=even(2),
    )
    assert content(answered(backend)) == "b"
    assert content(answered(backend, chat(limits=Limits(max_cost=0.005)))) == "a"
    with pytest.raises(InvalidInput, match="no member costs as little"):
        answered(backend, chat(limits=Limits(max_cost=0.0001)))


def test_select__the_best_fails__the_next_answers() -> None:
    backend = ensemble(Strategy.SELECT, Outside("small"), Outside(fails=True), quality=even(2))
    found = answered(backend)
    assert content(found) == "small"
    assert [part.get("failed") for part in found["bailiwick"]["members"]] == ["upstream_failed", None]


def test_select__feedback_finds_the_best_wrong__another_is_chosen() -> None:
    specs = [MemberSpec("cards", "m0", accuracy=0.9), MemberSpec("cards", "m1", accuracy=0.9)]
    backend = ensemble(Strategy.SELECT, Outside("one"), Outside("two"), specs=specs, quality=even(2))
    assert content(answered(backend)) == "two"
    for _ in range(15):
        backend.members[1].seat.judged(right=False)
    assert content(answered(backend)) == "one"


def test_first_good__failing_empty_and_broken_json__the_first_usable_answer() -> None:
    backend = ensemble(
        Strategy.FIRST_GOOD, Outside(fails=True), Outside(" "), Outside("{no json"), Outside('{"ok": 1}'), Outside("x")
    )
    found = answered(backend, chat(**AS_JSON))
    assert content(found) == '{"ok": 1}'
    assert len(found["bailiwick"]["members"]) == 4


def test_agree__self_consistency__the_most_common_answer() -> None:
    backend = ensemble(Strategy.AGREE, Outside("43"), Outside("42."), Outside(" 42"), quorum=2)
    found = answered(backend)
    assert content(found) == "42."
    assert found["bailiwick"]["agreed"] == ["cards@m1", "cards@m2"]
    assert found["usage"]["total_tokens"] == 15


class Judge(Outside):
    """Picks the answer with a word in it."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self._word = word

    async def answer(self, call: Call) -> dict[str, Any]:
        listed = call.body["messages"][1]["content"].split("\n\n")[1:]
        best = next(each for each in listed if self._word in each)[len("Answer ")]
        self.says = json.dumps({"best": best, "reason": "r"})
        return await super().answer(call)


def test_best_of__a_judge_that_prefers_a_word__that_answer_whatever_its_place() -> None:
    for request in range(10):
        backend = ensemble(Strategy.BEST_OF, Outside("bad"), Outside("good one"), Outside("bad"), judge=Judge("good"))
        found = answered(backend, chat(request_id=f"r{request}"))
        assert content(found) == "good one"
        assert found["bailiwick"]["judge"] == "judges@j"
        assert found["usage"]["total_tokens"] == 20, "the judge's tokens count"


@pytest.mark.parametrize(
    ("judge", "words"),
    [(Outside("no idea"), "gave no verdict"), (Outside(fails=True), "failed"), (Outside(stuck=True), "too slow")],
)
def test_best_of__no_verdict__the_majority_decides_and_it_is_said(judge: Outside, words: str) -> None:
    backend = ensemble(Strategy.BEST_OF, Outside("x"), Outside("y"), Outside("y"), judge=judge, deadline_ms=1_000.0)
    found = answered(backend)
    assert content(found) == "y"
    assert words in found["bailiwick"]["judge"]


def test_answer__members_are_missing_here__503_instead_of_a_lesser_quorum() -> None:
    backend = ensemble(Strategy.VOTE, inside(a=1.0, b=0.0), inside(a=1.0, b=0.0), quorum=2)
    with pytest.raises(Exception, match="1 of the 2 members"):
        answered(backend.bound(backend.members[:1], None))


def test_identity__a_member_that_says_nothing_of_itself__answers_are_not_kept() -> None:
    assert ensemble(Strategy.VOTE, inside(a=1.0), quorum=1).identity == ""


@pytest.mark.parametrize("stream", [False, True])
def test_kept__an_answer_that_a_member_had_no_part_in__is_not(stream: bool) -> None:
    flaky = Outside("x", fails=True)
    backend = ensemble(Strategy.MAJORITY, Outside("x"), Outside("x"), flaky, quorum=2)

    async def story() -> list[Outcome | None]:
        kept, seen = AnswerCache(), []
        for number in range(3):
            flaky.fails = number == 0
            one = asking(backend, stream=stream)
            if stream:
                assert [piece async for piece in kept.pieces(one)]
            else:
                assert await kept.whole(one)
            seen.append(one.told.outcome)
        return seen

    assert asyncio.run(story()) == [Outcome.MISS, Outcome.MISS, Outcome.HIT]
