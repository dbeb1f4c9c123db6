"""The sections that a domain may have or not. One that is absent is left out of the domain's plain form."""

from __future__ import annotations

from typing import Any

SECTIONS = ("cache", "batching")
"""Absent by default; a document without them stays as it was before they existed."""


def without_absent(plain: dict[str, Any]) -> dict[str, Any]:
    """A domain as plain values, less the sections that are None.

    >>> without_absent({"id": "cards", "cache": None})
    {'id': 'cards'}
    """
    return {name: value for name, value in plain.items() if value is not None or name not in SECTIONS}
