"""Decides what a sync of one source changes: pure, the same for every store."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Given(NamedTuple):
    """An element as the source gives it now."""

    content_hash: int
    confidence: float


class Stored(NamedTuple):
    """An element as the store has it, dead (tombstoned) or alive."""

    source: str
    content_hash: int
    confidence: float
    alive: bool


class Sighting(NamedTuple):
    """That a source which does not own an element sees it too."""

    source: str
    confidence: float


@dataclass(slots=True)
class Comparison:
    """What was given, held against what is stored.

    Args:
        added: ids to write that are new or come back to life.
        changed: ids to write over what is stored.
        unchanged: how many of the given elements need no write of their content.
        sightings: what this source now sees without owning it.
        displaced: the former owners of elements that this source takes over.
        missing_owned: living elements that this source owns and did not give.
        missing_seen: elements that another source owns, that this one saw before and does not give now.
        had: how many living elements the source owned or saw before.
    """

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: int = 0
    sightings: dict[str, float] = field(default_factory=dict)
    displaced: dict[str, Sighting] = field(default_factory=dict)
    missing_owned: list[str] = field(default_factory=list)
    missing_seen: list[str] = field(default_factory=list)
    had: int = 0


@dataclass(frozen=True, slots=True)
class Removal:
    """What happens to the elements that a source no longer gives.

    Args:
        tombstones: ids that nobody sees any more.
        handovers: ids whose ownership passes on, with the source that sees them most surely.
        forgotten: ids of which this source no longer counts as a witness.
        held_back: how many removals were refused.
    """

    tombstones: Sequence[str] = ()
    handovers: Mapping[str, Sighting] = field(default_factory=dict)
    forgotten: Sequence[str] = ()
    held_back: int = 0


def compare(
    source: str,
    given: Mapping[str, Given],
    stored: Mapping[str, Stored],
    seen_before: Mapping[str, float],
    leaned_on: Collection[str],
) -> Comparison:
    """Hold what a source gives against what is stored.

    Args:
        source: the source that is synced.
        given: by id.
        stored: the elements that the source owns, and those given ones that exist.
        seen_before: what the source saw without owning it, with its confidence.
        leaned_on: nodes that given edges end in; they are not missing, even when the source did not give them.
    """
    result = Comparison()
    for element_id, new in given.items():
        old = stored.get(element_id)
        if old is None or not old.alive:
            result.added.append(element_id)
        elif old.source == source:
            if old.content_hash == new.content_hash:
                result.unchanged += 1
            else:
                result.changed.append(element_id)
        elif new.confidence > old.confidence:
            result.changed.append(element_id)
            result.displaced[element_id] = Sighting(old.source, old.confidence)
        else:
            result.unchanged += 1
            if seen_before.get(element_id) != new.confidence:
                result.sightings[element_id] = new.confidence
    owned = [element_id for element_id, old in stored.items() if old.alive and old.source == source]
    result.missing_owned = [i for i in owned if i not in given and i not in leaned_on]
    result.missing_seen = [i for i in seen_before if i not in given and i not in leaned_on]
    result.had = len(owned) + len(seen_before)
    return result


def decide_removal(
    comparison: Comparison,
    witnesses: Mapping[str, Sequence[Sighting]],
    *,
    complete: bool,
    max_removed_fraction: float,
) -> Removal:
    """Decide about the missing elements: tombstone, pass on, or hold everything back.

    Args:
        comparison: from `compare`.
        witnesses: for each missing owned element, the other sources that see it.
        complete: the source was read to its end without an error.
        max_removed_fraction: more than this part of what the source had is not believed.

    >>> decide_removal(Comparison(missing_owned=["a"], had=2), {}, complete=True, max_removed_fraction=0.5).tombstones
    ['a']
    >>> decide_removal(Comparison(missing_owned=["a"], had=1), {}, complete=True, max_removed_fraction=0.5).held_back
    1
    """
    missing = len(comparison.missing_owned) + len(comparison.missing_seen)
    if not complete or missing > max_removed_fraction * comparison.had:
        return Removal(held_back=missing)
    handovers = {
        # the surest witness; among equals the first by name, so that every store decides alike
        element_id: min(witnesses[element_id], key=lambda sighting: (-sighting.confidence, sighting.source))
        for element_id in comparison.missing_owned
        if witnesses.get(element_id)
    }
    return Removal(
        tombstones=[element_id for element_id in comparison.missing_owned if element_id not in handovers],
        handovers=handovers,
        forgotten=comparison.missing_seen,
    )
