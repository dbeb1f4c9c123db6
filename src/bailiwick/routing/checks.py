"""Reading hostile documents field by field. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from bailiwick.errors import InvalidInput

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_LONGEST = 200


def known_keys(document: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Refuse a field that is not known.

    Raises:
        InvalidInput: naming it.
    """
    strange = sorted(set(map(str, document)) - set(known))
    if strange:
        raise InvalidInput(
            f"there is no field {strange[0][:100]!r}", what=strange[0][:100], where=where, allowed=sorted(known)
        )


def is_name(value: Any) -> bool:
    """Whether a value may name a domain or a rule."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def name_of(document: Mapping[str, Any], field: str, where: str) -> str:
    """A name: lower case letters, digits, ``_`` and ``-``.

    Raises:
        InvalidInput: there is none, or it is malformed.
    """
    value = document.get(field)
    if not is_name(value):
        raise InvalidInput(
            f"{field} must be a name, got {str(value)[:100]!r}",
            what=field,
            where=where,
            allowed="a to z, 0 to 9, _ and -, at most 64",
        )
    return str(value)


def number_of(document: Mapping[str, Any], field: str, default: float, least: float, most: float, where: str) -> float:
    """A finite number within bounds; the default where there is none.

    Raises:
        InvalidInput: it is no number, or out of them.
    """
    value = document.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidInput(f"{field} must be a number, got {str(value)[:100]!r}", what=field, where=where)
    if not least <= value <= most:
        raise InvalidInput(
            f"{field} is {value!r}", what=field, where=where, requested=value, allowed=f"{least:g} to {most:g}"
        )
    return value


def whole_of(document: Mapping[str, Any], field: str, default: int, least: int, most: int, where: str) -> int:
    """A whole number within bounds; the default where there is none.

    Raises:
        InvalidInput: it is none, or out of them.
    """
    value = number_of(document, field, default, least, most, where)
    if value != int(value):
        raise InvalidInput(f"{field} must be a whole number, got {value!r}", what=field, where=where, requested=value)
    return int(value)


def choice_of(document: Mapping[str, Any], field: str, default: str, allowed: Collection[str], where: str) -> str:
    """One of some texts.

    Raises:
        InvalidInput: another one.
    """
    value = document.get(field, default)
    if not isinstance(value, str) or value not in allowed:
        raise InvalidInput(
            f"{field} is {str(value)[:100]!r}",
            what=field,
            where=where,
            requested=str(value)[:100],
            allowed=sorted(map(str, allowed)),
        )
    return value


def texts_of(document: Mapping[str, Any], field: str, most: int, where: str) -> tuple[str, ...]:
    """A list of texts of 1 to 200 characters; empty where there is none.

    Raises:
        InvalidInput: too many, or one that is no such text.
    """
    value = document.get(field, [])
    if not isinstance(value, list | tuple) or len(value) > most:
        raise InvalidInput(f"{field} must be a list of at most {most} texts", what=field, where=where)
    wrong = next((each for each in value if not isinstance(each, str) or not 0 < len(each) <= _LONGEST), None)
    if wrong is not None:
        raise InvalidInput(
            f"{field} holds {str(wrong)[:100]!r}",
            what=field,
            where=where,
            allowed=f"texts of 1 to {_LONGEST} characters",
        )
    return tuple(value)
