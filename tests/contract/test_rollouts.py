"""Rollouts through the real services, on both databases."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from deliveries import ADA, Estate
from rollouts import HeldTotals, Rollouts
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from bailiwick.clock import VirtualClock
from bailiwick.delivery.model import DeploymentStatus
from bailiwick.delivery.rollout import store
from bailiwick.delivery.rollout.controller import LEASE
from bailiwick.delivery.rollout.freeze import FreezeWindow
from bailiwick.delivery.rollout.model import Action, RolloutState, Step
from bailiwick.delivery.rollout.schedule import DEFAULT_STEPS
from bailiwick.errors import Conflict, GateFailed, InvalidInput, NotFound, PolicyDenied
from bailiwick.governance.audit import Actor
from bailiwick.storage.database import Database
from bailiwick.storage.leases import Leases
from bailiwick.traffic.model import Comparison
from bailiwick.traffic.service import TrafficService

BOB = Actor("bob", reason="because")


@pytest.fixture
def totals() -> HeldTotals:
    return HeldTotals()


@pytest.fixture
def rollouts(database: Database, clock: VirtualClock, totals: HeldTotals) -> Rollouts:
    return Rollouts(database, clock, totals)


def statuses(estate: Estate) -> dict[str, str]:
    return {made.version: made.status.value for made in reversed(estate.delivery.history("cards"))}


def test_start__gates_pass__canary_beside_an_equal_control(rollouts: Rollouts) -> None:
    rollout = rollouts.start()
    plan = rollouts.estate.traffic.plan("cards")
    assert plan is not None
    assert plan.weights == {"v1": 9_900, "v2": 100}
    assert plan.comparison == Comparison(rollout.id, 1, "v2", (0, 100))
    assert (rollout.state, rollout.plan_revision, rollout.base_revision) == (RolloutState.RUNNING, plan.revision, 1)
    assert rollouts.service.get("cards") == rollouts.service.get(rollout.id) == rollout
    assert statuses(rollouts.estate) == {"v1": "deployed", "v2": "deployed"}
    actions = [action for action, _ in rollouts.estate.actions()]
    assert {"rollout.start", "traffic.rollout", "deployment.deploy"} <= set(actions)


def test_start__gate_fails__held_and_recorded_with_traffic_untouched(rollouts: Rollouts) -> None:
    started = rollouts.service.start("cards", "bad", actor=ADA)
    assert started.rollout is None
    assert started.deployment.status is DeploymentStatus.HELD
    assert rollouts.estate.weights() == {"v1": 10_000}
    assert rollouts.service.list() == []


def test_start__gate_fails_but_forced__begins_and_says_so(rollouts: Rollouts) -> None:
    with pytest.raises(InvalidInput, match="needs a reason"):
        rollouts.service.start("cards", "bad", actor=ADA, force=True)
    started = rollouts.service.start("cards", "bad", actor=BOB, force=True)
    assert started.rollout is not None
    assert rollouts.service.transitions(started.rollout.id)[0].forced


@pytest.mark.parametrize(
    ("version", "options", "error"),
    [
        ("nothing", {}, NotFound),
        ("v1", {}, Conflict),
        ("v2", {"steps": (Step(500), Step(100), Step(10_000))}, InvalidInput),
        ("v2", {"expected_revision": 7}, Conflict),
    ],
)
def test_start__that_cannot_be__refused_with_nothing_changed(
    rollouts: Rollouts, version: str, options: dict[str, Any], error: type[Exception]
) -> None:
    before = rollouts.estate.actions()
    with pytest.raises(error):
        rollouts.service.start("cards", version, actor=ADA, **options)
    assert rollouts.estate.actions() == before


def test_start__busy_domain__refused(rollouts: Rollouts) -> None:
    rollouts.start()
    with pytest.raises(Conflict, match="'cards' is busy: 'v2' is being rolled out"):
        rollouts.service.start("cards", "v3", actor=ADA)


def test_start__two_versions_share_the_domain__refused(rollouts: Rollouts) -> None:
    rollouts.estate.delivery.deploy("cards", "v2", share=1_000, actor=ADA)
    with pytest.raises(Conflict, match=r"v1 \(90 %\), v2 \(10 %\)"):
        rollouts.service.start("cards", "v3", actor=ADA)


def test_start__many_at_once__exactly_one_begins(rollouts: Rollouts, database: Database) -> None:
    outcomes: list[object] = []

    def begin(version: str) -> None:
        try:
            outcomes.append(rollouts.service.start("cards", version, actor=ADA))
        except Conflict as error:
            outcomes.append(error)

    threads = [threading.Thread(target=begin, args=(f"v{number}",)) for number in range(2, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(not isinstance(each, Conflict) for each in outcomes) == 1
    assert len(outcomes) == 5


def test_store__second_active_rollout_of_a_domain__refused_by_the_database(
    rollouts: Rollouts, database: Database
) -> None:
    rollout = rollouts.start()
    with pytest.raises(IntegrityError), database.write() as connection:
        store.add(connection, replace(rollout, id="rollout-2"))


def test_store__whatever_is_written__is_read_back(rollouts: Rollouts, database: Database) -> None:
    begins = rollouts.clock.now() + timedelta(days=1)
    freeze = FreezeWindow("weekend", start=begins, end=begins + timedelta(days=1))
    rollout = rollouts.start(policy=rollouts.policy(freezes=(freeze,)))
    with database.read() as connection:
        assert store.find(connection, rollout.id) == rollout
        assert store.listed(connection, active=True) == [rollout]
        assert connection.execute(select(store.canary_deployments.c.domain)).scalar_one() == "cards"


def test_controller__harmful__taken_back_by_itself(rollouts: Rollouts, totals: HeldTotals) -> None:
    rollout = rollouts.start()
    totals.set(canary_failed=30, control_failed=2, each=100)
    outcome = rollouts.tick()
    assert outcome is not None
    assert outcome.decision is not None
    assert outcome.decision.action is Action.ABORT
    plan = rollouts.estate.traffic.plan("cards")
    assert plan is not None
    assert (plan.weights, plan.comparison) == ({"v1": 10_000}, None)
    ended = rollouts.service.get(rollout.id)
    assert (ended.state, ended.weight, ended.plan_revision) == (RolloutState.ABORTED, 0, plan.revision)
    assert ended.reason == "failed is worse: 30 % against 2 %"
    assert statuses(rollouts.estate) == {"v1": "deployed", "v2": "rolled_back"}
    last = rollouts.estate.audit.entries(subject=f"rollout:{rollout.id}")[0]
    assert (last.action, last.actor, last.reason) == ("rollout.abort", "controller", ended.reason)
    assert last.after["evidence"] == [
        "failed is worse: 30 % against 2 %",
        "no data on latency_ms p95",
        "no data on correct",
    ]


def test_controller__harmless__all_the_way_to_everybody(rollouts: Rollouts, totals: HeldTotals) -> None:
    rollout = rollouts.start(policy=rollouts.policy(guard_s=120.0))
    totals.set(canary_failed=100, control_failed=100, each=20_000)
    weights, controls = [], []
    for _ in range(40):
        rollouts.tick()
        plan = rollouts.estate.traffic.plan("cards")
        assert plan is not None
        weights.append(plan.weights.get("v2", 0))
        controls.append(plan.comparison.control if plan.comparison else None)
    assert list(dict.fromkeys(weights)) == [100, 1_000, 5_000, 9_500, 10_000]
    assert list(dict.fromkeys(controls)) == [(0, 100), (0, 1_000), (0, 5_000), (0, 500), None]
    assert rollouts.service.get(rollout.id).state is RolloutState.SUCCEEDED
    assert statuses(rollouts.estate) == {"v1": "replaced", "v2": "promoted"}
    moves = rollouts.service.transitions(rollout.id)
    assert [move.row_version for move in moves] == [1, 2, 3, 4, 5]
    assert all("not worse by" in move.evidence.metrics[0].words for move in moves[1:4])
    assert rollouts.estate.delivery.rollback("cards", actor=ADA).plan.weights == {"v1": 10_000}


def test_controller__no_traffic__holds_for_ever(rollouts: Rollouts) -> None:
    rollout = rollouts.start(policy=rollouts.policy(max_hold_s=None))
    for _ in range(50):
        rollouts.tick()
    assert rollouts.service.get(rollout.id).state is RolloutState.RUNNING
    assert rollouts.estate.weights() == {"v1": 9_900, "v2": 100}


def test_controller__real_totals__a_worse_canary_is_aborted_and_a_good_one_goes_on(
    sqlite_database: Database, clock: VirtualClock
) -> None:
    rollouts = Rollouts(sqlite_database, clock)
    steps = (Step(2_000, 60, 100, 5.0), Step(10_000))
    rollouts.start(steps=steps, adapt=False)
    rollouts.serve(1_500, {"v1": 0.02, "v2": 0.3})
    outcome = rollouts.tick()
    assert outcome is not None
    assert outcome.rollout.state is RolloutState.ABORTED
    rollouts.start("v3", steps=steps, adapt=False)
    rollouts.serve(2_500, {"v1": 0.02, "v3": 0.02})
    outcome = rollouts.tick()
    assert outcome is not None
    assert (outcome.rollout.state, outcome.rollout.weight) == (RolloutState.GUARDING, 9_500)
    assert outcome.rollout.evidence.canary_units == pytest.approx(500, abs=80)


def test_controller__two_at_once__one_lease_and_one_move(rollouts: Rollouts, totals: HeldTotals) -> None:
    rollout, other = rollouts.start(), rollouts.another()
    totals.set(canary_failed=30, control_failed=2, each=100)
    now = rollouts.clock.now()
    assert [len(controller.tick(now)) for controller in (rollouts.controller, other)] == [1, 0]
    assert len(rollouts.service.transitions(rollout.id)) == 2


def test_controller__lost_its_lease_without_noticing__is_refused_by_the_fence(
    rollouts: Rollouts, totals: HeldTotals, database: Database
) -> None:
    rollout = rollouts.start()
    stale = Leases(database, rollouts.clock).acquire(LEASE, "zombie", 5.0)
    assert stale is not None
    rollouts.clock.sleep(60)
    rollouts.controller.tick(rollouts.clock.now())  # the next holder has written
    totals.set(canary_failed=0, control_failed=0, each=20_000)
    now = rollouts.clock.now() + timedelta(seconds=600)
    seen = replace(rollouts.service.get(rollout.id), seen_s=1e6)
    before = rollouts.estate.weights()
    outcome = rollouts.another().step(seen, stale, now)
    assert not outcome.written
    assert rollouts.estate.weights() == before
    assert len(rollouts.service.transitions(rollout.id)) == 1


def test_controller__aborted_between_its_look_and_its_write__writes_nothing(
    rollouts: Rollouts, totals: HeldTotals, database: Database
) -> None:
    rollout = rollouts.start()
    totals.set(canary_failed=0, control_failed=0, each=20_000)
    lease = Leases(database, rollouts.clock).acquire(LEASE, "me", 5.0)
    assert lease is not None
    looked_at = replace(rollout, seen_s=1e6)
    rollouts.service.abort(rollout.id, actor=BOB)
    outcome = rollouts.controller.step(looked_at, lease, rollouts.clock.now())
    assert not outcome.written
    assert rollouts.service.get(rollout.id).state is RolloutState.ABORTED
    assert rollouts.estate.weights() == {"v1": 10_000}


def test_controller__plan_changed_past_delivery__gives_way(rollouts: Rollouts, totals: HeldTotals) -> None:
    rollout = rollouts.start()
    totals.set(canary_failed=30, control_failed=2, each=100)
    with rollouts.estate.traffic.changing() as connection:
        rollouts.estate.traffic.change(connection, "cards", {"v1": 4_000, "v2": 6_000}, actor=BOB)
    rollouts.tick()
    ended = rollouts.service.get(rollout.id)
    assert (ended.state, ended.reason) == (RolloutState.SUPERSEDED, "bob changed the traffic by hand")
    assert rollouts.estate.weights() == {"v1": 4_000, "v2": 6_000}


@pytest.mark.parametrize("by_hand", ["deploy", "rollback", "promote", "shift"])
def test_delivery__by_hand_amid_a_rollout__supersedes_it(rollouts: Rollouts, by_hand: str) -> None:
    rollout, delivery = rollouts.start(), rollouts.estate.delivery
    if by_hand == "deploy":
        delivery.deploy("cards", "v3", actor=BOB)
    elif by_hand == "rollback":
        delivery.rollback("cards", actor=BOB)
        assert statuses(rollouts.estate) == {"v1": "deployed", "v2": "rolled_back"}
        assert rollouts.estate.weights() == {"v1": 10_000}
    elif by_hand == "promote":
        delivery.promote("cards", "v2", actor=BOB)
    else:
        delivery.shift("cards", {"v1": 5_000, "v2": 5_000}, actor=BOB)
    ended, plan = rollouts.service.get(rollout.id), rollouts.estate.traffic.plan("cards")
    assert plan is not None
    assert plan.comparison is None
    assert (ended.state, ended.plan_revision) == (RolloutState.SUPERSEDED, plan.revision)
    assert "rollout.supersede" in dict(rollouts.estate.actions())
    with pytest.raises(Conflict, match="is over: superseded"):
        rollouts.service.abort(rollout.id, actor=BOB)


def test_pause_and_resume__hold_and_go_on(rollouts: Rollouts, totals: HeldTotals) -> None:
    rollout = rollouts.start()
    totals.set(canary_failed=0, control_failed=0, each=20_000)
    assert rollouts.service.pause("cards", actor=BOB).reason == "because"
    with pytest.raises(Conflict, match="paused already"):
        rollouts.service.pause("cards", actor=BOB)
    for _ in range(10):
        rollouts.tick()
    assert rollouts.service.get(rollout.id).weight == 100
    rollouts.service.resume("cards", actor=BOB)
    with pytest.raises(Conflict, match="is not paused but running"):
        rollouts.service.resume("cards", actor=BOB)
    for _ in range(6):
        rollouts.tick()
    assert rollouts.service.get(rollout.id).weight == 1_000


def test_pause__harm_is_seen__aborts_all_the_same(rollouts: Rollouts, totals: HeldTotals) -> None:
    rollout = rollouts.start()
    rollouts.service.pause("cards", actor=BOB)
    totals.set(canary_failed=30, control_failed=2, each=100)
    rollouts.tick()
    assert rollouts.service.get(rollout.id).state is RolloutState.ABORTED


def test_abort__without_a_reason__taken_back_and_says_by_whom(rollouts: Rollouts) -> None:
    rollouts.start()
    assert rollouts.service.abort("cards", actor=ADA).reason == f"taken back by hand, by {ADA.name}"
    assert rollouts.estate.weights() == {"v1": 10_000}
    assert rollouts.estate.delivery.rollbacks("cards")[0].reason == f"taken back by hand, by {ADA.name}"


def test_abort__twice__refused(rollouts: Rollouts) -> None:
    rollouts.start()
    rollouts.service.abort("cards", actor=BOB)
    with pytest.raises(Conflict, match="is over: aborted"):
        rollouts.service.abort("cards", actor=BOB)


def test_promote__proven_before_the_dwell_is_over__next_step(rollouts: Rollouts, totals: HeldTotals) -> None:
    rollouts.start()
    with pytest.raises(GateFailed, match="0 of 200 units compared"):
        rollouts.service.promote("cards", actor=BOB)
    totals.set(canary_failed=0, control_failed=0, each=20_000)
    assert rollouts.service.promote("cards", actor=BOB).weight == 1_000
    full = rollouts.service.promote("cards", actor=BOB, full=True)
    assert (full.weight, full.state) == (9_500, RolloutState.GUARDING)
    done = rollouts.service.promote("cards", actor=BOB)
    assert (done.weight, done.state) == (10_000, RolloutState.SUCCEEDED)
    assert rollouts.estate.weights() == {"v2": 10_000}


def test_promote__forced__needs_a_reason_and_never_goes_against_harm(rollouts: Rollouts, totals: HeldTotals) -> None:
    rollout = rollouts.start()
    with pytest.raises(InvalidInput, match="needs a reason"):
        rollouts.service.promote("cards", actor=ADA, force=True)
    assert rollouts.service.promote("cards", actor=BOB, force=True).weight == 1_000
    assert rollouts.service.transitions(rollout.id)[-1].forced
    totals.set(canary_failed=30, control_failed=2, each=100)
    with pytest.raises(GateFailed, match="nothing overrides this"):
        rollouts.service.promote("cards", actor=BOB, force=True)


def test_promote__frozen__only_by_breaking_the_glass(rollouts: Rollouts, totals: HeldTotals) -> None:
    now = rollouts.clock.now()
    freeze = FreezeWindow("stop", now + timedelta(minutes=1), now + timedelta(days=1))
    rollouts.start(policy=rollouts.policy(freezes=(freeze,)))
    rollouts.clock.advance(timedelta(minutes=2))
    totals.set(canary_failed=0, control_failed=0, each=20_000)
    with pytest.raises(PolicyDenied, match="frozen by 'stop'"):
        rollouts.service.promote("cards", actor=BOB)
    assert rollouts.service.promote("cards", actor=BOB, force=True).weight == 1_000
    assert rollouts.service.abort("cards", actor=BOB).state is RolloutState.ABORTED


def test_set_weight__down_is_free_and_up_needs_evidence(rollouts: Rollouts, totals: HeldTotals) -> None:
    rollout = rollouts.start(steps=(Step(1_000), Step(5_000), Step(10_000)))
    assert rollouts.service.set_weight("cards", 200, actor=BOB).weight == 200
    with pytest.raises(GateFailed):
        rollouts.service.set_weight("cards", 300, actor=BOB)
    totals.set(canary_failed=0, control_failed=0, each=20_000)
    moved = rollouts.service.set_weight("cards", 6_000, actor=BOB)
    assert (moved.weight, moved.step, moved.seen_s) == (6_000, 1, 0.0)
    plan = rollouts.estate.traffic.plan("cards")
    assert plan is not None
    assert plan.comparison == Comparison(rollout.id, 3, "v2", (0, 4_000))
    for wrong in (0, 9_501, True, 1.5):
        with pytest.raises(InvalidInput, match="a weight of"):
            rollouts.service.set_weight("cards", wrong, actor=BOB)  # type: ignore[arg-type]
    with pytest.raises(Conflict, match="has 60 % already"):
        rollouts.service.set_weight("cards", 6_000, actor=BOB)


def test_set_weight__down_while_guarding__runs_again(rollouts: Rollouts) -> None:
    rollouts.start()
    rollouts.service.promote("cards", actor=BOB, full=True, force=True)
    moved = rollouts.service.set_weight("cards", 5_000, actor=BOB)
    assert (moved.state, moved.step) == (RolloutState.RUNNING, 2)


def test_approve__by_somebody_else__lets_it_go_on(rollouts: Rollouts, totals: HeldTotals) -> None:
    steps = (replace(DEFAULT_STEPS[0], approval=True), *DEFAULT_STEPS[1:])
    rollout = rollouts.start(steps=steps)
    totals.set(canary_failed=0, control_failed=0, each=20_000)
    with pytest.raises(PolicyDenied, match="waiting for approval"):
        rollouts.service.promote("cards", actor=BOB)
    for same in (ADA, Actor(f"api:{ADA.name.removeprefix('cli:').upper()}"), Actor("anonymous")):
        with pytest.raises(PolicyDenied, match="cannot approve"):
            rollouts.service.approve("cards", actor=same)
    rollouts.service.approve("cards", actor=BOB)
    with pytest.raises(Conflict, match="does not wait for approval"):
        rollouts.service.approve("cards", actor=BOB)
    for _ in range(6):
        rollouts.tick()
    assert rollouts.service.get(rollout.id).weight == 1_000


@pytest.mark.parametrize("verb", ["pause", "resume", "abort", "approve", "promote"])
def test_moves__based_on_an_older_state__refused(rollouts: Rollouts, verb: str) -> None:
    rollouts.start()
    with pytest.raises(Conflict, match=r"at version 1, not 9|moved|paused"):
        getattr(rollouts.service, verb)(
            "cards", actor=BOB, expected=9, **({"force": True} if verb == "promote" else {})
        )


def test_start__one_step__guards_at_once(rollouts: Rollouts) -> None:
    rollout = rollouts.start(steps=(Step(10_000),), adapt=False)
    assert (rollout.state, rollout.weight) == (RolloutState.GUARDING, 9_500)


def test_plan__history__tells_what_was_compared(rollouts: Rollouts, database: Database, clock: VirtualClock) -> None:
    rollout = rollouts.start()
    traffic: TrafficService = rollouts.estate.traffic
    assert [record.plan.comparison is not None for record in traffic.history("cards")] == [True, False]
    found = traffic.plan_at("cards", clock.now())
    assert found is not None
    assert found.plan.comparison == Comparison(rollout.id, 1, "v2", (0, 100))


def test_metrics__rate_of_requests__since_the_first_one(sqlite_database: Database, clock: VirtualClock) -> None:
    rollouts = Rollouts(sqlite_database, clock)
    assert rollouts.metrics.requests_per_s("cards") == 0.0
    rollouts.serve(600, {"v1": 0.0})
    clock.sleep(120)
    assert rollouts.metrics.requests_per_s("cards") == pytest.approx(5.0)
