"""However rows share units and texts, nothing stands in two splits."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.datasets.canonical import digest, pack, to_bytes, unpack
from bailiwick.datasets.cleaning import normalise, without_leaks
from bailiwick.datasets.model import Findings, Row, Split
from bailiwick.datasets.splitting import Shares, assign

texts = st.text(alphabet="abcXYZ é", min_size=1, max_size=4)
made_rows = st.lists(
    st.builds(
        Row,
        text=texts,
        label=st.sampled_from(["x", "y", "z"]),
        domain=st.sampled_from(["cards", "loans"]),
        unit=st.none() | st.sampled_from([f"u{i}" for i in range(12)]),
        split=st.none(),
    ),
    min_size=1,
    max_size=80,
)
open_or_given = st.lists(
    st.builds(
        Row,
        text=texts,
        label=st.sampled_from(["x", "y"]),
        domain=st.just("cards"),
        unit=st.none() | st.sampled_from(["u1", "u2", "u3", "u4"]),
        split=st.sampled_from([None, *Split]),
    ),
    min_size=1,
    max_size=60,
)


def splits_by_mark(rows: list[Row]) -> dict[tuple[str, ...], set[Split | None]]:
    found: dict[tuple[str, ...], set[Split | None]] = defaultdict(set)
    for row in rows:
        found["text", row.domain, normalise(row.text)].add(row.split)
        if row.unit is not None:
            found["unit", row.unit].add(row.split)
    return found


@given(made_rows, st.sampled_from([Shares(), Shares(0.5, 0.2), Shares(0.0, 0.0)]))
def test_assign__any_rows__no_unit_and_no_text_straddles(rows: list[Row], shares: Shares) -> None:
    assigned = assign(rows, shares, "salt")
    assert [(row.text, row.label, row.unit) for row in assigned] == [(row.text, row.label, row.unit) for row in rows]
    assert all(len(splits) == 1 for splits in splits_by_mark(assigned).values())


@given(open_or_given)
def test_import__splits_given_in_part__nothing_straddles_and_no_test_row_is_lost(rows: list[Row]) -> None:
    kept, findings = without_leaks(assign(rows, Shares(), "salt"), Findings())
    assert all(len(splits) == 1 for splits in splits_by_mark(kept).values())
    assert findings.leaking == len(rows) - len(kept)
    wanted = [row for row in rows if row.split is Split.TEST]
    assert all(row in kept for row in wanted)


@given(made_rows, st.randoms())
def test_assign__another_order__same_splits(rows: list[Row], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert to_bytes(assign(rows, Shares(), "s")) == to_bytes(assign(shuffled, Shares(), "s"))


@given(made_rows)
@settings(max_examples=30)
def test_canonical__rows__come_back(rows: list[Row]) -> None:
    content = to_bytes(assign(rows, Shares(), "s"))
    assert to_bytes(unpack(pack(content), digest(content))) == content
