"""An event as a request body. Pure."""

from __future__ import annotations

import json
from datetime import UTC

from bailiwick.governance.notifications.model import Event, Format

_MOST_REASON = 500


def body_of(event: Event, form: Format) -> bytes:
    """The body: ``{"type", "timestamp", "data"}`` as Standard Webhooks has it, or ``{"text"}`` as Slack takes it.

    >>> from datetime import datetime
    >>> event = Event("deployment.deploy", "deployment:d1", datetime(2026, 3, 1, tzinfo=UTC), {"actor": "cli:ada"})
    >>> body_of(event, Format.SLACK).decode()
    '{"text":"*deployment.deploy* `deployment:d1` by cli:ada"}'
    >>> body_of(event, Format.JSON).decode()[:77]
    '{"type":"deployment.deploy","timestamp":"2026-03-01T00:00:00.000000Z","data":'
    """
    document = {"text": _text(event)} if form is Format.SLACK else _whole(event)
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _whole(event: Event) -> dict[str, object]:
    return {
        "type": event.name,
        "timestamp": event.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "data": {"subject": event.subject, **event.document},
    }


def _text(event: Event) -> str:
    line = f"*{_plain(event.name)}* `{_plain(event.subject)}` by {_plain(str(event.document['actor']))}"
    reason = event.document.get("reason")
    return f"{line}: {_plain(str(reason)[:_MOST_REASON])}" if reason else line


def _plain(text: str) -> str:
    """Slack's three special characters escaped, so that no text makes a link or calls a channel."""
    flat = " ".join(text.replace("`", "'").split())
    return flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
