"""The benchmark of delivery in the small: it measures what it says, through the product's controller."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.delivery.arms import CANARY_STEPS, HOLD_BACK_STEPS, Outcomes, canary_policy, controlled, timed
from benchmarks.delivery.figures import at_half, reduction, summary, upper_share
from benchmarks.delivery.world import HARMS, LAG_STEPS, Releases, World

BATCH = np.array([0.0, 0.05, 0.3])


def test_canary__good_and_bad_releases__bad_come_back_early_good_get_everything() -> None:
    canary = controlled(World(Releases(10.0, BATCH, 7)), CANARY_STEPS, canary_policy())
    hold_back = controlled(World(Releases(10.0, BATCH, 7)), HOLD_BACK_STEPS, canary_policy())

    assert canary.rolled_back.tolist() == hold_back.rolled_back.tolist() == [False, True, True]
    assert (canary.peak[1:] < 5_000).all()
    assert (hold_back.peak >= 9_500).all()
    assert canary.full_s[0] >= 3 * 300
    assert (5 * canary.exposed[1:] < hold_back.exposed[1:]).all()


def test_timed__no_alarm__everything_is_exposed_and_bad_ones_escape() -> None:
    outcomes, largest = timed(World(Releases(1.0, BATCH, 7)), np.inf, at_once=True)
    assert not outcomes.rolled_back.any()
    assert outcomes.exposed == pytest.approx(86_400, rel=0.02)
    assert largest[2] > largest[0]
    by_time, _ = timed(World(Releases(1.0, BATCH, 7)), 4.0, at_once=False)
    assert by_time.rolled_back[2]
    assert by_time.exposed[2] < outcomes.exposed[2] / 10


def test_world__what_happens__is_known_a_minute_later_and_plans_apply_a_step_later() -> None:
    world = World(Releases(100.0, BATCH, 7))
    world.names["r"] = 0
    world.plan(0, 1_000, 1_000, 1)
    world.advance()
    assert world.exposed[0] == 0, "the plan is not applied yet"
    for _ in range(LAG_STEPS):
        world.advance()
    assert world.exposed[0] > 0
    assert world.arm_totals("r") == [], "it is not known yet"
    world.advance()
    assert all(total.moments.units > 0 for total in world.arm_totals("r"))


def test_figures__known_outcomes__as_counted_by_hand() -> None:
    harms = np.array([0.0, 0.0, *HARMS])
    exposed = np.array([0.0, 0.0, 100.0, 100.0, 100.0, 100.0, 100.0])
    never, at_end = np.inf, 60.0
    ours = Outcomes(
        harms,
        exposed,
        np.array([never, 60.0, never, never, 60.0, 60.0, 60.0]),
        np.array([9_500, 9_500, 9_500, 5_000, 100, 100, 100]),
        np.array([at_end, at_end, at_end, never, never, never, never]),
    )
    assert at_half(ours).tolist() == [0, 1, 1, 1, 0, 0, 0]
    told = summary(ours, 0.2)
    assert told.excess == pytest.approx(100 * (0.2 * 0.01 + 0.25 * 0.02 + 0.25 * 0.05 + 0.2 * 0.1 + 0.1 * 0.3))
    assert told.escaped == pytest.approx(0.2)
    assert told.bad_at_half == pytest.approx(0.2 * 0.45 + 0.8 * 0.5)
    assert told.false_rollbacks == 0.5
    ten_times = Outcomes(harms, 10 * exposed, ours.rolled_back_s, ours.peak, ours.full_s)
    assert reduction(ours, ten_times, 0.2, "excess", 1) == pytest.approx((0.9, 0.9, 0.9))
    assert upper_share(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100))
