"""Which rows learn, which choose, which judge: by unit, without leakage, the same in every run.

Rows that share a unit, or a normalised text, form one group (transitively), and a group lands in one split. Groups are
dealt per domain and label in the order of a hash of their key, so every label gets its share in every split.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bailiwick.datasets.cleaning import normalise
from bailiwick.datasets.model import Row, Split
from bailiwick.errors import InvalidInput

_ENOUGH_PER_LABEL = 6


@dataclass(frozen=True, slots=True)
class Shares:
    """Which part of each label's rows judges and which part chooses; the rest learns.

    Choosing and calibrating need few rows but not too few: while a label has less than six for it, up to a tenth.
    """

    test: float = 0.2
    validation: float = 0.05

    def __post_init__(self) -> None:
        if not (0 <= self.test < 1 and 0 <= self.validation < 1 and self.test + self.validation < 1):
            raise InvalidInput(
                f"shares {self.test} and {self.validation} leave nothing to learn from",
                what="shares",
                requested=[self.test, self.validation],
                allowed="each 0 to 1, their sum below 1",
            )


def assign(rows: Sequence[Row], shares: Shares, salt: str) -> list[Row]:
    """Every row with a split. Rows that have one keep it.

    When the source names a test split, only validation is dealt from its training rows; likewise the other way round.

    Args:
        rows: cleaned.
        shares: of the rows that are dealt.
        salt: another salt deals differently.
    """
    given = {row.split for row in rows}
    test = 0.0 if Split.TEST in given else shares.test
    validation = 0.0 if Split.VALIDATION in given else shares.validation
    # Where a source says train and test only, its training rows are where validation may come from.
    open_rows = [i for i, row in enumerate(rows) if row.split is None or row.split is Split.TRAIN]
    dealt = _deal([rows[i] for i in open_rows], test, validation, salt)
    result = list(rows)
    for position, split in zip(open_rows, dealt, strict=True):
        result[position] = replace(result[position], split=split)
    return result


def assign_alone(rows: Sequence[Row], shares: Shares, salt: str) -> list[Row]:
    """Every row with a split that follows from the name of its unit (or its text), and from no other row.

    `assign` keeps equal texts together and deals labels evenly, so one person's rows can move another's between splits.
    That would break the promise of a private training: here adding or removing a unit changes its own rows only.
    """
    return [replace(row, split=row.split or _split_of(row.unit or normalise(row.text), shares, salt)) for row in rows]


def _split_of(key: str, shares: Shares, salt: str) -> Split:
    place = int.from_bytes(hashlib.sha256(f"{salt}\0{key}".encode()).digest()[:8]) / 2**64
    if place < shares.test:
        return Split.TEST
    return Split.VALIDATION if place < shares.test + shares.validation else Split.TRAIN


def _deal(rows: Sequence[Row], test: float, validation: float, salt: str) -> list[Split]:
    groups: dict[int, list[int]] = defaultdict(list)
    for position, root in enumerate(_group(rows)):
        groups[root].append(position)
    strata: dict[tuple[str, str], list[tuple[bytes, list[int]]]] = defaultdict(list)
    for members in groups.values():
        stratum = Counter((rows[i].domain, rows[i].label) for i in members).most_common()
        most = min(key for key, count in stratum if count == stratum[0][1])
        strata[most].append((_order(rows, members, salt), members))
    splits = [Split.TRAIN] * len(rows)
    for dealt in strata.values():
        dealt.sort(key=lambda entry: entry[0])
        total = sum(len(members) for _, members in dealt)
        test_quota, validation_quota = _quota(total, test), _quota(total, validation)
        if validation:
            validation_quota = max(validation_quota, min(_ENOUGH_PER_LABEL, _quota(total, 0.1)))
        for split, quota in ((Split.TEST, test_quota), (Split.VALIDATION, validation_quota)):
            while quota > 0 and len(dealt) > 1 and len(dealt[0][1]) <= 2 * quota:
                _, members = dealt.pop(0)
                quota -= len(members)
                for position in members:
                    splits[position] = split
    return splits


def _quota(total: int, share: float) -> int:
    return max(1, round(total * share)) if share and total >= 5 else 0


def _order(rows: Sequence[Row], members: Sequence[int], salt: str) -> bytes:
    key = min(rows[i].unit or normalise(rows[i].text) for i in members)
    return hashlib.sha256(f"{salt}\0{key}".encode()).digest()


def _group(rows: Sequence[Row]) -> list[int]:
    """For each row the first row of its group (union-find over shared units and shared texts)."""
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[tuple[str, str], int] = {}
    for i, row in enumerate(rows):
        keys = [("text", normalise(row.text))] + ([("unit", row.unit)] if row.unit is not None else [])
        for key in keys:
            a, b = root(first.setdefault(key, i)), root(i)
            parent[max(a, b)] = min(a, b)
    return [root(i) for i in range(len(rows))]
