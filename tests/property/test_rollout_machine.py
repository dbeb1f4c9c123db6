"""Rollouts under everything that may happen to them, in any order: the invariants of delivery.

I1 weight rises only on evidence, or by a person who forces it with a reason; I2 a rollout that is over, or paused, or
frozen, never gains weight by itself; I3 exactly one transition to each version of a rollout; I4 the plan is the one
that the rollout wants; I5 at most one active rollout; I6 every transition has its audit entry; I7 the baseline is in
the plan until the rollout is over; I8 weights cover every slot (that they are nested: `test_plan_comparisons`); I9 a
clock that jumps shortens no dwell; I10 an abort is never refused.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rollouts import HeldTotals, Rollouts

from bailiwick.clock import VirtualClock
from bailiwick.delivery.rollout import store
from bailiwick.delivery.rollout.controller import LEASE
from bailiwick.delivery.rollout.freeze import FreezeWindow, Weekday, frozen_by
from bailiwick.delivery.rollout.model import Finding, Rollout, RolloutState, Step, Transition
from bailiwick.errors import Conflict, GateFailed, InvalidInput, NotFound, PolicyDenied
from bailiwick.governance.audit import Actor
from bailiwick.storage.database import Database
from bailiwick.storage.leases import Leases
from bailiwick.traffic.model import SLOTS, TrafficPlan

ADA, BOB = Actor("ada", reason="so be it"), Actor("bob", reason="looks fine")
STEPS = (Step(100, 60, 100, 5.0), Step(1_000, 120, 100, 2.0, True), Step(4_000, 60, 200), Step(SLOTS))
NIGHT = FreezeWindow("night", days=frozenset(Weekday), opens=datetime(2026, 1, 1, 22).time(), lasts=timedelta(hours=8))  # noqa: DTZ001
REFUSED = (Conflict, GateFailed, PolicyDenied, NotFound, InvalidInput)
LONGEST_TICK_S = 60.0


class RolloutMachine(RuleBasedStateMachine):
    """Two controllers, people, clocks and users of one domain."""

    template: Path

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.database = Database(f"sqlite:///{shutil.copy(self.template, self.folder / 'test.db')}")
        self.clock = VirtualClock(datetime(2026, 3, 4, 12, tzinfo=UTC))
        self.totals = HeldTotals()
        self.rollouts = Rollouts(self.database, self.clock, self.totals)
        self.controllers = [self.rollouts.controller, self.rollouts.another()]
        self.failed, self.each, self.next_version = 0, 0, 2
        self.weights: dict[str, int] = {}
        self.last_tick: dict[str, datetime] = {}
        self.dwelt: dict[str, float] = {}

    def teardown(self) -> None:
        if hasattr(self, "database"):
            self.rollouts.metrics.close()
            self.database.close()
            shutil.rmtree(self.folder)

    # What people do

    @rule(held=st.booleans(), glass=st.booleans())
    def start(self, held: bool, glass: bool) -> None:
        busy, frozen = self.active() is not None, frozen_by((NIGHT,), self.clock.now()) is not None
        version = "bad" if held else f"v{self.next_version}"
        policy = self.rollouts.policy(freezes=(NIGHT,), guard_s=120.0, max_hold_s=900.0)
        try:
            started = self.rollouts.service.start(
                "cards", version, actor=ADA, steps=STEPS, policy=policy, break_glass=glass
            )
        except PolicyDenied:
            assert frozen
            assert not glass
            assert not held
            return
        except Conflict:
            # busy, served already, or shared by versions that a superseded rollout left behind
            assert busy or len(self.plan().weights) > 1 or version in self.plan().weights
            return
        assert not busy
        assert held or glass or not frozen
        assert (started.rollout is None) == held
        if not held:
            self.next_version = self.next_version % 8 + 1
            self.each = self.failed = 0
            self.show_totals()

    @rule()
    def pause(self) -> None:
        self.person(lambda: self.rollouts.service.pause("cards", actor=BOB))

    @rule()
    def resume(self) -> None:
        self.person(lambda: self.rollouts.service.resume("cards", actor=BOB))

    @rule(full=st.booleans(), force=st.booleans())
    def promote(self, full: bool, force: bool) -> None:
        self.person(lambda: self.rollouts.service.promote("cards", actor=BOB, full=full, force=force))

    @rule(weight=st.sampled_from([1, 100, 500, 1_000, 4_000, 6_000, 9_500]), force=st.booleans())
    def set_weight(self, weight: int, force: bool) -> None:
        self.person(lambda: self.rollouts.service.set_weight("cards", weight, actor=BOB, force=force))

    @rule(who=st.sampled_from([ADA, BOB]))
    def approve(self, who: Actor) -> None:
        self.person(lambda: self.rollouts.service.approve("cards", actor=who))

    @precondition(lambda self: self.active() is not None)
    @rule()
    def abort(self) -> None:
        """I10: whatever the state, the freeze, the evidence or the lease."""
        active = self.active()
        assert active is not None
        assert self.rollouts.service.abort("cards", actor=BOB).state is RolloutState.ABORTED
        assert self.plan().weights == {active.baseline: SLOTS}

    @precondition(lambda self: self.active() is not None)
    @rule()
    def roll_back_by_hand(self) -> None:
        active = self.active()
        assert active is not None
        self.rollouts.estate.delivery.rollback("cards", actor=BOB)
        assert self.rollouts.service.get(active.id).state is RolloutState.SUPERSEDED
        assert active.version not in self.plan().weights

    @precondition(lambda self: len(self.plan().weights) > 1 and self.active() is None)
    @rule()
    def tidy_up(self) -> None:
        self.rollouts.estate.delivery.promote("cards", max(self.plan().weights), actor=BOB)

    # What users show

    @rule(users=st.sampled_from([5, 200, 5_000]), fails=st.sampled_from([0.0, 0.0, 0.5]))
    def users_come(self, users: int, fails: float) -> None:
        self.each += users
        self.failed += round(users * fails)
        self.show_totals()

    # What time and machines do

    @rule(seconds=st.sampled_from([1.0, 30.0, 60.0]), who=st.integers(0, 1))
    def tick(self, seconds: float, who: int) -> None:
        self.clock.sleep(seconds)
        self.controllers[who].tick(self.clock.now())

    @rule(hours=st.sampled_from([-30.0, -1.0, 6.0, 40.0]), who=st.integers(0, 1))
    def clock_jumps(self, hours: float, who: int) -> None:
        self.clock.advance(timedelta(hours=hours))
        self.controllers[who].tick(self.clock.now())

    @rule(who=st.integers(0, 1))
    def controller_dies(self, who: int) -> None:
        """Another one starts in its place, which knows nothing."""
        self.controllers[who] = self.rollouts.another()

    @precondition(lambda self: self.active() is not None)
    @rule(aborted_between=st.booleans())
    def zombie_wakes_up(self, aborted_between: bool) -> None:
        """A controller looked, slept beyond its lease while another one wrote, and now writes what it had decided."""
        looked_at = self.active()
        assert looked_at is not None
        stale = Leases(self.database, self.clock).acquire(LEASE, "zombie", 1.0)
        if stale is None:
            return
        self.clock.sleep(2)
        self.controllers[0].tick(self.clock.now())
        if aborted_between and self.active() is not None:
            self.rollouts.service.abort("cards", actor=BOB)
        before = self.plan()
        outcome = self.controllers[1].step(replace(looked_at, seen_s=1e6), stale, self.clock.now())
        assert not outcome.written
        assert self.plan() == before

    # Invariants

    @invariant()
    def at_most_one_is_active_and_the_plan_is_what_it_wants(self) -> None:
        if not hasattr(self, "database"):
            return
        with self.database.read() as connection:
            active = store.listed(connection, active=True)
        assert len(active) <= 1  # I5
        plan = self.plan()
        assert sum(plan.weights.values()) == SLOTS  # I8
        if active:
            (rollout,) = active
            assert plan.revision == rollout.plan_revision  # I4
            assert plan.weights.get(rollout.version, 0) == rollout.weight
            assert plan.weights.get(rollout.baseline, 0) > 0  # I7: warm
            assert plan.comparison is not None
            assert plan.comparison.rollout == rollout.id
            assert plan.comparison.epoch == len(rollout.epochs)
        else:
            assert plan.comparison is None

    @invariant()
    def history_is_whole(self) -> None:
        if not hasattr(self, "database"):
            return
        audited = {entry.subject: 0 for entry in self.rollouts.estate.audit.entries(limit=10_000)}
        for entry in self.rollouts.estate.audit.entries(limit=10_000):
            audited[entry.subject] += entry.subject.startswith("rollout:")
        for rollout in self.rollouts.service.list(limit=1_000):
            moves = self.rollouts.service.transitions(rollout.id)
            assert [move.row_version for move in moves] == list(range(1, rollout.row_version + 1))  # I3
            assert audited[f"rollout:{rollout.id}"] == len(moves)  # I6
            assert (moves[-1].after, moves[-1].weight) == (rollout.state, rollout.weight)
            for before, move in itertools.pairwise(moves):
                self.check_move(rollout, before, move)

    def check_move(self, rollout: Rollout, before: Transition, move: Transition) -> None:
        assert not before.after.is_final
        if move.weight <= before.weight:
            return
        if move.forced:
            assert move.actor == "bob"
            assert move.reason
            return
        assert (
            all(metric.finding is Finding.HARMLESS for metric in move.evidence.metrics if metric.rule.required)
            or move.after is RolloutState.SUCCEEDED
        )  # I1
        assert frozen_by(rollout.policy.freezes, move.at) is None  # I2
        if move.fence is not None:
            assert before.after is not RolloutState.PAUSED
        if before.step == 1 and before.weight < 9_500:
            assert any(each.action == "approve" for each in self.rollouts.service.transitions(rollout.id))

    @invariant()
    def dwells_are_not_shortened(self) -> None:
        """I9: the time that counts is at most one tick's most for each tick, wherever the clock went."""
        if not hasattr(self, "database"):
            return
        active = self.active()
        if active is None:
            return
        key = f"{active.id}:{active.row_version}"
        before = self.dwelt.get(key, active.seen_s)
        assert active.seen_s <= before + 2 * LONGEST_TICK_S
        self.dwelt[key] = active.seen_s

    # Helpers

    def person(self, act: object) -> None:
        with contextlib.suppress(*REFUSED):
            act()  # type: ignore[operator]

    def active(self) -> Rollout | None:
        with self.database.read() as connection:
            return store.active_of(connection, "cards")

    def plan(self) -> TrafficPlan:
        found = self.rollouts.estate.traffic.plan("cards")
        assert found is not None
        return found

    def show_totals(self) -> None:
        self.totals.set(canary_failed=self.failed, control_failed=0, each=self.each)


RolloutMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


class TestRollouts(RolloutMachine.TestCase):  # type: ignore[name-defined, misc]
    """Run by pytest."""

    @pytest.fixture(autouse=True)
    def _with_template(self, sqlite_template: Path) -> None:
        RolloutMachine.template = sqlite_template
