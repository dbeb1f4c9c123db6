"""What a member's answer says: its text, its label with confidence, and whether it is of use. Pure."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import orjson

from bailiwick.backends.model import Operation
from bailiwick.errors import InvalidInput

_SPACES = re.compile(r"\s+")
_EDGES = " \t\r\n.,;:!?\"'`*"
_FENCE = re.compile(r"^```[a-z]*\s*(.*?)\s*```$", re.DOTALL)
_UNKNOWN_CONFIDENCE = 0.5
_MOST_LABEL = 200


def text_of(operation: Operation, document: Mapping[str, Any]) -> str:
    """The text of an answer's first choice; empty where there is none.

    >>> text_of(Operation.COMPLETION, {"choices": [{"text": "yes"}]})
    'yes'
    """
    try:
        if operation is Operation.RESPONSE:
            parts = [part for item in document["output"] for part in item.get("content") or ()]
            return "".join(part["text"] for part in parts if part.get("type") == "output_text")
        choice = document["choices"][0]
        said = choice["text"] if operation is Operation.COMPLETION else choice["message"]["content"]
    except (KeyError, IndexError, TypeError, AttributeError):
        return ""
    return said if isinstance(said, str) else ""


def is_good(operation: Operation, document: Mapping[str, Any], *, as_json: bool) -> bool:
    """Whether an answer can be given to the client: it says something, was not filtered, and is JSON where asked for.

    >>> is_good(Operation.CHAT, {"choices": [{"message": {"content": "{"}}]}, as_json=True)
    False
    """
    text = text_of(operation, document)
    if _calls_tools(document):
        return True
    if not text.strip() or _finish(document) == "content_filter":
        return False
    return not as_json or _object(text) is not None


def normalised(text: str) -> str:
    """What two answers must share to be the same: words without case, accents' forms, quotes, ends and spaces.

    JSON is compared as JSON, numbers by their value.

    >>> normalised(" Paris. "), normalised('{"b":1, "a": 2}') == normalised('{"a":2,"b":1.0}'), normalised("1,200.0")
    ('paris', True, '1200')
    """
    plain = unicodedata.normalize("NFKC", _unfenced(text)).strip(_EDGES).casefold()
    found = _object(_unfenced(text).strip())
    if found is not None:
        return orjson.dumps(_even(found), option=orjson.OPT_SORT_KEYS).decode()
    try:
        value = float(plain.replace(",", ""))
    except ValueError:
        return _SPACES.sub(" ", plain)
    return f"{value:.12g}" if math.isfinite(value) else plain


def label_of(document: Mapping[str, Any]) -> dict[str, float]:
    """Labels with probabilities, as a chat answer says them: JSON with label, confidence and alternatives, or a label.

    A bare label's confidence is that of its log-probabilities, where they came along, else a half.

    Raises:
        InvalidInput: it says no label.

    >>> label_of({"choices": [{"message": {"content": '{"label": "a", "confidence": 0.9}'}}]})
    {'a': 0.9}
    """
    text = text_of(Operation.CHAT, document).strip()
    found = _object(_unfenced(text))
    if found is None:
        bare = text.strip(_EDGES)
        if not bare or len(bare) > _MOST_LABEL:
            raise InvalidInput("the answer names no label", what="label", requested=text[:100])
        return {bare: _confidence(document)}
    label = found.get("label")
    if not isinstance(label, str) or not label:
        raise InvalidInput("the answer names no label", what="label", requested=text[:100])
    said = {label: _probability(found.get("confidence"), _UNKNOWN_CONFIDENCE)}
    alternatives = found.get("alternatives")
    for each in alternatives if isinstance(alternatives, list) else ():
        if isinstance(each, dict) and isinstance(each.get("label"), str):
            said.setdefault(each["label"], _probability(each.get("confidence"), 0.0))
    total = sum(said.values())
    return {name: value / total for name, value in said.items()} if total > 1 else said


def confidence_of(operation: Operation, document: Mapping[str, Any]) -> float | None:
    """How sure an answer is: the ``confidence`` of its JSON, else the mean probability of its tokens; None: unknown."""
    found = _object(text_of(operation, document).strip())
    if found is not None and isinstance(found.get("confidence"), int | float):
        return _probability(found["confidence"], _UNKNOWN_CONFIDENCE)
    logs = _logprobs(document)
    return math.exp(sum(logs) / len(logs)) if logs else None


def _confidence(document: Mapping[str, Any]) -> float:
    logs = _logprobs(document)
    return math.exp(max(-700.0, sum(logs))) if logs else _UNKNOWN_CONFIDENCE


def _logprobs(document: Mapping[str, Any]) -> list[float]:
    try:
        found = document["choices"][0]["logprobs"]["content"]
        logs = [float(token["logprob"]) for token in found]
    except (KeyError, IndexError, TypeError, ValueError):
        return []
    return [min(0.0, each) for each in logs if math.isfinite(each)]


def _finish(document: Mapping[str, Any]) -> object:
    try:
        return document["choices"][0].get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        return None


def _calls_tools(document: Mapping[str, Any]) -> bool:
    try:
        return bool(document["choices"][0]["message"].get("tool_calls"))
    except (KeyError, IndexError, TypeError, AttributeError):
        return False


def _unfenced(text: str) -> str:
    fenced = _FENCE.match(text.strip())
    return fenced[1] if fenced else text


def _object(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _probability(value: Any, otherwise: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return otherwise
    return min(1.0, max(0.0, float(value)))


def _even(value: Any) -> Any:
    """Whole numbers and floats of the same value as one; text without case and spaces at its ends."""
    if isinstance(value, dict):
        return {key: _even(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_even(each) for each in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value.strip().casefold() if isinstance(value, str) else value
