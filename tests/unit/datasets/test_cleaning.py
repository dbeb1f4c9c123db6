from __future__ import annotations

from bailiwick.datasets.cleaning import clean, without_leaks
from bailiwick.datasets.model import Findings, Row, Split
from bailiwick.datasets.readers import Read


def test_clean__empty_and_repeated_rows__dropped_and_counted_with_places() -> None:
    found = [
        Read(Row("a", "x", "d"), "f:2"),
        Read(Row("A ", "x", "d"), "f:3"),
        Read(Row("", "x", "d"), "f:4"),
        Read(Row("b", "", "d"), "f:5"),
        Read(Row("b", "y", ""), "f:6"),
        Read(Row("a", "y", "d"), "f:7"),
    ]
    kept, findings = clean(found)
    assert [row.label for row in kept] == ["x", "y"]
    assert (findings.empty, findings.duplicates, findings.conflicting) == (3, 1, 2)
    assert findings.examples == ("duplicates: f:3", "empty: f:4", "empty: f:5", "empty: f:6")


def test_without_leaks__text_or_unit_in_the_test_split__removed_from_training() -> None:
    rows = [
        Row("same", "x", "d", None, Split.TRAIN),
        Row("Same", "x", "d", None, Split.TEST),
        Row("mine", "x", "d", "ada", Split.TRAIN),
        Row("yours", "x", "d", "ada", Split.VALIDATION),
        Row("free", "x", "d", "bob", Split.TRAIN),
        Row("same", "x", "other", None, Split.TRAIN),
    ]
    kept, findings = without_leaks(rows, Findings())
    assert findings.leaking == 2
    assert {(row.text, row.domain) for row in kept if row.split is Split.TRAIN} == {("free", "d"), ("same", "other")}
    assert [row.text for row in kept if row.split is Split.TEST] == ["Same"]
