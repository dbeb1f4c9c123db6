"""Privacy settings as JSON documents, and back. Hostile until parsed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.privacy.costs import Level
from bailiwick.privacy.terms import Categories, ColumnBounds, PrivacySettings

_FIELDS = ("contribution_cap", "bounds", "categories", "level")


def settings_document(settings: PrivacySettings) -> dict[str, Any]:
    """The JSON document of settings.

    >>> settings_document(PrivacySettings(2, {"amount": ColumnBounds(0, 9)}))["bounds"]
    {'amount': [0.0, 9.0]}
    """
    return {
        "contribution_cap": settings.contribution_cap,
        "bounds": {name: [float(each.lower), float(each.upper)] for name, each in settings.bounds.items()},
        "categories": {name: list(each.values) for name, each in settings.categories.items()},
        "level": settings.level.value if settings.level else None,
    }


def parse_settings(document: Mapping[str, Any]) -> PrivacySettings:
    """Settings from their JSON document; what is left out is not stated.

    Raises:
        InvalidInput: naming the field that cannot be accepted.
    """
    unknown = sorted(set(document) - set(_FIELDS))
    if unknown:
        raise InvalidInput(f"unknown privacy setting {unknown[0]!r}", what=unknown[0], allowed=list(_FIELDS))
    cap = document.get("contribution_cap")
    if cap is not None and (isinstance(cap, bool) or not isinstance(cap, int) or cap < 1):
        raise InvalidInput(
            f"contribution cap {cap!r}", what="contribution_cap", requested=cap, allowed="an integer of at least 1 row"
        )
    return PrivacySettings(
        cap,
        {name: _bounds(name, each) for name, each in _mapping(document, "bounds").items()},
        {name: _categories(name, each) for name, each in _mapping(document, "categories").items()},
        parse_level(document.get("level")),
    )


def parse_level(name: str | None) -> Level | None:
    """A level by its name.

    Raises:
        InvalidInput: there is none of that name.
    """
    levels = {level.value: level for level in Level}
    if name is None:
        return None
    if not isinstance(name, str) or name not in levels:
        raise InvalidInput(f"privacy level {name!r}", what="level", requested=repr(name), allowed=list(levels))
    return levels[name]


def _mapping(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name) or {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) and key for key in value):
        raise InvalidInput(f"{name} must map columns to values", what=name)
    return value


def _bounds(column: str, value: Any) -> ColumnBounds:
    pair = isinstance(value, list | tuple) and len(value) == 2
    if not pair or not all(isinstance(each, int | float) and not isinstance(each, bool) for each in value):
        raise InvalidInput(
            f"bounds of {column!r}: {value!r}", what=f"bounds.{column}", allowed="[lower, upper], two numbers"
        )
    return ColumnBounds(float(value[0]), float(value[1]))


def _categories(column: str, value: Any) -> Categories:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise InvalidInput(f"categories of {column!r} must be a list of texts", what=f"categories.{column}")
    return Categories(tuple(value))
