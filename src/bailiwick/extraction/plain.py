"""JSON values as every store takes them."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

_LARGEST = 2**63


def storable(value: Any) -> Any:
    r"""The value without half surrogate pairs and NUL characters; integers beyond 64 bits become text, NaN null.

    >>> storable({"a": [2**70, "\ud800", "x\x00"]})
    {'a': ['1180591620717411303424', '?', 'x']}
    """
    if isinstance(value, str):
        if value.isascii() and "\0" not in value:
            return value
        return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "")  # PostgreSQL takes no NUL in text
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and not -_LARGEST <= value < _LARGEST:
        return str(value)
    return value
