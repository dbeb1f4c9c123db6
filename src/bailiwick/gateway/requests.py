"""Request bodies, checked before anything acts on them. Pure. What Bailiwick does not know is kept for upstreams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from bailiwick.backends.model import Operation
from bailiwick.backends.responses import messages_of
from bailiwick.backends.text import content_text, last_user_text
from bailiwick.errors import InvalidInput
from bailiwick.gateway.model import FeedbackRequest, ModelRequest

MAX_DEPTH = 64
MAX_MESSAGES = 2_048
MAX_INPUTS = 2_048
MAX_NAME = 200
MAX_UNIT = 512
MAX_TIMEOUT_MS = 3_600_000
TIMEOUT_HEADER = b"x-request-timeout-ms"
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_FEEDBACK = frozenset({"request_id", "model", "value", "metric", "label", "comment"})


def parse_object(raw: bytes) -> dict[str, Any]:
    """The body as a JSON object of bounded depth.

    Raises:
        InvalidInput: it is not JSON, not an object, or nested deeper than 64 levels.
    """
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"the body is not JSON: {error}", what="body", remedy="send a JSON object") from error
    if not isinstance(body, dict):
        raise InvalidInput("the body is not a JSON object", what="body", remedy="send a JSON object")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise InvalidInput(f"the body is nested deeper than {MAX_DEPTH} levels", what="body", allowed=MAX_DEPTH)
    return body


def _depth(value: Any) -> int:
    """Levels of nesting, counted without recursion; stops counting past the limit."""
    level, depth = [value], 0
    while level and depth <= MAX_DEPTH:
        nested = [item for item in level if isinstance(item, dict | list)]
        depth += bool(nested)
        level = [child for item in nested for child in (item.values() if isinstance(item, dict) else item)]
    return depth


def parse_request(operation: Operation, raw: bytes) -> ModelRequest:
    """A request for a model.

    Raises:
        InvalidInput: naming the field that is wrong.
    """
    body = parse_object(raw)
    model, version = _model(body)
    stream = _optional(body, "stream", bool) or False
    unit = _optional(body, "user", str)
    if unit is not None and len(unit) > MAX_UNIT:
        raise _wrong("user", "is too long", f"at most {MAX_UNIT} characters")
    text = _PARSERS[operation](body)
    return ModelRequest(operation, model, version, text, unit or None, stream, body, len(raw))


def _model(body: dict[str, Any]) -> tuple[str, str | None]:
    model = body.get("model")
    if not isinstance(model, str) or not model or len(model) > MAX_NAME:
        raise _wrong("model", "must be a name", "a domain's id, `auto`, or `domain@version`")
    domain, pinned, version = model.partition("@")
    if pinned and (not domain or not version or domain == "auto"):
        raise _wrong("model", f"{model!r} names no version of a domain", "`domain@version`")
    return domain, version or None


def _chat(body: dict[str, Any]) -> str:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages", "must be a list with at least one message")
    if len(messages) > MAX_MESSAGES:
        raise _wrong("messages", f"holds {len(messages)} messages", MAX_MESSAGES)
    for index, message in enumerate(messages):
        _check_message(message, f"messages.{index}")
    _count(body, "n", 1, 128)
    _optional(body, "logprobs", bool)
    top = _count(body, "top_logprobs", 0, 20)
    if top is not None and body.get("logprobs") is not True:
        raise _wrong("top_logprobs", "needs logprobs to be true")
    _check_format(body)
    _check_stream_options(body)
    return last_user_text(messages)


def _check_message(message: Any, where: str) -> None:
    if not isinstance(message, dict):
        raise _wrong(where, "must be an object")
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise _wrong(f"{where}.role", "is not a role", sorted(_ROLES))
    content = message.get("content")
    if isinstance(content, str) or (content is None and role == "assistant"):
        return
    if not isinstance(content, list) or not content:
        raise _wrong(f"{where}.content", "must be a text or a list of parts")
    for part in content:
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise _wrong(f"{where}.content", "holds a part without a type")
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            raise _wrong(f"{where}.content", "holds a text part without a text")


def _check_format(body: dict[str, Any]) -> None:
    wanted = _optional(body, "response_format", dict)
    if wanted is None:
        return
    kind = wanted.get("type")
    if not isinstance(kind, str):  # upstreams know more of them than OpenAI does
        raise _wrong("response_format.type", "must be of type string")


def _check_stream_options(body: dict[str, Any]) -> None:
    options = _optional(body, "stream_options", dict)
    if options is not None and body.get("stream") is not True:
        raise _wrong("stream_options", "needs stream to be true")


def _completion(body: dict[str, Any]) -> str:
    _count(body, "n", 1, 128)
    _count(body, "logprobs", 0, 20)
    _check_stream_options(body)
    return _inputs(body, "prompt")


def _embedding(body: dict[str, Any]) -> str:
    _count(body, "dimensions", 1, 1 << 20)
    encoding = _optional(body, "encoding_format", str)
    if encoding not in (None, "float", "base64"):
        raise _wrong("encoding_format", f"{encoding!r} is not a format", ["float", "base64"])
    if body.get("stream"):
        raise _wrong("stream", "embeddings are not streamed")
    return _inputs(body, "input")


def _inputs(body: dict[str, Any], field: str) -> str:
    """Check a text, a list of texts, a list of tokens, or a list of lists of tokens; give the first text."""
    value = body.get(field)
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        raise _wrong(field, "must be a text or a list with at least one text")
    if all(isinstance(item, str) for item in value) or all(_is_tokens(item) for item in value):
        if len(value) > MAX_INPUTS:
            raise _wrong(field, f"holds {len(value)} inputs", MAX_INPUTS)
        return content_text(value[0])
    if _is_tokens(value):
        return ""
    raise _wrong(field, "mixes texts with something else")


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(item) is int for item in value)


def _response(body: dict[str, Any]) -> str:
    given = body.get("input")
    if isinstance(given, str):
        return given
    if given is None and isinstance(body.get("prompt"), dict):  # a template that the upstream keeps
        return ""
    if not isinstance(given, list) or not given:
        raise _wrong("input", "must be a text or a list with at least one item")
    if len(given) > MAX_MESSAGES:
        raise _wrong("input", f"holds {len(given)} items", MAX_MESSAGES)
    for index, item in enumerate(given):
        if not isinstance(item, dict):
            raise _wrong(f"input.{index}", "must be an object")
        if "role" in item:
            _check_message(item, f"input.{index}")
        elif not isinstance(item.get("type"), str):
            raise _wrong(f"input.{index}", "has neither a role nor a type")
    _optional(body, "text", dict)
    return last_user_text(messages_of(body))


_PARSERS = {
    Operation.CHAT: _chat,
    Operation.COMPLETION: _completion,
    Operation.EMBEDDING: _embedding,
    Operation.RESPONSE: _response,
}


def parse_feedback(raw: bytes) -> FeedbackRequest:
    """A client's feedback: ``{"request_id", "value", "metric"?, "label"?, "comment"?, "model"?}``.

    ``model`` is the answer's: ``domain@version``. What the texts may hold is checked where they are stored.

    Raises:
        InvalidInput: naming the field that is wrong.
    """
    body = parse_object(raw)
    unknown = sorted(set(body) - _FEEDBACK)
    if unknown:
        raise _wrong(unknown[0][:100], "is not a field of feedback", sorted(_FEEDBACK))
    request_id = _optional(body, "request_id", str)
    if request_id is None:
        raise _wrong("request_id", "is missing", "the answer's x-request-id header, or its id")
    value = body.get("value")
    if value is not None and not isinstance(value, int | float):
        raise _wrong("value", "must be a number, true or false")
    domain, version = (None, None) if body.get("model") is None else _model(body)
    return FeedbackRequest(
        request_id=request_id.removeprefix("chatcmpl-").removeprefix("cmpl-").removeprefix("resp_"),
        metric=_optional(body, "metric", str) or "correct",
        value=None if value is None else float(value),
        label=_optional(body, "label", str),
        comment=_optional(body, "comment", str),
        domain=domain,
        version=version,
    )


def timeout_of(headers: Mapping[bytes, bytes]) -> float | None:
    """Seconds that the client is ready to wait: the header ``x-request-timeout-ms``; None where it does not say.

    >>> timeout_of({b"x-request-timeout-ms": b"1500"}), timeout_of({})
    (1.5, None)

    Raises:
        InvalidInput: it is not a whole number of milliseconds from 1 to 3,600,000.
    """
    given = headers.get(TIMEOUT_HEADER)
    if given is None:
        return None
    if not given.isdigit() or len(given) > 7 or not 1 <= int(given) <= MAX_TIMEOUT_MS:
        raise _wrong(TIMEOUT_HEADER.decode(), "is not a time", f"milliseconds, 1 to {MAX_TIMEOUT_MS}")
    return int(given) / 1000


def _optional(body: dict[str, Any], field: str, kind: type) -> Any:
    value = body.get(field)
    if value is not None and type(value) is not kind:
        raise _wrong(field, f"must be of type {_JSON_NAMES[kind]}")
    return value


def _count(body: dict[str, Any], field: str, least: int, most: int) -> int | None:
    value: int | None = _optional(body, field, int)
    if value is not None and not least <= value <= most:
        raise _wrong(field, f"{value!r} is out of bounds", f"{least} to {most}")
    return value


_JSON_NAMES: dict[type, str] = {bool: "boolean", str: "string", int: "integer", dict: "object"}


def _wrong(field: str, problem: str, allowed: Any = None) -> InvalidInput:
    return InvalidInput(f"{field!r} {problem}", what=field, allowed=allowed)
