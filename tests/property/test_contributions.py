"""What one unit can change, over any rows: the sensitivities that the noise is calibrated to."""

from __future__ import annotations

from collections import Counter
from typing import Any

import hypothesis.strategies as st
from hypothesis import given
from private_rows import stated

from bailiwick.privacy.contributions import BoundedRows, NumericColumn, bound
from bailiwick.privacy.mechanisms.counts import Count
from bailiwick.privacy.mechanisms.histograms import Histogram
from bailiwick.privacy.mechanisms.means import Mean
from bailiwick.privacy.mechanisms.partition_selection import PartitionSelection
from bailiwick.privacy.mechanisms.sums import Sum
from bailiwick.privacy.terms import ColumnBounds

UNITS = ["ann", "bob", "cid", None]
ROW = st.tuples(
    st.sampled_from(UNITS),
    st.sampled_from(["a", "b", "c", "unlisted", None]),
    st.one_of(st.floats(), st.integers(-(10**30), 10**30), st.none(), st.text(max_size=3)),
)
ROWS = st.lists(ROW, max_size=30)
CAP = st.integers(1, 4)
BOUNDS = st.tuples(st.integers(-50, 50), st.integers(1, 60)).map(lambda pair: ColumnBounds(pair[0], pair[0] + pair[1]))


def bounded(rows: list[Any], cap: int, bounds: ColumnBounds, *, distinct: bool = False) -> BoundedRows:
    terms = stated(contribution_cap=cap, bounds={"amount": bounds})
    numeric = {} if distinct else {NumericColumn.of(terms, "amount", 1): [row[2] for row in rows]}
    return bound(
        terms,
        [row[0] for row in rows],
        categorical={"label": [row[1] for row in rows]},
        numeric=numeric,
        distinct=distinct,
    )


def kept(rows: BoundedRows) -> Counter[Any]:
    return Counter(zip(rows.units, rows.categories["label"], rows.numbers["amount"], strict=True))


@given(ROWS, CAP, BOUNDS)
def test_bound__any_rows__within_cap_bounds_and_list(rows: list[Any], cap: int, bounds: ColumnBounds) -> None:
    found = bounded(rows, cap, bounds)
    column = found.numeric["amount"]
    assert max(Counter(found.units).values(), default=0) <= cap
    assert set(found.categories["label"]) <= {"a", "b", "c"}
    assert all(column.lower <= value <= column.upper for value in found.numbers["amount"])


@given(ROWS, CAP, BOUNDS, st.randoms(use_true_random=False))
def test_bound__rows_in_another_order__the_same_are_kept(
    rows: list[Any], cap: int, bounds: ColumnBounds, order: Any
) -> None:
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert kept(bounded(rows, cap, bounds)) == kept(bounded(shuffled, cap, bounds))


@given(ROWS, CAP, BOUNDS, st.sampled_from(["ann", "bob", "cid"]))
def test_bound__one_unit_removed__no_other_unit_changes(
    rows: list[Any], cap: int, bounds: ColumnBounds, gone: str
) -> None:
    whole = kept(bounded(rows, cap, bounds))
    less = kept(bounded([row for row in rows if row[0] != gone], cap, bounds))
    assert less == Counter({row: count for row, count in whole.items() if row[0] != gone})


@given(ROWS, CAP, BOUNDS, st.sampled_from(["ann", "bob", "cid"]))
def test_sensitivity__one_unit_removed__no_answer_moves_further(
    rows: list[Any], cap: int, bounds: ColumnBounds, gone: str
) -> None:
    less = [row for row in rows if row[0] != gone]
    whole, part = bounded(rows, cap, bounds), bounded(less, cap, bounds)
    terms, column = whole.terms, whole.numeric["amount"]
    assert len(whole) - len(part) <= Count(terms, 1.0).sensitivity
    assert len(set(whole.units)) - len(set(part.units)) <= Count(terms, 1.0, units=True).sensitivity
    values, fewer = whole.numbers["amount"], part.numbers["amount"]
    assert abs(sum(values) - sum(fewer)) <= Sum(terms, column, 1.0).sensitivity
    mean = Mean(terms, column, 1.0)
    moved = sum(value - mean.middle for value in values) - sum(value - mean.middle for value in fewer)
    assert abs(moved) <= mean.sensitivity
    cells = Counter(whole.categories["label"])
    cells.subtract(Counter(part.categories["label"]))
    assert sum(map(abs, cells.values())) <= Histogram(terms, ("label",), 1.0).sensitivity


@given(ROWS, CAP, BOUNDS, st.sampled_from(["ann", "bob", "cid"]))
def test_sensitivity__distinct_rows__a_unit_moves_few_values_by_one(
    rows: list[Any], cap: int, bounds: ColumnBounds, gone: str
) -> None:
    whole = bounded(rows, cap, bounds, distinct=True)
    part = bounded([row for row in rows if row[0] != gone], cap, bounds, distinct=True)
    moved = Counter(whole.categories["label"])
    moved.subtract(Counter(part.categories["label"]))
    assert set(moved.values()) <= {0, 1}
    assert sum(moved.values()) <= PartitionSelection(whole.terms, "word", 1.0, 1e-6).values_per_unit
