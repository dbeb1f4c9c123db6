"""The text of an audit entry that is hashed, and whether the columns beside it still say the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_FIELDS = ("at", "actor", "action", "subject", "reason", "before", "after", "request_id")


def entry_body(values: Mapping[str, Any]) -> str:
    """One JSON object with sorted keys and no blanks. It is stored as it is hashed, and never made again.

    >>> from datetime import UTC, datetime
    >>> entry_body({"at": datetime(2026, 1, 31, tzinfo=UTC), "actor": "cli:ada", "action": "domain.add"})
    '{"action":"domain.add","actor":"cli:ada","at":"2026-01-31T00:00:00.000000Z"}'
    """
    document = {name: values[name] for name in _FIELDS if values.get(name) is not None}
    document["at"] = _instant(document["at"])
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def disagreeing_column(body: str, columns: Mapping[str, Any]) -> str | None:
    """The first column that says something else than the hashed text; None when all agree.

    ``body`` is the truth: a column that differs was changed behind the trail's back.
    """
    try:
        said = json.loads(body)
    except ValueError:
        return "body"
    if not isinstance(said, dict):
        return "body"
    for name in _FIELDS:
        stands = columns.get(name)
        if name == "at" and isinstance(stands, datetime):
            stands = _instant(stands)
        if said.get(name) != stands:
            return name
    return None


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
