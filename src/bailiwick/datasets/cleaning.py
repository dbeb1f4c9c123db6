"""From rows as found to rows worth training on: empty and repeated ones are dropped and counted, never silently."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from bailiwick.datasets.model import Findings, Row, Split
from bailiwick.datasets.readers import Read

_SHOWN = 10


def normalise(text: str) -> str:
    r"""What makes two texts the same for splitting: compatibility forms, case and white space do not count.

    >>> normalise("  Where is\u00a0my CARD? ")
    'where is my card?'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(slots=True)
class _Notes:
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("empty", "duplicates"), 0))
    places: list[str] = field(default_factory=list)

    def add(self, kind: str, place: str) -> None:
        self.counts[kind] += 1
        if len(self.places) < _SHOWN:
            self.places.append(f"{kind}: {place}")


def clean(found: Iterable[Read]) -> tuple[list[Row], Findings]:
    """The rows that have a text, a label and a domain, each once; and what was left out."""
    notes = _Notes()
    kept: dict[tuple[str, str, str, str | None, Split | None], Row] = {}
    labels: dict[tuple[str, str], set[str]] = {}
    for read in found:
        row = read.row
        if not (row.text and row.label and row.domain):
            notes.add("empty", read.place)
            continue
        text = normalise(row.text)
        key = (text, row.label, row.domain, row.unit, row.split)
        if key in kept:
            notes.add("duplicates", read.place)
            continue
        kept[key] = row
        labels.setdefault((row.domain, text), set()).add(row.label)
    conflicting = sum(len(labels[key[2], key[0]]) > 1 for key in kept)
    return list(kept.values()), Findings(
        empty=notes.counts["empty"],
        duplicates=notes.counts["duplicates"],
        conflicting=conflicting,
        examples=tuple(notes.places),
    )


def without_leaks(rows: list[Row], findings: Findings) -> tuple[list[Row], Findings]:
    """Rows whose text or unit stands in a split that judges are removed from the splits that learn.

    A test row is never removed: what judges stays what the source says.
    """
    kept: list[Row] = []
    taken: set[tuple[str, str, str]] = set()
    removed = 0
    for split in (Split.TEST, Split.VALIDATION, Split.TRAIN):
        of_split = [row for row in rows if row.split is split]
        clear = [row for row in of_split if not taken.intersection(_marks(row))]
        removed += len(of_split) - len(clear)
        kept.extend(clear)
        for row in clear:
            taken.update(_marks(row))
    return kept, replace(findings, leaking=removed)


def _marks(row: Row) -> list[tuple[str, str, str]]:
    marks = [("text", row.domain, normalise(row.text))]
    if row.unit is not None:
        marks.append(("unit", "", row.unit))
    return marks
