"""Whatever weights a canary is given, in any order: who is compared with whom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.errors import InvalidInput
from bailiwick.traffic.assign import version_at
from bailiwick.traffic.comparison import arm_of, compared
from bailiwick.traffic.model import SLOTS, SlotRange, TrafficPlan
from bailiwick.traffic.weights import reweight, whole

WEIGHTS = st.integers(1, SLOTS - 1)


def with_canary(plan: TrafficPlan, weight: int) -> TrafficPlan:
    return reweight(plan, {"v1": SLOTS - weight, "v2": weight})


@given(st.lists(WEIGHTS, min_size=1, max_size=6))
def test_compared__any_walk_of_weights__depends_on_the_last_weight_alone(weights: list[int]) -> None:
    plan = whole("cards", "v1", "salt")
    for weight in weights:
        plan = with_canary(plan, weight)
    assert compared(plan, "r", 1, "v2", "v1").control == (0, min(weights[-1], SLOTS - weights[-1]))


@given(st.lists(WEIGHTS, min_size=2, max_size=6).map(sorted))
def test_compared__canary_grows__both_arms_are_nested_and_apart(weights: list[int]) -> None:
    plan, canary, control = whole("cards", "v1", "salt"), set[int](), set[int]()
    for weight in weights:
        plan = with_canary(plan, weight)
        found = compared(plan, "r", 1, "v2", "v1")
        now = {slot for piece in plan.ranges if piece.version == "v2" for slot in range(piece.first, piece.end)}
        assert canary <= now
        held = set(range(*found.control))
        assert not held & now
        if weight <= SLOTS // 2:
            assert control <= held
            assert len(held) == len(now) == weight
        else:
            assert len(held) == SLOTS - weight
        canary, control = now, held


@given(WEIGHTS)
def test_arm_of__every_slot__is_in_the_arm_whose_share_it_says(weight: int) -> None:
    plan = with_canary(whole("cards", "v1", "salt"), weight)
    comparison = compared(plan, "r", 1, "v2", "v1")
    plan = TrafficPlan(plan.domain, 2, plan.salt, plan.ranges, comparison=comparison)
    arms = [arm_of(plan, slot, version_at(plan, slot)) for slot in range(0, SLOTS)]
    assert arms.count(("canary", weight / SLOTS)) == weight
    control = min(weight, SLOTS - weight)
    assert arms.count(("control", control / SLOTS)) == control
    assert all(arm is None for arm, slot in zip(arms, range(SLOTS), strict=True) if control <= slot < SLOTS - weight)


def test_compared__third_version_or_pieces__refused() -> None:
    three = TrafficPlan("cards", 1, "s", (SlotRange(0, 10, "v1"), SlotRange(10, 20, "v2"), SlotRange(20, SLOTS, "v3")))
    pieces = TrafficPlan("cards", 1, "s", (SlotRange(0, 10, "v2"), SlotRange(10, 20, "v1"), SlotRange(20, SLOTS, "v2")))
    for plan in (three, pieces):
        with pytest.raises(InvalidInput, match="cannot be compared"):
            compared(plan, "r", 1, "v2", "v1")


def test_compared__canary_stands_first__control_is_at_the_far_end() -> None:
    plan = TrafficPlan("cards", 1, "s", (SlotRange(0, 100, "v2"), SlotRange(100, SLOTS, "v1")))
    assert compared(plan, "r", 1, "v2", "v1").control == (SLOTS - 100, SLOTS)


def test_compared__canary_has_everything__nothing_is_left_for_a_control() -> None:
    assert compared(whole("cards", "v2", "s"), "r", 1, "v2", "v1").control == (0, 0)
