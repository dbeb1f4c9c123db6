"""What changed between two revisions, as data; and the way from one to the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bailiwick.domains.document import domain_json
from bailiwick.domains.model import Domain, DomainRevision, FieldChange
from bailiwick.domains.sections import SECTIONS

_NESTED = ("backend", "generation", "thresholds")
"""Fields that are compared part by part; the others are compared whole."""

_FREE = ("attention_weights", "generation.bounds")
"""Fields whose entries have names of the user's choice."""

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
    """A domain as plain JSON values, with some fields replaced; the others and the original stay as they are.

    A field may be nested, as ``backend.base_url``. None for one entry of ``attention_weights`` or ``generation.bounds``
    drops the entry, and for a section such as ``cache`` the section. Nothing is checked here: parse the result.

    >>> with_values({"attention_weights": {"pin": 2.0, "card": 1.5}}, {"attention_weights.pin": None, "name": "Cards"})
    {'attention_weights': {'card': 1.5}, 'name': 'Cards'}
    """
    changed = dict(document)
    for field, value in values.items():
        _replace(changed, field, value)
    return changed


def _replace(fields: dict[str, Any], field: str, value: Any, above: str = "") -> None:
    outer, dot, inner = field.partition(".")
    if dot and f"{above}{outer}" in (*_NESTED, *_FREE, *SECTIONS):
        present = fields.get(outer)
        fields[outer] = dict(present) if isinstance(present, Mapping) else {}
        _replace(fields[outer], inner, value, f"{above}{outer}.")
    elif value is None and (above.rstrip(".") in _FREE or f"{above}{field}" in SECTIONS):
        fields.pop(field, None)
    else:
        fields[field] = value


def applied(document: Mapping[str, Any], changes: Iterable[FieldChange]) -> dict[str, Any]:
    """The plain JSON values after changes: ``applied(domain_json(a), difference(a, b)) == domain_json(b)``."""
    return with_values(document, {change.field: change.after for change in changes})
