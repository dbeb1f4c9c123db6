"""One text for one value, and its hash: what entries, plans and outputs are compared by. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from bailiwick.errors import InvalidInput


def canonical(document: Any) -> str:
    """One text for one value: JSON with sorted keys; enums by value, instants in ISO 8601, tuples as lists.

    Raises:
        InvalidInput: a value that JSON cannot carry exactly, such as NaN or an object.
    """
    try:
        return json.dumps(document, sort_keys=True, separators=(",", ":"), default=_plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the value cannot be written as JSON: {error}", what="document") from error


def digest(document: Any) -> str:
    """Sha256 of the canonical text, in hex."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: getattr(value, part.name) for part in fields(value)}
    raise TypeError(f"{type(value).__name__} {value!r}")
