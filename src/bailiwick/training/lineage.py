"""What a version, and the versions that it descends from, have learned from."""

from __future__ import annotations

from bailiwick.datasets.cleaning import normalise
from bailiwick.datasets.model import Row, Split
from bailiwick.datasets.service import DatasetService
from bailiwick.registry.model import ModelVersion
from bailiwick.registry.service import RegistryService

Mark = tuple[str, str]

_MOST_ANCESTORS = 1_000


def marks(row: Row) -> list[Mark]:
    """What makes a row known to a model that learned from it: its text, and the unit that it came from."""
    found = [("text", normalise(row.text))]
    if row.unit is not None:
        found.append(("unit", row.unit))
    return found


def learned_marks(
    datasets: DatasetService, registry: RegistryService, version: ModelVersion, *, with_validation: bool
) -> set[Mark]:
    """Marks of every row that the version, its ancestors and, of an ensemble, its members learned from.

    Args:
        datasets: keeps the rows.
        registry: knows the ancestors.
        version: to begin with.
        with_validation: count rows that only chose and calibrated, too. A version that refits learned from them anyway.
    """
    found: set[Mark] = set()
    seen = {version.id}
    waiting: list[ModelVersion] = [version]
    for _ in range(_MOST_ANCESTORS):
        if not waiting:
            break
        current = waiting.pop()
        if current.dataset_sha256:
            refitted = bool(current.card.get("settings", {}).get("refit"))
            learned = {Split.TRAIN, Split.VALIDATION} if with_validation or refitted else {Split.TRAIN}
            for row in datasets.rows_of_snapshot(current.dataset_sha256, domain=current.domain):
                if row.split in learned:
                    found.update(marks(row))
        for known in learned_through(current):
            if known not in seen:
                seen.add(known)
                waiting.append(registry.get(known))
    return found


def learned_through(version: ModelVersion) -> list[str]:
    """The versions whose learning a version carries on: the one that it was fine-tuned from, an ensemble's members."""
    members = version.card.get("ensemble", {}).get("versions", ())
    return [*([version.parent] if version.parent else []), *members]
