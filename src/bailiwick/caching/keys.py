"""Which requests get the same answer: the key of an answer, and what must not be kept. Pure.

Two requests share a key only where domain, version, the model's content, every arm, the scope, the operation, the shape
of the answer (whole or streamed), limits on cost and latency, and the canonical body agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from bailiwick.backends.model import Operation
from bailiwick.caching.lexical import gate_of
from bailiwick.caching.model import Asking
from bailiwick.caching.neighbours import Question
from bailiwick.caching.similarity import LONGEST
from bailiwick.models.ensemble.selection import NO_LIMITS

LEFT_OUT = frozenset({"model", "stream", "user", "safety_identifier", "prompt_cache_key", "metadata", "store"})
"""Fields that say who asks, how the answer travels, or how it is filed; none of them changes what it says.

``model`` is replaced by the domain and version that were chosen. In the Responses API all of them but ``model`` and
``stream`` are repeated in the answer, and therefore count.
"""

_ROUTE_ONLY = frozenset({"model", "stream"})
_STATEFUL = ("previous_response_id", "conversation", "background", "prompt", "web_search_options")
_LONGEST = 256 << 10


def key_of(asking: Asking) -> bytes | None:
    """The key of the answer, 32 bytes; None where it must neither serve nor be kept."""
    if asking.wishes.no_store or not is_repeatable(asking):
        return None
    settings = asking.settings
    owner = b""
    if settings.scope == "user":
        owner = asking.wishes.user.encode("utf-8", "replace")
    elif settings.scope == "key":
        owner = asking.wishes.key
    if not owner and settings.scope != "everyone":
        return None
    body = canonical(asking.call.operation, asking.call.body)
    if len(body) > _LONGEST:
        return None
    shape = b"stream" if asking.stream else b"whole"
    return digest_of(
        asking.seed,
        asking.identity,
        asking.version.encode("utf-8", "replace"),
        asking.arm,
        settings.scope.encode(),
        owner,
        asking.call.operation.value.encode(),
        shape,
        b"" if asking.call.limits is NO_LIMITS else repr(asking.call.limits).encode(),
        body,
    )


def digest_of(*parts: bytes) -> bytes:
    """A digest of the parts; the lengths are in it, so that no two lists of parts run into one another.

    >>> digest_of(b"ab", b"c") == digest_of(b"a", b"bc")
    False
    """
    lengths = b",".join([b"%d" % len(part) for part in parts])
    return hashlib.blake2b(b"\0".join((lengths, *parts)), digest_size=32).digest()


def canonical(operation: Operation, body: Mapping[str, Any]) -> bytes:
    """The body as bytes that do not depend on the order of its fields, less `LEFT_OUT`.

    >>> canonical(Operation.CHAT, {"user": "ada", "model": "auto", "n": 1}) == canonical(Operation.CHAT, {"n": 1})
    True
    """
    without = _ROUTE_ONLY if operation is Operation.RESPONSE else LEFT_OUT
    return orjson.dumps({name: body[name] for name in body if name not in without}, option=orjson.OPT_SORT_KEYS)


def is_repeatable(asking: Asking) -> bool:
    """Whether the same request may be given the same answer.

    Not where the request refers to a conversation that a server keeps, wants to be filed there, or lets the model look
    things up; nor, unless the domain wants it, where an upstream model draws its answer at random.
    """
    operation, body = asking.call.operation, asking.call.body
    if operation is Operation.EMBEDDING:
        return True
    # The field `prompt` is the text of a completion; in the Responses API it names a stored template.
    if any(body.get(name) is not None for name in _STATEFUL if name != "prompt" or operation is Operation.RESPONSE):
        return False
    tools = body.get("tools")
    if isinstance(tools, list) and any(not isinstance(tool, dict) or tool.get("type") != "function" for tool in tools):
        return False
    if asking.backend.in_process:
        return True
    # Chat completions are not filed unless asked for; responses are, unless told not to.
    if body.get("store", operation is Operation.RESPONSE) not in (False, None):
        return False
    return asking.settings.sampled or body.get("temperature") == 0 or type(body.get("seed")) is int


def question_of(asking: Asking) -> Question | None:
    """What similar questions are found by; None where no other question's answer may serve.

    Only the words of the last message, where it is the user's, may differ, and of these nothing that `gate_of` finds.
    System prompt, history, tools and every other field are part of the context, and must be equal.
    """
    if asking.similarity is None or asking.call.operation is not Operation.CHAT or asking.backend.in_process:
        return None
    messages = asking.call.body["messages"]
    last = messages[-1]
    text = last.get("content")
    if last["role"] != "user" or not isinstance(text, str) or not text.strip() or len(text) > LONGEST:
        return None
    body = {**asking.call.body, "messages": [*messages[:-1], {**last, "content": ""}]}
    context = key_of(replace(asking, call=replace(asking.call, body=body)))
    if context is None:
        return None
    gate = "\0".join(gate_of(text)).encode("utf-8", "replace")
    return Question(digest_of(b"question", context, gate), asking.similarity.vectors([text])[0])
