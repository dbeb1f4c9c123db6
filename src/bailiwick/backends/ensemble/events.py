"""A decided answer as server-sent events: an ensemble cannot stream before it has decided. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from bailiwick.backends import responses, wire
from bailiwick.backends.model import Operation


def as_events(operation: Operation, document: dict[str, Any], *, with_usage: bool) -> bytes:
    """All events of an answer that is known whole, the closing one last.

    Args:
        operation: what was asked.
        document: the whole answer.
        with_usage: a chat or text completion ends with its usage.
    """
    if operation is Operation.RESPONSE:
        return _response_events(document)
    chat = operation is Operation.CHAT
    kept = {name: value for name, value in document.items() if name not in ("choices", "usage", "object")}
    extra = {"bailiwick": kept.pop("bailiwick")} if "bailiwick" in kept else {}
    head = kept | {"object": "chat.completion.chunk" if chat else "text_completion"}
    events: list[bytes] = []
    for choice in document.get("choices") or ():
        place = {"index": choice.get("index", 0)}
        finish = choice.get("finish_reason") or "stop"
        if not chat:
            events.append(wire.event(head | {"choices": [choice]}))
            continue
        message = dict(choice.get("message") or {})
        role = {"role": message.pop("role", "assistant"), "content": ""}
        delta = {name: value for name, value in message.items() if value is not None}
        for number, call in enumerate(delta.get("tool_calls") or ()):
            call.setdefault("index", number)
        logprobs = choice.get("logprobs")
        events += [
            wire.event(head | {"choices": [place | {"delta": role, "logprobs": None, "finish_reason": None}]}),
            wire.event(head | {"choices": [place | {"delta": delta, "logprobs": logprobs, "finish_reason": None}]}),
            wire.event(head | extra | {"choices": [place | {"delta": {}, "logprobs": None, "finish_reason": finish}]}),
        ]
    if with_usage:
        events.append(wire.event(head | {"choices": [], "usage": document.get("usage")}))
    return b"".join([*events, wire.DONE])


def _response_events(document: dict[str, Any]) -> bytes:
    output = document.get("output")
    single = output if isinstance(output, list) and len(output) == 1 and output[0].get("type") == "message" else None
    if single and [part.get("type") for part in single[0].get("content") or ()] == ["output_text"]:
        return responses.response_events(document)
    begun = {**document, "status": "in_progress", "output": [], "usage": None}
    events: list[tuple[str, dict[str, Any]]] = [("response.created", {"response": begun})]
    for index, item in enumerate(output or ()):
        place = {"output_index": index, "item": item}
        events += [("response.output_item.added", place), ("response.output_item.done", place)]
    events.append(("response.completed", {"response": document}))
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, "sequence_number": number, **fields}))
        for number, (kind, fields) in enumerate(events)
    )
