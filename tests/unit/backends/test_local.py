from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pytest

from bailiwick.backends.local import INLINE_CHARACTERS, MAX_CHARACTERS, LocalBackend
from bailiwick.backends.model import Call, Operation
from bailiwick.backends.text import content_text, estimate_tokens, last_user_text
from bailiwick.clock import VirtualClock
from bailiwick.errors import InvalidInput
from bailiwick.models.model import ModelCard

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Lengths:
    """Reads a text by its length, so that rows differ: even lengths are mostly ``even``."""

    card = ModelCard("lengths", ("even", "odd", "other"), 0)

    def predict(self, texts: Any) -> Any:
        return np.array([[0.7, 0.2, 0.1] if len(text) % 2 == 0 else [0.25, 0.65, 0.1] for text in texts])

    def familiarity(self, texts: Any) -> Any:
        return np.ones(len(texts))


def answer(operation: Operation, **body: Any) -> Any:
    backend = LocalBackend(Lengths(), domain="d", version="v", clock=VirtualClock(NOW))
    return asyncio.run(backend.answer(Call(operation, body, "r1")))


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_chat__answers_the_last_user_message() -> None:
    found = answer(Operation.CHAT, messages=[*said("abc"), {"role": "assistant", "content": "x"}, *said("ab")])
    assert found["choices"][0]["message"]["content"] == "even"
    assert (found["id"], found["model"], found["created"]) == ("chatcmpl-r1", "d@v", int(NOW.timestamp()))


@pytest.mark.parametrize("kind", ["grammar", None, ["json_object"]])
def test_chat__format_that_no_classifier_has__refused(kind: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        answer(Operation.CHAT, messages=said("abc"), response_format={"type": kind})
    assert caught.value.what == "response_format.type"


def test_chat__json__label_and_alternatives_by_confidence() -> None:
    found = answer(Operation.CHAT, messages=said("abc"), response_format={"type": "json_schema", "json_schema": {}})
    assert orjson.loads(found["choices"][0]["message"]["content"]) == {
        "domain": "d",
        "label": "odd",
        "confidence": 0.65,
        "alternatives": [{"label": "even", "confidence": 0.25}, {"label": "other", "confidence": 0.1}],
    }


@pytest.mark.parametrize("length", [INLINE_CHARACTERS, INLINE_CHARACTERS + 2, MAX_CHARACTERS])
def test_chat__short_and_long_texts__same_answer_inline_and_in_a_thread(length: int) -> None:
    assert answer(Operation.CHAT, messages=said("x" * length))["choices"][0]["message"]["content"] == "even"


def test_chat__longer_than_any_query__refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        answer(Operation.CHAT, messages=said("x" * (MAX_CHARACTERS + 1)))
    assert caught.value.allowed == MAX_CHARACTERS


def test_completion__logprobs_zero__the_labels_own() -> None:
    scores = answer(Operation.COMPLETION, prompt="ab", logprobs=0)["choices"][0]["logprobs"]
    assert scores["token_logprobs"] == [pytest.approx(np.log(0.7))]
    assert scores["top_logprobs"] == [{}]


def test_embedding__is_the_root_of_the_probabilities__unit_length_in_both_encodings() -> None:
    plain = answer(Operation.EMBEDDING, input=["ab", "abc"])["data"]
    assert plain[0]["embedding"] == pytest.approx(np.sqrt([0.7, 0.2, 0.1]))
    packed = answer(Operation.EMBEDDING, input=["ab", "abc"], encoding_format="base64")["data"]
    vector = np.frombuffer(base64.b64decode(packed[1]["embedding"]), "<f4")
    assert vector == pytest.approx(plain[1]["embedding"], abs=1e-6)
    assert float(vector @ vector) == pytest.approx(1)


def test_text__parts_and_roles() -> None:
    assert content_text(None) == ""
    assert content_text([{"type": "image_url"}, {"type": "text", "text": "a"}]) == "a"
    assert last_user_text([{"role": "system", "content": "s"}]) == "s"
    assert estimate_tokens("") == 0
