"""Entries as bytes for a shared cache, and as the answer to another request. Pure."""

from __future__ import annotations

import math

import orjson

from bailiwick.caching.model import Entry

_FORMAT = 1
_OWN_IDS = ("chatcmpl-", "cmpl-", "resp_", "msg_")


def rendered(entry: Entry, request_id: str) -> bytes:
    r"""The answer for another request: the ids that were made of the first request's id are made of this one's.

    A quote inside a JSON text is escaped, so what an answer says is never taken for its id.

    >>> entry = Entry(b'{"id":"chatcmpl-r1","text":"\\"chatcmpl-r1\\""}', 0.0, "r1", renamed=True)
    >>> rendered(entry, "r2")
    b'{"id":"chatcmpl-r2","text":"\\"chatcmpl-r1\\""}'
    """
    payload = entry.payload
    if not entry.renamed or entry.request_id == request_id:
        return payload
    old, new = entry.request_id.encode(), request_id.encode()
    if old not in payload:
        return payload
    for prefix in _OWN_IDS:
        begin = b'"' + prefix.encode()
        payload = payload.replace(begin + old + b'"', begin + new + b'"')
    return payload


def packed(entry: Entry, key: bytes) -> bytes:
    """The entry under a key as bytes: one line of JSON, which repeats the key, then the payload."""
    head = {
        "format": _FORMAT,
        "key": key.hex(),
        "stored_at_s": entry.stored_at_s,
        "request_id": entry.request_id,
        "renamed": entry.renamed,
        "tokens": entry.tokens,
        "length": len(entry.payload),
    }
    return orjson.dumps(head) + b"\n" + entry.payload


def unpacked(raw: bytes, key: bytes) -> Entry | None:
    """The entry under a key in some bytes; None where they are none: cut off, not ours, or of another key.

    That the bytes name their key makes a mix-up of a shared cache's answers, by whatever mistake, a miss.

    >>> raw = packed(Entry(b"{}", 1.5, "r1"), b"k")
    >>> unpacked(raw, b"k") == Entry(b"{}", 1.5, "r1"), unpacked(raw, b"other"), unpacked(b"nonsense", b"k")
    (True, None, None)
    """
    line, newline, payload = raw.partition(b"\n")
    try:
        head = orjson.loads(line) if newline else None
    except orjson.JSONDecodeError:
        return None
    if not isinstance(head, dict) or head.get("format") != _FORMAT or head.get("length") != len(payload):
        return None
    if head.get("key") != key.hex():
        return None
    stored, request_id, tokens = head.get("stored_at_s"), head.get("request_id"), head.get("tokens")
    if not (isinstance(stored, float | int) and math.isfinite(stored) and isinstance(request_id, str)):
        return None
    if type(tokens) is not int or type(head.get("renamed")) is not bool:
        return None
    return Entry(payload, float(stored), request_id, head["renamed"], tokens)


def is_whole_stream(events: bytes) -> bool:
    r"""Whether the events of a stream came to their good end, and none of them tells of an error.

    >>> is_whole_stream(b'data: {"choices":[]}\n\ndata: [DONE]\n\n'), is_whole_stream(b'data: {"choices":[]}\n\n')
    (True, False)
    """
    last = events.rstrip().rpartition(b"\n\n")[2]
    ended = last.removeprefix(b"data:").strip() == b"[DONE]" or b'"response.completed"' in last
    return ended and not (b'"error"' in events and _tells_error(events))


def _tells_error(events: bytes) -> bool:
    for line in events.split(b"\n"):
        if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
            continue
        try:
            document = orjson.loads(line[5:])
        except orjson.JSONDecodeError:
            return True
        if not isinstance(document, dict) or document.get("error") or document.get("type") == "error":
            return True
    return False
