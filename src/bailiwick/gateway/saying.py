"""What an answer says, so that two answers can be compared. Pure."""

from __future__ import annotations

from typing import Any

import orjson


def said(document: dict[str, Any]) -> str | None:
    """The label or text of a whole answer; None where it has none.

    >>> said({"choices": [{"message": {"content": ' {"label": "lost_card", "confidence": 0.5}'}}]})
    'lost_card'
    >>> said({"output": [{"type": "message", "content": [{"type": "output_text", "text": "lost_card"}]}]})
    'lost_card'
    """
    output = document.get("output")
    if isinstance(output, list):
        return _meant("\n".join(_output_text(item) for item in output)) if output else None
    choices = document.get("choices")
    if not isinstance(choices, list) or not choices:
        return None
    return _meant("\n".join(_text(choice) for choice in choices))


def said_in_stream(events: bytes) -> str | None:
    r"""The label or text of the events of a stream; None where they have none, or are cut off.

    >>> pieces = [b'data: {"choices":[{"delta":{"content":"%b"}}]}' % each for each in (b"lo", b"st")]
    >>> said_in_stream(b"\n\n".join([*pieces, b"data: [DONE]"]))
    'lost'
    """
    texts: dict[int, str] = {}
    for line in events.split(b"\n"):
        name, _, data = line.partition(b":")
        if name != b"data" or data.strip() == b"[DONE]":
            continue
        try:
            document = orjson.loads(data)
            if "type" in document and "choices" not in document:  # an event of the Responses API; the last one has all
                if document["type"] == "response.completed":
                    return said(document["response"])
                continue
            for choice in document["choices"]:
                index = choice.get("index", 0)
                texts[index] = texts.get(index, "") + _text(choice)
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
            return None
    return _meant("\n".join(texts[index] for index in sorted(texts))) if texts else None


def _text(choice: Any) -> str:
    if not isinstance(choice, dict):
        return ""
    message = choice.get("message") or choice.get("delta")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    return text if isinstance(text, str) else ""


def _output_text(item: Any) -> str:
    """The text of one item of a response; reasoning and calls of tools have none."""
    parts = item.get("content") if isinstance(item, dict) and item.get("type") == "message" else None
    texts = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return "\n".join(text for text in texts if isinstance(text, str))


def _meant(text: str) -> str:
    """The label of a JSON answer of a classifier, which has figures beside it that always differ; else the text."""
    text = text.strip()
    if text.startswith("{"):
        try:
            label = orjson.loads(text).get("label")
        except orjson.JSONDecodeError:
            label = None
        if isinstance(label, str):
            return label
    return text
