"""Similar questions: what must be equal to the letter, what may differ, and a threshold that keeps to its budget."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import orjson
import pytest
from caching_house import Counting, asking
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.caching.answers import AnswerCache
from bailiwick.caching.calibrate import calibrate, upper_bound
from bailiwick.caching.keys import question_of
from bailiwick.caching.lexical import gate_of
from bailiwick.caching.model import Asking, Outcome
from bailiwick.caching.neighbours import MOST, Neighbours, Question
from bailiwick.caching.similarity import WIDTH, Similarity
from bailiwick.domains.cache import AnswerCaching, SemanticCache
from bailiwick.models.model import LabelledText

SIMILARITY = Similarity()
SETTINGS = AnswerCaching(semantic=SemanticCache(0.75, 0.02))


def made(backend: Any, text: str, **more: Any) -> Asking:
    from dataclasses import replace

    more.setdefault("settings", SETTINGS)
    return replace(asking(backend, text, **more), similarity=SIMILARITY)


async def said(kept: AnswerCache, one: Asking) -> str:
    found = await kept.whole(one)
    document = orjson.loads(found) if isinstance(found, bytes) else found
    content: str = document["choices"][0]["message"]["content"]
    return content


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("transfer 100 to savings", "transfer 1000 to savings"),
        ("can I pay abroad", "can't I pay abroad"),
        ("is it not free", "is it free"),
        ("what does 'pending' mean", "what does 'failed' mean"),
        ("describe table core.card", "describe table core.account"),
        ("what is card_id", "what is cust_id"),
        ("did Ada get her card", "did Bob get her card"),
        ("I need two cards", "I need three cards"),
        ("what is an IBAN", "what is a BIC"),
        ("pay 5€ now", "pay 5$ now"),
    ],
)
def test_gate__what_changes_the_question__differs(one: str, other: str) -> None:
    assert gate_of(one) != gate_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where is my card?", "where is my new card"),
        ("Hello. Where is my card?", "hello where is the card"),
        ("WHERE IS MY CARD", "where is my card"),
        ("I don’t see it", "I don't see it at all"),
    ],
)
def test_gate__other_words_alone__are_equal(one: str, other: str) -> None:
    assert gate_of(one) == gate_of(other)


@given(st.text(max_size=300))
def test_gate_and_vectors__any_text__work(text: str) -> None:
    assert gate_of(text) == gate_of(text)
    vector = SIMILARITY.vectors([text])[0]
    assert np.isfinite(vector).all() and float(vector @ vector) <= 1.001


def test_similar_question__gets_the_kept_answer_and_is_told_so() -> None:
    async def story() -> None:
        backend, kept = Counting(), AnswerCache()
        await said(kept, made(backend, "where is my card"))
        one = made(backend, "where is my new card", request_id="r2")
        assert await said(kept, one) == "where is my card 1"
        assert one.told.outcome is Outcome.HIT
        assert one.told.similarity is not None and 0.75 <= one.told.similarity < 1
        assert (await said(kept, made(backend, "please close my account"))).endswith("2")
        assert kept.counters.of("semantic_hits", "cards") == 1

    asyncio.run(story())


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [{"role": "system", "content": "Be rude."}, {"role": "user", "content": "where is my new card"}]},
        {
            "messages": [
                {"role": "user", "content": "about loans"},
                {"role": "assistant", "content": "yes"},
                {"role": "user", "content": "where is my new card"},
            ]
        },
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"max_tokens": 9},
        {"version": "v2"},
        {"arm": b"other"},
        {"domain_seed": b"seed", "stream": True},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "where is my new card"}]}]},
    ],
)
def test_similar_question__another_context__is_another_question(change: dict[str, Any]) -> None:
    async def story() -> None:
        backend, kept = Counting(), AnswerCache()
        await said(kept, made(backend, "where is my card"))
        one = made(backend, "where is my new card", **change)
        if one.stream:
            assert [piece async for piece in kept.pieces(one)]
        else:
            await kept.whole(one)
        assert one.told.outcome is Outcome.MISS and one.told.similarity is None

    asyncio.run(story())


def test_similar_question__whose_answer_has_left__is_not_found() -> None:
    async def story() -> None:
        backend, kept = Counting(), AnswerCache()
        small = AnswerCaching(max_entries=1, semantic=SETTINGS.semantic)
        await said(kept, made(backend, "where is my card", settings=small))
        await said(kept, made(backend, "please close my account", settings=small))
        one = made(backend, "where is my new card", settings=small)
        assert (await said(kept, one)).endswith("3")
        found = kept._domains["cards"].neighbours
        assert found is not None and len(found) == len(kept._domains["cards"].store) == 1

    asyncio.run(story())


def test_local_model_and_other_operations__have_no_similar_questions() -> None:
    assert question_of(made(Counting(in_process=True), "hello")) is None
    assert question_of(made(Counting(), "hello", messages=[{"role": "assistant", "content": "x"}])) is None
    assert question_of(made(Counting(), "x" * 5_000)) is None


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.integers(0, 3)), max_size=80))
def test_neighbours__any_history__know_exactly_what_is_kept(history: list[tuple[int, bool, int]]) -> None:
    found = Neighbours(SIMILARITY)
    expected: dict[bytes, tuple[bytes, int]] = {}
    vectors = np.eye(31, WIDTH, dtype=np.float32)
    for number, leaves, context in history:
        key = b"key %d" % number
        if leaves:
            found.forget(key)
            expected.pop(key, None)
        else:
            found.add(Question(b"%d" % context, vectors[number]), key)
            expected[key] = (b"%d" % context, number)
    assert len(found) == len(expected)
    for key, (name, number) in expected.items():
        assert found.nearest(Question(name, vectors[number]), 0.9) == (key, 1.0)
    assert found.nearest(Question(b"nowhere", vectors[0]), 0.0) is None


def test_neighbours__too_many__stay_bounded() -> None:
    found = Neighbours(SIMILARITY)
    vector = SIMILARITY.vectors(["a question"])[0]
    for number in range(MOST + 50):
        found.add(Question(b"c", vector), b"%d" % number)
    assert len(found) == MOST


def _examples(count: int, mistaken: float) -> list[LabelledText]:
    """Questions in groups of one wording with small differences; a share of them carries another label."""
    generator = np.random.default_rng(5)
    words = ["".join(generator.choice(list("abcdefghijklmnop"), 7)) for _ in range(count)]
    made = []
    for number in range(count):
        group = number // 30
        label = "other" if generator.random() < mistaken else f"label {group}"
        made.append(LabelledText(" ".join([*words[group * 8 : group * 8 + 8], words[number][:2]]), label))
    return made


def test_calibrate__labels_agree__a_threshold_holds() -> None:
    found = calibrate(_examples(2_400, 0.0), Similarity(), max_wrong=0.05)
    assert found.holds and found.threshold is not None
    assert found.hits >= 300 and found.wrong / found.hits < 0.02 and found.at_most <= 0.05


def test_calibrate__labels_disagree_among_alike_questions__no_threshold_holds() -> None:
    found = calibrate(_examples(2_400, 0.3), Similarity(), max_wrong=0.05)
    assert not found.holds


def test_calibrate__few_examples__prove_nothing() -> None:
    assert not calibrate(_examples(24, 0.0), Similarity(), max_wrong=0.05).holds
    assert not calibrate(_examples(120, 0.0), Similarity(), max_wrong=0.001).holds


def test_upper_bound__golden_numbers_of_the_rule_of_three() -> None:
    assert upper_bound(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100))
    assert upper_bound(0, 0) == 1.0
