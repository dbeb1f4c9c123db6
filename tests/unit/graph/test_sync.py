from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.graph.sync import Comparison, Given, Sighting, Stored, compare, decide_removal


def test_compare__every_case_at_once__each_is_told_apart() -> None:
    given_now = {
        "new": Given(1, 1.0),
        "same": Given(2, 1.0),
        "other": Given(9, 1.0),
        "dead": Given(4, 1.0),
        "stronger": Given(5, 0.6),
        "weaker": Given(6, 1.0),
    }
    stored = {
        "same": Stored("s", 2, 1.0, True),
        "other": Stored("s", 3, 1.0, True),
        "dead": Stored("s", 4, 1.0, False),
        "stronger": Stored("t", 5, 0.9, True),
        "weaker": Stored("t", 6, 0.5, True),
        "gone": Stored("s", 7, 1.0, True),
        "leaned on": Stored("s", 8, 1.0, True),
        "long gone": Stored("s", 9, 1.0, False),
    }

    found = compare("s", given_now, stored, {"seen": 0.5}, {"leaned on"})

    assert found.added == ["new", "dead"]
    assert found.changed == ["other", "weaker"]
    assert found.unchanged == 2
    assert found.sightings == {"stronger": 0.6}
    assert found.displaced == {"weaker": Sighting("t", 0.5)}
    assert found.missing_owned == ["gone"]
    assert found.missing_seen == ["seen"]
    assert found.had == 5


def test_decide_removal__several_witnesses__the_surest_inherits_and_ties_go_by_name() -> None:
    comparison = Comparison(missing_owned=["a", "b"], had=10)
    witnesses = {"a": [Sighting("x", 0.5), Sighting("z", 0.9), Sighting("y", 0.9)]}

    removal = decide_removal(comparison, witnesses, complete=True, max_removed_fraction=0.5)

    assert removal.handovers == {"a": Sighting("y", 0.9)}
    assert removal.tombstones == ["b"]


@given(
    missing=st.integers(0, 50),
    kept=st.integers(0, 50),
    fraction=st.floats(0, 1),
    complete=st.booleans(),
)
def test_decide_removal__any_numbers__never_removes_more_than_believed(
    missing: int, kept: int, fraction: float, complete: bool
) -> None:
    comparison = Comparison(missing_owned=[str(number) for number in range(missing)], had=missing + kept)

    removal = decide_removal(comparison, {}, complete=complete, max_removed_fraction=fraction)

    assert len(removal.tombstones) + removal.held_back == missing
    assert len(removal.tombstones) <= fraction * (missing + kept)
    assert complete or not removal.tombstones
