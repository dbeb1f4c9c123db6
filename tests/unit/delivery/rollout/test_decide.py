from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from rollouts import HARMED, NOTHING, NOW, OPEN, PROVEN, a_rollout, evidence

from bailiwick.delivery.rollout.decide import barred, decide, step_after, unproven, watched
from bailiwick.delivery.rollout.freeze import FreezeWindow
from bailiwick.delivery.rollout.model import (
    Action,
    BlastRadius,
    Evidence,
    Finding,
    Rollout,
    RolloutState,
    Step,
)
from bailiwick.delivery.rollout.policy import default_policy
from bailiwick.delivery.rollout.schedule import DEFAULT_STEPS

FROZEN = replace(
    default_policy(), freezes=(FreezeWindow("release stop", NOW - timedelta(hours=1), NOW + timedelta(hours=1)),)
)
APPROVAL = (replace(DEFAULT_STEPS[0], approval=True), *DEFAULT_STEPS[1:])
GUARDING = a_rollout(state=RolloutState.GUARDING, step=4, weight=9_500, seen_s=10.0)


def test_decide__proven_after_dwell_and_sample__next_step() -> None:
    decision = decide(a_rollout(), PROVEN, NOW)
    assert (decision.action, decision.weight, decision.step) == (Action.ADVANCE, 1_000, 1)


@pytest.mark.parametrize(
    "rollout",
    [
        a_rollout(),
        a_rollout(seen_s=0.0),
        a_rollout(policy=FROZEN),
        a_rollout(steps=APPROVAL),
        a_rollout(state=RolloutState.PAUSED),
        GUARDING,
        replace(GUARDING, state=RolloutState.PAUSED),
        a_rollout(step=3, weight=9_000, steps=(*DEFAULT_STEPS[:3], Step(9_000), DEFAULT_STEPS[3])),
    ],
    ids=["running", "dwelling", "frozen", "waiting", "paused", "guarding", "paused guarding", "late"],
)
def test_decide__harm_in_any_state__aborts(rollout: Rollout) -> None:
    decision = decide(rollout, HARMED, NOW)
    assert (decision.action, decision.weight, decision.reason) == (Action.ABORT, 0, "failed is harmful")


@pytest.mark.parametrize("state", [RolloutState.SUCCEEDED, RolloutState.ABORTED, RolloutState.SUPERSEDED])
def test_decide__final__stays_whatever_is_seen(state: RolloutState) -> None:
    assert decide(a_rollout(state=state), HARMED, NOW).action is Action.HOLD


def test_decide__guardrail_harmed_while_the_rest_is_proven__aborts() -> None:
    assert decide(a_rollout(), evidence(Finding.HARMLESS, Finding.HARMFUL), NOW).action is Action.ABORT


def test_decide__guardrail_without_data__does_not_hold() -> None:
    assert decide(a_rollout(), evidence(Finding.HARMLESS, Finding.NO_DATA), NOW).action is Action.ADVANCE


@pytest.mark.parametrize(
    ("rollout", "seen", "why"),
    [
        (a_rollout(seen_s=299.0), PROVEN, "1 % for 1 s more"),
        (a_rollout(), evidence(Finding.HARMLESS, units=199), "199 of 200 units compared"),
        (a_rollout(), replace(PROVEN, control_units=3), "3 of 200 units compared"),
        (a_rollout(), OPEN, "failed is undecided"),
        (a_rollout(), NOTHING, "0 of 200 units compared"),
        (a_rollout(), Evidence((), 500, 500, 500), "nothing was measured"),
        (a_rollout(policy=FROZEN), PROVEN, "frozen by 'release stop' until 2026-03-04T13:00+00:00"),
        (a_rollout(steps=APPROVAL), PROVEN, "waiting for approval to go beyond 1 %"),
        (a_rollout(state=RolloutState.PAUSED, reason="lunch"), PROVEN, "lunch"),
    ],
)
def test_decide__not_proven_or_not_allowed__holds_and_says_why(rollout: Rollout, seen: Evidence, why: str) -> None:
    decision = decide(rollout, seen, NOW)
    assert (decision.action, decision.weight, decision.reason) == (Action.HOLD, rollout.weight, why)


def test_decide__approved__goes_on() -> None:
    assert decide(a_rollout(steps=APPROVAL, approved_step=0), PROVEN, NOW).action is Action.ADVANCE


def test_decide__approval_of_an_earlier_step__does_not_count_for_this_one() -> None:
    steps = tuple(replace(step, approval=True) for step in DEFAULT_STEPS)
    assert decide(a_rollout(steps=steps, step=1, weight=1_000, approved_step=0), PROVEN, NOW).action is Action.HOLD


def test_decide__no_data_for_ever__never_promotes_nor_aborts() -> None:
    endless = a_rollout(policy=replace(default_policy(), max_hold_s=None), seen_s=1e9)
    assert decide(endless, NOTHING, NOW).action is Action.HOLD


