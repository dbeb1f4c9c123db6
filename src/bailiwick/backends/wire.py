"""A classifier's readings as OpenAI objects: chat completions, text completions, embeddings, stream events. Pure."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from bailiwick.backends.model import Reading

DONE = b"data: [DONE]\n\n"
_SMALLEST = 1e-300


def event(document: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + orjson.dumps(document) + b"\n\n"


def wants_json(body: dict[str, Any]) -> bool:
    """Whether ``response_format`` asks for a JSON object."""
    wanted = body.get("response_format")
    return isinstance(wanted, dict) and wanted.get("type") in ("json_object", "json_schema")


def content_of(reading: Reading, domain: str, *, as_json: bool) -> str:
    """What the assistant says: the label, or the label with its confidence and alternatives as JSON."""
    if not as_json:
        return reading.label
    document = {
        "domain": domain,
        "label": reading.label,
        "confidence": round(reading.confidence, 6),
        "alternatives": [{"label": label, "confidence": round(p, 6)} for label, p in reading.ranking[1:6]],
    }
    return orjson.dumps(document).decode()


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """The usage object."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def chat_logprobs(reading: Reading, content: str, top: int) -> dict[str, Any]:
    """The whole content as one token with the label's log-probability, and the top labels as its alternatives."""
    entries = [_token(label, p) for label, p in reading.ranking[:top]]
    return {"content": [_token(content, reading.confidence) | {"top_logprobs": entries}], "refusal": None}


def completion_logprobs(reading: Reading, top: int) -> dict[str, Any]:
    """As `chat_logprobs`, in the shape of text completions."""
    return {
        "tokens": [reading.label],
        "token_logprobs": [_log(reading.confidence)],
        "top_logprobs": [{label: _log(p) for label, p in reading.ranking[:top]}],
        "text_offset": [0],
    }


def _token(text: str, probability: float) -> dict[str, Any]:
    return {"token": text, "logprob": _log(probability), "bytes": list(text.encode())}


def _log(probability: float) -> float:
    return math.log(max(probability, _SMALLEST))


def embeddings(vectors: NDArray[np.float64], *, model: str, tokens: int, encoding: str = "float") -> dict[str, Any]:
    """The answer to an embeddings request.

    Args:
        vectors: shape ``(texts, dimensions)``.
        model: what the answer names as its model.
        tokens: of all inputs together.
        encoding: ``float``, or ``base64`` for little-endian float32 as the official client asks for.
    """
    return {
        "object": "list",
        "model": model,
        "data": [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, encoding)}
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _encoded(vector: NDArray[np.float64], encoding: str) -> str | list[float]:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    values: list[float] = vector.tolist()
    return values


def chat_events(head: dict[str, Any], content: str, logprobs: Any, counted: dict[str, int] | None) -> bytes:
    """A chat answer as events: role, content, finish, the usage where asked for, done.

    Args:
        head: ``id``, ``created`` and ``model``, repeated in each event.
        content: what the assistant says.
        logprobs: of the content, or None.
        counted: the usage, where ``stream_options.include_usage`` is set.
    """
    head = head | {"object": "chat.completion.chunk"}

    def chunk(delta: dict[str, Any], finish: str | None = None, scores: Any = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": scores, "finish_reason": finish}
        return event(head | {"choices": [choice]})

    pieces = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": content}, None, logprobs),
        chunk({}, "stop"),
    ]
    return b"".join([*pieces, *_usage_event(head, counted), DONE])


def completion_events(head: dict[str, Any], choices: Sequence[dict[str, Any]], counted: dict[str, int] | None) -> bytes:
    """Text completions as events: one per choice, the usage where asked for, done."""
    head = head | {"object": "text_completion"}
    pieces = [event(head | {"choices": [choice]}) for choice in choices]
    return b"".join([*pieces, *_usage_event(head, counted), DONE])


def _usage_event(head: dict[str, Any], counted: dict[str, int] | None) -> list[bytes]:
    return [] if counted is None else [event(head | {"choices": [], "usage": counted})]
