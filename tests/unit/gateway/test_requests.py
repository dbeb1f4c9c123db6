from __future__ import annotations

import json
from typing import Any

import pytest

from bailiwick.backends.model import Operation
from bailiwick.errors import InvalidInput
from bailiwick.gateway.requests import parse_feedback, parse_object, parse_request

HELLO = [{"role": "user", "content": "hi"}]
NESTED = b"[" * 70 + b"]" * 70


def chat(**fields: Any) -> bytes:
    return json.dumps({"model": "cards", "messages": HELLO, **fields}).encode()


def test_chat__well_formed__model_version_text_and_unknown_fields() -> None:
    parts = [{"type": "text", "text": "lost"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "card"}]
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": parts}, {"role": "assistant"}]
    request = parse_request(Operation.CHAT, chat(model="cards@v2", messages=messages, user="ada", my_field=[1]))
    assert (request.model, request.version, request.text, request.unit) == ("cards", "v2", "lost card", "ada")
    assert request.body["my_field"] == [1]


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b'"text"', "body"),
        (b'{"model": NaN}', "body"),
        (b"\xff\xfe", "body"),
        (b'{"model": "cards", "messages": ' + NESTED + b"}", "body"),
        (b'{"a": ' + b"[" * 100_000, "body"),
        (b"{}", "model"),
        (chat(model=7), "model"),
        (chat(model=""), "model"),
        (chat(model="x" * 300), "model"),
        (chat(model="auto@v1"), "model"),
        (chat(model="cards@"), "model"),
        (chat(messages=None), "messages"),
        (chat(messages=[]), "messages"),
        (chat(messages={}), "messages"),
        (chat(messages=HELLO * 3000), "messages"),
        (chat(messages=["hi"]), "messages.0"),
        (chat(messages=[{"role": "king", "content": "x"}]), "messages.0.role"),
        (chat(messages=[{"role": [], "content": "x"}]), "messages.0.role"),
        (chat(messages=[*HELLO, {"role": "user"}]), "messages.1.content"),
        (chat(messages=[{"role": "user", "content": 7}]), "messages.0.content"),
        (chat(messages=[{"role": "user", "content": []}]), "messages.0.content"),
        (chat(messages=[{"role": "user", "content": [{"text": "x"}]}]), "messages.0.content"),
        (chat(messages=[{"role": "user", "content": [{"type": "text", "text": 7}]}]), "messages.0.content"),
        (chat(stream="yes"), "stream"),
        (chat(stream=1), "stream"),
        (chat(user=7), "user"),
        (chat(user="x" * 1000), "user"),
        (chat(n=0), "n"),
        (chat(n=True), "n"),
        (chat(logprobs=1), "logprobs"),
        (chat(top_logprobs=2), "top_logprobs"),
        (chat(logprobs=True, top_logprobs=21), "top_logprobs"),
        (chat(response_format="json"), "response_format"),
        (chat(response_format={"type": 1}), "response_format.type"),
        (chat(stream_options={"include_usage": True}), "stream_options"),
    ],
)
def test_chat__bad_body__invalid_input_names_the_field(raw: bytes, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_request(Operation.CHAT, raw)
    assert caught.value.what == field


@pytest.mark.parametrize("prompt", ["hi", ["a", "b"], [1, 2], [[1], [2]]])
def test_completion__every_kind_of_prompt__accepted(prompt: Any) -> None:
    raw = json.dumps({"model": "cards", "prompt": prompt}).encode()
    assert parse_request(Operation.COMPLETION, raw).text in ("hi", "a", "")


@pytest.mark.parametrize("value", [None, [], {}, 7, ["a", 1], [[]], [["a"]], [True], ["x"] * 3000])
def test_embedding__bad_input__named(value: Any) -> None:
    raw = json.dumps({"model": "cards", "input": value}).encode()
    with pytest.raises(InvalidInput) as caught:
        parse_request(Operation.EMBEDDING, raw)
    assert caught.value.what == "input"


@pytest.mark.parametrize(
    "fields", [{"encoding_format": "hex"}, {"dimensions": 0}, {"dimensions": "3"}, {"stream": True}]
)
def test_embedding__bad_options__named(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_request(Operation.EMBEDDING, json.dumps({"model": "cards", "input": "x", **fields}).encode())
    assert caught.value.what in fields


def test_object__deep_but_within_the_limit__accepted() -> None:
    raw = b'{"a": ' + b"[" * 60 + b"]" * 60 + b"}"
    assert "a" in parse_object(raw)


def test_feedback__id_of_the_answer__is_the_request_id() -> None:
    body = {"request_id": "chatcmpl-r1", "model": "cards@v1", "value": True}
    feedback = parse_feedback(json.dumps(body).encode())
    assert (feedback.request_id, feedback.domain, feedback.version, feedback.value) == ("r1", "cards", "v1", 1.0)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "request_id"),
        ({"request_id": 7}, "request_id"),
        ({"request_id": "r", "value": "good"}, "value"),
        ({"request_id": "r", "rating": 1}, "rating"),
        ({"request_id": "r", "model": "@"}, "model"),
        ({"request_id": "r", "comment": 7}, "comment"),
    ],
)
def test_feedback__bad_body__named(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_feedback(json.dumps(body).encode())
    assert caught.value.what == field
