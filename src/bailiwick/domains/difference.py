"""What changed between two revisions, as data; and the way from one to the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bailiwick.domains.document import domain_json
from bailiwick.domains.model import Domain, DomainRevision, FieldChange

_NESTED = ("backend", "generation", "thresholds")
"""Fields that are compared part by part; the others are compared whole."""

_MISSING = object()


def difference(before: Domain, after: Domain) -> tuple[FieldChange, ...]:
    """The fields that differ, sorted by name; parts of nested ones as ``backend.base_url``.

    >>> from bailiwick.domains.model import Domain
    >>> difference(Domain("cards", "Cards", "a"), Domain("cards", "Bank cards", "a"))
    (FieldChange(field='name', before='Cards', after='Bank cards'),)
    """
    old, new = flattened(before), flattened(after)
    return tuple(
        FieldChange(field, old.get(field), new.get(field))
        for field in sorted(old.keys() | new.keys())
        if old.get(field, _MISSING) != new.get(field, _MISSING)
    )


def revision_difference(before: DomainRevision, after: DomainRevision) -> tuple[FieldChange, ...]:
    """As `difference`, with the lifecycle first where it differs."""
    changes = difference(before.domain, after.domain)
    if before.lifecycle is after.lifecycle:
        return changes
    return (FieldChange("lifecycle", before.lifecycle.value, after.lifecycle.value), *changes)


def flattened(domain: Domain) -> dict[str, Any]:
    """Plain JSON values by field, with the parts of nested fields as ``backend.base_url``."""
    flat: dict[str, Any] = {}
    for field, value in domain_json(domain).items():
        if field in _NESTED:
            flat.update({f"{field}.{part}": inner for part, inner in value.items()})
        else:
            flat[field] = value
    return flat


def with_values(document: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A domain as plain JSON values, with some fields replaced; a field may be nested, as ``backend.base_url``.

    Nothing is checked here: parse the result.
    """
    changed = {key: dict(value) if key in _NESTED else value for key, value in document.items()}
    for field, value in values.items():
        outer, dot, inner = field.partition(".")
        if dot and outer in _NESTED:
            changed.setdefault(outer, {})[inner] = value
        else:
            changed[field] = value
    return changed


def applied(document: Mapping[str, Any], changes: Iterable[FieldChange]) -> dict[str, Any]:
    """The plain JSON values after changes: ``applied(domain_json(a), difference(a, b)) == domain_json(b)``."""
    return with_values(document, {change.field: change.after for change in changes})
