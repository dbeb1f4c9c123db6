"""The text in OpenAI request bodies, and how many tokens it is counted as. Pure."""

from __future__ import annotations

import re
from typing import Any

_TOKEN = re.compile(r"\w+|[^\w\s]")


def content_text(content: Any) -> str:
    """The text of a message's content: a string, or the joined text parts of a list.

    >>> content_text([{"type": "text", "text": "lost"}, {"type": "text", "text": "card"}])
    'lost card'
    """
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, dict))
        return " ".join(text for text in texts if isinstance(text, str))
    return ""


def last_user_text(messages: list[Any]) -> str:
    """The text of the last message of the user, else of the last message.

    >>> last_user_text([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}])
    'hi'
    """
    for message in reversed(messages):
        if message["role"] == "user":
            return content_text(message.get("content"))
    return content_text(messages[-1].get("content")) if messages else ""


def estimate_tokens(text: str) -> int:
    """Words and punctuation marks. An estimate: a classifier has no tokenizer of its own.

    >>> estimate_tokens("Where's my card?")
    6
    """
    return len(_TOKEN.findall(text))
