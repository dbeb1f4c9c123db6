"""Identifiers of things that happen: sortable by time, unguessable in the rest."""

from __future__ import annotations

import secrets
from datetime import datetime


def new_id(prefix: str, now: datetime) -> str:
    """A new identifier such as ``run-20261123T190428-5f3a9c1e``.

    >>> from datetime import UTC
    >>> new_id("run", datetime(2026, 11, 23, 19, 4, 28, tzinfo=UTC))[:20]
    'run-20261123T190428-'
    """
    return f"{prefix}-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
