"""Server-sent events of an upstream: cut from the byte stream, checked, handed on as they are. Pure.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html, with OpenAI's use of it: each ``data`` is a JSON
object, or ``[DONE]`` at the end.
"""

from __future__ import annotations

import orjson

from bailiwick.backends.complaints import Complaint, complaint_of
from bailiwick.backends.model import UpstreamFailed
from bailiwick.backends.responses import FAILED_EVENTS, LAST_EVENTS, usage_of

MAX_EVENT_BYTES = 1 << 20
_FIELDS = (b"event", b"id", b"retry")


class EventCutter:
    """Cuts a byte stream into complete, checked events.

    ``done`` becomes true after the last event. An event that is an error and nothing else is not handed on: it becomes
    the ``complaint``, and is the last. ``failed`` becomes true where the last of typed events tells a failure, and is
    handed on. ``fault`` is set by an event that no OpenAI-compatible server sends, or that is longer than a megabyte:
    what came before it is still good. ``usage`` is the usage object of the last event that had one.

    Args:
        typed: the events are those of the Responses API, which end with one of certain types instead of ``[DONE]``.
    """

    def __init__(self, *, typed: bool = False) -> None:
        self._typed = typed
        self._rest = b""
        self.done = False
        self.failed = False
        self.complaint: Complaint | None = None
        self.fault: UpstreamFailed | None = None
        self.usage: object = None

    @property
    def is_broken(self) -> bool:
        """Whether the stream ends badly with what came so far."""
        return self.failed or self.fault is not None or self.complaint is not None

    def feed(self, piece: bytes) -> bytes:
        """The events that this piece completes, to hand on (empty: none yet); none after ``[DONE]`` or a fault."""
        rest = self._rest + piece
        held = b""
        if b"\r" in rest:
            if rest.endswith(b"\r"):  # its "\n" may be in the next piece
                rest, held = rest[:-1], b"\r"
            rest = rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = rest.rfind(b"\n\n") + 2
        if end == 1:
            end = 0
        whole, self._rest = rest[:end], rest[end:] + held
        passed = self._checked(whole)
        if len(self._rest) > MAX_EVENT_BYTES:
            self._rest = b""
            self.fault = self.fault or UpstreamFailed("the upstream sent an event longer than a megabyte")
        return passed

    def _checked(self, whole: bytes) -> bytes:
        passed = []
        for event in whole.split(b"\n\n"):
            if self.done or self.fault is not None or self.complaint is not None:
                break
            if event.strip():
                self.fault = self._fault_of(event)
                if self.fault is None and self.complaint is None:
                    passed.append(event.strip(b"\n"))
        passed.append(b"")
        return b"\n\n".join(passed)

    def _fault_of(self, event: bytes) -> UpstreamFailed | None:
        if event.startswith(b"data: {") and b"\n" not in event:  # as nearly all are
            return self._fault_of_document(event[6:])
        data = []
        for line in event.strip(b"\n").split(b"\n"):
            name, _, value = line.partition(b":")
            if name == b"data":
                data.append(value.removeprefix(b" "))
            elif name and name not in _FIELDS:
                return UpstreamFailed("the upstream's stream is not made of server-sent events")
        payload = b"\n".join(data)
        if payload.strip() == b"[DONE]":
            self.done = True
            return None
        return self._fault_of_document(payload) if data else None

    def _fault_of_document(self, payload: bytes) -> UpstreamFailed | None:
        try:
            document = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return UpstreamFailed("the upstream sent an event whose data is not JSON")
        if not isinstance(document, dict):
            return UpstreamFailed("the upstream sent an event whose data is not a JSON object")
        if document.get("error"):
            self.complaint = complaint_of(document)
            return None
        if self._typed:
            kind = document.get("type")
            if isinstance(kind, str) and kind in LAST_EVENTS:
                self.done = True
                self.failed = kind in FAILED_EVENTS
        if "usage" in document or "response" in document:
            self.usage = usage_of(document) or self.usage
        return None