@pytest.mark.parametrize(("aborts", "action"), [(False, Action.PAUSE), (True, Action.ABORT)])
def test_decide__undecided_beyond_the_longest_hold__as_the_policy_says(aborts: bool, action: Action) -> None:
    policy = replace(default_policy(), max_hold_s=600.0, abort_on_max_hold=aborts)
    assert decide(a_rollout(policy=policy, seen_s=900.0), OPEN, NOW).action is Action.HOLD
    late = decide(a_rollout(policy=policy, seen_s=900.1), OPEN, NOW)
    assert (late.action, late.reason) == (action, "no decision within 10 min after the dwell: failed is undecided")


def test_decide__proven_beyond_the_longest_hold__promotes() -> None:
    policy = replace(default_policy(), max_hold_s=600.0)
    assert decide(a_rollout(policy=policy, seen_s=1e6), PROVEN, NOW).action is Action.ADVANCE


def test_decide__frozen_beyond_the_longest_hold__holds() -> None:
    policy = replace(FROZEN, max_hold_s=600.0, abort_on_max_hold=True)
    assert decide(a_rollout(policy=policy, seen_s=1e6), OPEN, NOW).action is Action.HOLD


@pytest.mark.parametrize("radius", [BlastRadius(requests=50), BlastRadius(units=50)])
def test_decide__blast_radius_spent_before_proof__aborts(radius: BlastRadius) -> None:
    rollout = a_rollout(policy=replace(default_policy(), blast_radius=radius))
    assert decide(rollout, evidence(Finding.UNDECIDED, units=49, requests=49), NOW).action is Action.HOLD
    spent = decide(rollout, evidence(Finding.UNDECIDED, units=50, requests=50), NOW)
    assert spent.action is Action.ABORT
    assert "at most 50" in spent.reason
    assert "without evidence of harm" in spent.reason
    assert "failed is undecided" in spent.reason


def test_decide__blast_radius_spent_after_proof__goes_on() -> None:
    rollout = a_rollout(policy=replace(default_policy(), blast_radius=BlastRadius(requests=50)))
    assert decide(rollout, PROVEN, NOW).action is Action.ADVANCE
    assert decide(replace(GUARDING, policy=rollout.policy), OPEN, NOW).action is Action.HOLD


def test_decide__last_step_proven__guards_with_the_hold_back() -> None:
    decision = decide(a_rollout(step=2, weight=5_000), PROVEN, NOW)
    assert (decision.action, decision.weight, decision.step) == (Action.ADVANCE, 9_500, 4)


def test_step_after__step_above_the_hold_back__never_takes_weight_away() -> None:
    steps = (Step(100), Step(9_800), Step(10_000))
    assert step_after(a_rollout(steps=steps, step=1, weight=9_800)) == (3, 9_800)


def test_decide__guard_window__finishes_when_it_is_over_and_not_in_a_freeze() -> None:
    assert decide(GUARDING, PROVEN, NOW).reason == "guarding for 60 min more"
    over = replace(GUARDING, seen_s=3_600.0)
    assert decide(over, PROVEN, NOW).action is Action.FINISH
    assert decide(replace(over, policy=FROZEN), PROVEN, NOW).action is Action.HOLD


def test_unproven__before_the_dwell_is_over__asks_for_evidence_alone() -> None:
    assert unproven(a_rollout(seen_s=0.0), PROVEN) is None
    assert unproven(a_rollout(seen_s=0.0), OPEN) == "failed is undecided"


def test_barred__neither_frozen_nor_waiting__nothing() -> None:
    assert barred(a_rollout(), NOW) is None


@pytest.mark.parametrize(
    ("jump_s", "counted_s"), [(1.0, 1.0), (5.0, 5.0), (86_400.0, 5.0), (0.0, 0.0), (-86_400.0, 0.0)]
)
def test_watched__clock_jumps__adds_one_tick_at_most(jump_s: float, counted_s: float) -> None:
    now = NOW + timedelta(seconds=jump_s)
    seen = watched(a_rollout(seen_s=0.0), now, 5.0)
    assert (seen.seen_s, seen.ticked_at) == (counted_s, now)


def test_watched__paused__time_does_not_count() -> None:
    assert watched(a_rollout(state=RolloutState.PAUSED), NOW + timedelta(seconds=5), 5.0).seen_s == 300.0


def test_watched__frozen__counts_up_to_the_dwell_and_no_longer() -> None:
    now = NOW + timedelta(seconds=5)
    assert watched(a_rollout(policy=FROZEN, seen_s=298.0), now, 5.0).seen_s == 300.0
    assert watched(a_rollout(policy=FROZEN, seen_s=700.0), now, 5.0).seen_s == 700.0
