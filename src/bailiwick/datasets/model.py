"""The nouns of data sets: rows, splits, snapshots, and what was found while reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

FROM_GRAPH = "graph"
"""The source of data sets that were made from the knowledge graph."""


class Split(StrEnum):
    """What a row is for: to learn from, to choose and calibrate with, or to judge with."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled text.

    Args:
        domain: whose model it trains.
        unit: the person or thing that it came from; all rows of a unit land in one split.
        split: given by the source, or assigned; None until then.
    """

    text: str
    label: str
    domain: str
    unit: str | None = None
    split: Split | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What was left out on the way from the source to the snapshot, in rows.

    Args:
        empty: rows without a text or a label.
        duplicates: rows equal to an earlier one.
        leaking: training or validation rows removed because their text or unit is also in the test split (or, for
            training rows, in the validation split).
        conflicting: rows kept whose text also carries another label in the same domain.
        examples: the first few places, for people.
        unit_column: the column that named the units, if one was given.
        independent: no unit's rows decided what became of another unit's: nothing was removed as leaking, and the split
            of a unit follows from its name alone. Only then can a model protect a unit.
    """

    empty: int = 0
    duplicates: int = 0
    leaking: int = 0
    conflicting: int = 0
    examples: tuple[str, ...] = ()
    unit_column: str | None = None
    independent: bool = False


@dataclass(frozen=True, slots=True)
class Dataset:
    """An immutable snapshot of rows, each in one split.

    Args:
        id: ``{name}-{first 12 digits of the sha256}``; the same rows under the same name are the same data set.
        sha256: of the canonical rows.
        domains: per domain, how many rows of each split.
        labels: per domain, how many rows of each label.
        source: where the rows came from, for people.
        content: hash of the texts alone, see `canonical.content_of`; None: imported before it was kept.
    """

    id: str
    name: str
    sha256: str
    created_at: datetime
    created_by: str
    source: str
    rows: int
    domains: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    findings: Findings = Findings()
    content: str | None = None
