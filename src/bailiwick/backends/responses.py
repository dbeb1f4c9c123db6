"""A classifier's answer in the shape of OpenAI's Responses API, whole and as events. Pure.

Source: https://platform.openai.com/docs/api-reference/responses and .../responses-streaming.
"""

from __future__ import annotations

from typing import Any

import orjson

FAILED_EVENTS = frozenset({"response.failed", "error"})
"""Types of events that end a stream which has failed."""

LAST_EVENTS = FAILED_EVENTS | {"response.completed", "response.incomplete"}
"""Types of events that end a stream; there is no ``[DONE]``."""


def usage_of(event: dict[str, Any]) -> object:
    """The usage that an event tells: a chunk's own, or of the Responses API that of the response in it.

    >>> usage_of({"type": "response.completed", "response": {"usage": {"input_tokens": 3}}})
    {'input_tokens': 3}
    """
    held = event.get("response")
    return event.get("usage") or (held.get("usage") if isinstance(held, dict) else None)


def messages_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a request's ``input``, a text or a list of items, as chat messages.

    >>> messages_of({"input": "hi"})
    [{'role': 'user', 'content': 'hi'}]
    """
    given = body.get("input") or ()  # none beside a template
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return [item for item in given if "role" in item]


def wants_json(body: dict[str, Any]) -> bool:
    """Whether ``text.format`` asks for a JSON object."""
    text = body.get("text")
    wanted = text.get("format") if isinstance(text, dict) else None
    return isinstance(wanted, dict) and wanted.get("type") in ("json_object", "json_schema")


def response(
    body: dict[str, Any], content: str, *, request_id: str, created: int, model: str, counted: dict[str, int]
) -> dict[str, Any]:
    """The ``response`` object.

    Args:
        body: of the request; what it set is said again.
        content: what the assistant says.
        request_id: of the request; names the response and its message.
        created: seconds since 1970.
        model: what answered.
        counted: the usage, as chat completions have it.
    """
    said = {name: body.get(name, default) for name, default in _SAID_AGAIN.items()}
    return {
        "id": f"resp_{request_id}",
        "object": "response",
        "created_at": created,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": model,
        **said,
        "output": [_message(request_id, content)],
        "usage": {
            "input_tokens": counted["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": counted["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": counted["total_tokens"],
        },
    }


_SAID_AGAIN: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "store": False,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}


def _message(request_id: str, content: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": content, "annotations": [], "logprobs": []}
    return {
        "type": "message",
        "id": f"msg_{request_id}",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def response_events(document: dict[str, Any]) -> bytes:
    """The events of a response that is known whole."""
    (message,) = document["output"]
    part = message["content"][0]
    begun = {**document, "status": "in_progress", "output": [], "usage": None}
    item = {"output_index": 0}
    place = {"item_id": message["id"], "output_index": 0, "content_index": 0}
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        ("response.output_item.added", item | {"item": message | {"status": "in_progress", "content": []}}),
        ("response.content_part.added", place | {"part": part | {"text": ""}}),
        ("response.output_text.delta", place | {"delta": part["text"], "logprobs": []}),
        ("response.output_text.done", place | {"text": part["text"], "logprobs": []}),
        ("response.content_part.done", place | {"part": part}),
        ("response.output_item.done", item | {"item": message}),
        ("response.completed", {"response": document}),
    ]
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, "sequence_number": number, **fields}))
        for number, (kind, fields) in enumerate(events)
    )
