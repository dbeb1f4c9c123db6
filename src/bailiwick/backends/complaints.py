"""What an upstream's error says, in each of the shapes that servers use. Pure.

OpenAI and most others: ``{"error": {"message", "type", "param", "code"}}``; for some the ``code`` is the HTTP status.
Ollama: ``{"error": "..."}``. Older vLLM: the error itself, ``{"object": "error", "message", "code"}``. FastAPI:
``{"detail": "..."}``, or a list of ``{"loc", "msg"}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

_MOST_CHARACTERS = 500
_MOST_DETAILS = 5
_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,100}")


@dataclass(frozen=True, slots=True)
class Complaint:
    """An upstream's error.

    Args:
        words: for people; empty where it has none.
        code: for programs, such as ``context_length_exceeded``.
        param: the field of the request at fault.
        status: the HTTP status, where the error itself names it.
    """

    words: str = ""
    code: str | None = None
    param: str | None = None
    status: int | None = None

    @property
    def quoted(self) -> str:
        """The words, to be put after others."""
        return f": {self.words}" if self.words else ""

    def without(self, secret: str | None) -> Complaint:
        """The same with a secret blotted out.

        >>> Complaint("bad key sk-1").without("sk-1").words
        'bad key ***'
        """
        if not secret:
            return self
        code, param = (None if text and secret in text else text for text in (self.code, self.param))
        return replace(self, words=self.words.replace(secret, "***"), code=code, param=param)


def complaint_of(document: object) -> Complaint:
    """The error in the body of an answer, or in an event of a stream.

    >>> complaint_of({"error": {"message": "too long", "code": "context_length_exceeded", "param": "messages"}})
    Complaint(words='too long', code='context_length_exceeded', param='messages', status=None)
    >>> complaint_of({"detail": [{"loc": ["body", "n"], "msg": "too large"}]}).words
    'body.n: too large'
    """
    if not isinstance(document, Mapping):
        return Complaint()
    error = document.get("error") or document
    if not isinstance(error, Mapping):
        return Complaint(_text(error))
    code = error.get("code")
    return Complaint(
        _text(error.get("message")) or _details(error.get("detail")),
        _name(code),
        _name(error.get("param")),
        code if type(code) is int and 400 <= code <= 599 else None,
    )


def _text(value: Any) -> str:
    return value[:_MOST_CHARACTERS] if isinstance(value, str) else ""


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and _NAME.fullmatch(value) and not value.isdigit() else None


def _details(detail: Any) -> str:
    if not isinstance(detail, list):
        return _text(detail)
    found = [each for each in detail[:_MOST_DETAILS] if isinstance(each, Mapping)]
    return _text("; ".join(f"{_place(each.get('loc'))}{_text(each.get('msg'))}" for each in found))


def _place(loc: Any) -> str:
    return f"{'.'.join(map(str, loc[:10]))}: " if isinstance(loc, list) and loc else ""


def asked_wait_s(retry_after_ms: str | None, retry_after: str | None, date: str | None) -> float | None:
    """Seconds that an upstream asks to wait; None where it does not say, or says it in no way that we know.

    Args:
        retry_after_ms: the header of that name, which OpenAI's interface has beside the standard's.
        retry_after: in seconds, or a date.
        date: of the answer: the upstream's own clock, which a date is measured by.

    >>> asked_wait_s("1500", "2", None), asked_wait_s(None, "2", None), asked_wait_s(None, "soon", None)
    (1.5, 2.0, None)
    >>> asked_wait_s(None, "Wed, 21 Oct 2026 07:28:30 GMT", "Wed, 21 Oct 2026 07:28:00 GMT")
    30.0
    """
    milliseconds, seconds = _number(retry_after_ms), _number(retry_after)
    if milliseconds is not None:
        return milliseconds / 1000
    if seconds is not None:
        return seconds
    then, now = _moment(retry_after), _moment(date)
    return None if then is None or now is None else max(0.0, (then - now).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else None
    except ValueError:
        return None
    return number if number is not None and 0.0 <= number < float("inf") else None


def _moment(text: str | None) -> datetime | None:
    try:
        found = parsedate_to_datetime(text) if text else None
    except (ValueError, OverflowError):
        return None
    return found if found is not None and found.tzinfo is not None else None
