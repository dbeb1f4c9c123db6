from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from bailiwick.traffic.assign import slot, slots_of, version_for, versions_for
from bailiwick.traffic.model import SLOTS, SlotRange, TrafficPlan

PLAN = TrafficPlan(
    "cards", 3, "salt", (SlotRange(0, 1000, "v1"), SlotRange(1000, 9000, "v2"), SlotRange(9000, SLOTS, "v3"))
)
UNITS = [f"user-{number}" for number in range(20_000)]


def test_slot__golden_units__never_changes() -> None:
    # as algorithm 1 gave them first: were one to change, users would change versions
    assert [slot("salt", unit) for unit in ("user-42", "", "ü", "user-43")] == [2156, 6019, 9086, 2333]


def test_slot__many_units__uniform() -> None:
    counts = np.bincount(slots_of("salt", UNITS) // 100, minlength=100)
    assert counts.sum() == len(UNITS)
    assert chisquare(counts).pvalue > 1e-4


def test_slot__two_salts__independent() -> None:
    first, second = slots_of("a", UNITS) < SLOTS // 2, slots_of("b", UNITS) < SLOTS // 2
    assert abs(float(np.mean(first & second)) - 0.25) < 0.02


def test_versions_for__batch__same_as_one_by_one() -> None:
    assert versions_for(PLAN, UNITS[:500]).tolist() == [version_for(PLAN, unit) for unit in UNITS[:500]]


@pytest.mark.parametrize("unit", ["\ud800 lone surrogate", "x" * 100_000, "\0"])
def test_version_for__odd_unit__still_assigned(unit: str) -> None:
    assert version_for(PLAN, unit) in {"v1", "v2", "v3"}
    assert slots_of("salt", [unit]).tolist() == [slot("salt", unit)]


def test_version_for__weights__served_in_proportion() -> None:
    names, counts = np.unique(versions_for(PLAN, UNITS), return_counts=True)
    shares = dict(zip(names.tolist(), (counts / len(UNITS)).tolist(), strict=True))
    assert shares["v1"] == pytest.approx(0.1, abs=0.01)
    assert shares["v2"] == pytest.approx(0.8, abs=0.015)
