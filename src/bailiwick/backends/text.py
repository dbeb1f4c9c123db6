"""The text in OpenAI request bodies, and how many tokens it is counted as. Pure."""

from __future__ import annotations

import re
from typing import Any

_TOKEN = re.compile(r"\w+|[^\w\s]")
_COUNTED_CHARACTERS = 30_000


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


def estimate_tokens(*texts: str) -> int:
    """Words and punctuation marks of all texts. An estimate: a classifier has no tokenizer of its own.

    What follows the first 30,000 characters counts in proportion: nobody's long body keeps others waiting.

    >>> estimate_tokens("Where's my card?"), estimate_tokens("my card", "is lost"), estimate_tokens("no " * 1_000_000)
    (6, 4, 1000000)
    """
    counted = read = 0
    for text in texts:
        counted += len(_TOKEN.findall(text, 0, _COUNTED_CHARACTERS - read))
        read += len(text)
        if read >= _COUNTED_CHARACTERS:
            return round(counted * sum(map(len, texts)) / _COUNTED_CHARACTERS)
    return counted
