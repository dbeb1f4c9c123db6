"""Rollouts under a domain's gate policy, and what they leave in the records of delivery, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from deliveries import ADA
from rollouts import HeldTotals, Rollouts

from bailiwick.clock import VirtualClock
from bailiwick.delivery.model import Deployment, DeploymentStatus
from bailiwick.delivery.rollout.freeze import FreezeWindow
from bailiwick.delivery.rollout.model import RolloutState
from bailiwick.delivery.rollout.starting import Started
from bailiwick.errors import Conflict, InvalidInput, PolicyDenied
from bailiwick.governance.audit import Actor
from bailiwick.storage.database import Database

BOB, GRACE = Actor("cli:bob", reason="because"), Actor("cli:grace")
ALWAYS = "founding: 2020-01-01T00:00Z to 2099-01-01T00:00Z"


@pytest.fixture
def totals() -> HeldTotals:
    return HeldTotals()


@pytest.fixture
def rollouts(database: Database, clock: VirtualClock, totals: HeldTotals) -> Rollouts:
    return Rollouts(database, clock, totals)


def ask_for(rollouts: Rollouts, **policy: object) -> None:
    rollouts.estate.delivery.policies.change("cards", policy, actor=ADA)


def asked(rollouts: Rollouts, approvals: int = 1) -> Deployment:
    ask_for(rollouts, approvals=approvals)
    started = rollouts.service.start("cards", "v2", actor=ADA)
    assert started.rollout is None
    return started.deployment


# Approvals


def test_start__people_must_agree__asks_them_and_serves_nobody(rollouts: Rollouts) -> None:
    made = asked(rollouts)
    assert (made.status, made.share, made.for_rollout) == (DeploymentStatus.WAITING, 0, True)
    assert [each.id for each in rollouts.estate.delivery.waiting("cards")] == [made.id]
    assert rollouts.estate.weights() == {"v1": 10_000}
    with pytest.raises(Conflict, match="waits for approval already"):
        rollouts.service.start("cards", "v2", actor=ADA)
    with pytest.raises(PolicyDenied):
        rollouts.estate.delivery.approve(made.id, actor=ADA)
    assert (rollouts.service.list(), rollouts.estate.weights()) == ([], {"v1": 10_000})


def test_start__once_people_have_agreed__begins_on_their_word(rollouts: Rollouts) -> None:
    made = asked(rollouts, approvals=2)
    delivery = rollouts.estate.delivery
    assert delivery.approve(made.id, actor=BOB).status is DeploymentStatus.WAITING
    assert delivery.approve(made.id, actor=GRACE).status is DeploymentStatus.APPROVED
    assert rollouts.estate.weights() == {"v1": 10_000}
    rollout = rollouts.start()
    assert rollout.deployment == made.id
    assert rollouts.estate.weights() == {"v1": 9_900, "v2": 100}
    begun = delivery.deployment(made.id)
    assert (begun.status, begun.share, begun.approvers) == (DeploymentStatus.DEPLOYED, 100, ("cli:bob", "cli:grace"))
    assert begun.plan_revision == rollout.plan_revision
    rollouts.service.abort("cards", actor=BOB)
    assert rollouts.service.start("cards", "v2", actor=ADA).deployment.status is DeploymentStatus.WAITING  # once only


@pytest.mark.parametrize("change", ["policy", "artefact", "metrics", "time"])
def test_start__what_was_agreed_to_has_changed__asks_anew(rollouts: Rollouts, clock: VirtualClock, change: str) -> None:
    made = asked(rollouts)
    rollouts.estate.delivery.approve(made.id, actor=GRACE)
    registered = rollouts.estate.registered
    if change == "policy":
        ask_for(rollouts, live_samples=51)
    elif change == "artefact":
        registered["v2"] = replace(registered["v2"], artefact_sha256="f" * 64)
    elif change == "metrics":
        registered["v2"] = replace(registered["v2"], metrics={"accuracy": 0.1})
    else:
        clock.advance(timedelta(days=3))
    started = rollouts.service.start("cards", "v2", actor=BOB, force=change == "metrics")
    assert (started.rollout, started.deployment.status) == (None, DeploymentStatus.WAITING)
    assert started.deployment.id != made.id
    assert started.deployment.outcome is not None
    assert started.deployment.outcome.startswith(f"the approval of {made.id} is void: ")
    voided = rollouts.estate.delivery.deployment(made.id)
    assert (voided.status, bool(voided.outcome)) == (DeploymentStatus.VOIDED, True)
    assert rollouts.estate.weights() == {"v1": 10_000}


def test_agreed__withdrawn_or_too_late__begins_nothing(rollouts: Rollouts, clock: VirtualClock) -> None:
    delivery = rollouts.estate.delivery
    made = asked(rollouts)
    delivery.approve(made.id, actor=GRACE)
    assert delivery.reject(made.id, actor=ADA).status is DeploymentStatus.REJECTED
    again = rollouts.service.start("cards", "v2", actor=ADA).deployment
    delivery.approve(again.id, actor=GRACE)
    clock.advance(timedelta(days=4))
    delivery.watch()
    assert delivery.deployment(again.id).status is DeploymentStatus.VOIDED


def test_agreed_to_a_rollout__deploy__asks_on_its_own(rollouts: Rollouts) -> None:
    made = asked(rollouts)
    rollouts.estate.delivery.approve(made.id, actor=GRACE)
    assert rollouts.estate.delivery.deploy("cards", "v2", actor=ADA).status is DeploymentStatus.WAITING
    assert rollouts.estate.weights() == {"v1": 10_000}


# Freezes and grounds


def test_start__domain_is_frozen__only_by_breaking_the_glass(rollouts: Rollouts) -> None:
    ask_for(rollouts, freezes=[ALWAYS])
    before = rollouts.estate.actions()
    with pytest.raises(PolicyDenied, match="frozen by 'founding'"):
        rollouts.service.start("cards", "v2", actor=BOB)
    with pytest.raises(InvalidInput, match="needs a reason"):
        rollouts.service.start("cards", "v2", actor=ADA, break_glass=True)
    assert rollouts.estate.actions() == before
    assert rollouts.service.start("cards", "v2", actor=BOB, break_glass=True).rollout is not None
    assert ("freeze.break", "domain:cards") in rollouts.estate.actions()


def test_start__its_own_policy_is_frozen__only_by_breaking_the_glass(rollouts: Rollouts) -> None:
    now = rollouts.clock.now()
    policy = rollouts.policy(freezes=(FreezeWindow("quarter's end", now, now + timedelta(days=1)),))
    with pytest.raises(PolicyDenied, match='frozen by "quarter\'s end" until'):
        rollouts.start(policy=policy)
    assert (rollouts.service.list(), rollouts.estate.weights()) == ([], {"v1": 10_000})
    assert [made.version for made in rollouts.estate.delivery.history("cards")] == ["v1"]
    started = rollouts.service.start("cards", "v2", actor=BOB, policy=policy, break_glass=True)
    assert started.rollout is not None
    assert ("freeze.break", "domain:cards") in rollouts.estate.actions()


def test_controller__domain_is_frozen_meanwhile__holds_but_takes_back(rollouts: Rollouts, totals: HeldTotals) -> None:
    rollout = rollouts.start()
    totals.set(canary_failed=0, control_failed=0, each=20_000)
    ask_for(rollouts, freezes=[ALWAYS])
    for _ in range(10):
        rollouts.tick()
    held = rollouts.service.get(rollout.id)
    assert (held.weight, held.state) == (100, RolloutState.RUNNING)
    assert "frozen by 'founding'" in held.reason
    with pytest.raises(PolicyDenied, match="frozen by 'founding'"):
        rollouts.service.promote("cards", actor=BOB)
    assert rollouts.service.set_weight("cards", 50, actor=BOB).weight == 50
    totals.set(canary_failed=300, control_failed=2, each=1_000)
    rollouts.tick()
    assert rollouts.service.get(rollout.id).state is RolloutState.ABORTED


def test_controller__freeze_is_over__goes_on(rollouts: Rollouts, totals: HeldTotals) -> None:
    ask_for(rollouts, freezes=[])
    rollout = rollouts.start()
    totals.set(canary_failed=0, control_failed=0, each=20_000)
    ask_for(rollouts, freezes=[ALWAYS])
    for _ in range(10):
        rollouts.tick()
    ask_for(rollouts, freezes=None)
    rollouts.tick()
    assert rollouts.service.get(rollout.id).weight == 1_000


def test_start__policy_changed_while_it_was_judged__refused(
    rollouts: Rollouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = rollouts.estate.delivery.judge

    def meanwhile(domain: str, version: str) -> object:
        verdict = judge(domain, version)
        ask_for(rollouts, approvals=1)
        return verdict

    monkeypatch.setattr(rollouts.estate.delivery, "judge", meanwhile)
    with pytest.raises(Conflict, match="changed to revision 1 meanwhile"):
        rollouts.service.start("cards", "v2", actor=ADA)
    assert rollouts.estate.weights() == {"v1": 10_000}


# Rollbacks


def test_abort__by_itself__is_a_rollback_with_both_values(rollouts: Rollouts, totals: HeldTotals) -> None:
    rollout = rollouts.start()
    totals.set(canary_failed=60, control_failed=2, each=200)
    rollouts.tick()
    (event,) = rollouts.estate.delivery.rollbacks("cards")
    assert (event.rule, event.automatic, event.actor) == ("rollout", True, "controller")
    assert (event.deployment, event.removed, dict(event.restored)) == (rollout.deployment, ("v2",), {"v1": 10_000})
    assert (event.metric, event.baseline, event.current) == ("failed", pytest.approx(0.01), pytest.approx(0.3))
    assert (event.baseline_samples, event.samples) == (200, 200)
    assert event.plan_revision == rollouts.service.get(rollout.id).plan_revision
    assert event.reason == rollouts.service.get(rollout.id).reason
    assert ("rollback.record", f"rollback:{event.id}") in rollouts.estate.actions()


@pytest.mark.parametrize("each", [0, 30])
def test_abort__by_hand__is_a_rollback_with_what_was_measured(
    rollouts: Rollouts, totals: HeldTotals, each: int
) -> None:
    rollout = rollouts.start()
    totals.set(canary_failed=0, control_failed=0, each=each)
    rollouts.tick()
    rollouts.service.abort("cards", actor=BOB)
    (event,) = rollouts.estate.delivery.rollbacks("cards")
    assert (event.rule, event.automatic, event.actor, event.reason) == ("rollout", False, "cli:bob", "because")
    assert event.deployment == rollout.deployment
    measured = ("failed", 0.0, 0.0, 30, 30) if each else (None,) * 5
    assert (event.metric, event.baseline, event.current, event.baseline_samples, event.samples) == measured


def test_watch__rollout_is_active__leaves_it_alone_until_it_is_over(database: Database, clock: VirtualClock) -> None:
    rollouts = Rollouts(database, clock)
    rollouts.serve(100, {"v1": 0.0})
    clock.advance(timedelta(minutes=2))
    rollout = rollouts.service.start("cards", "v2", actor=ADA, adapt=False).rollout
    assert rollout is not None
    rollouts.service.set_weight("cards", 5_000, actor=BOB, force=True)
    rollouts.serve(400, {"v1": 0.0, "v2": 0.5})
    assert rollouts.estate.delivery.degradation(rollout.deployment)  # it speaks against it, but it is not asked
    assert rollouts.estate.delivery.watch() == []
    assert rollouts.service.get(rollout.id).state is RolloutState.RUNNING
    rollouts.estate.delivery.shift("cards", {"v1": 5_000, "v2": 5_000}, actor=BOB)  # supersedes the rollout
    (event,) = rollouts.estate.delivery.watch()
    assert (event.rule, event.removed, event.automatic) == ("error_rise", ("v2",), True)


def test_watch__rollout_has_succeeded__leaves_what_it_proved_alone(
    rollouts: Rollouts, totals: HeldTotals, clock: VirtualClock
) -> None:
    rollouts.serve(100, {"v1": 0.0})
    clock.advance(timedelta(minutes=2))
    started = rollouts.service.start("cards", "v2", actor=ADA)
    assert started.rollout is not None
    totals.set(canary_failed=0, control_failed=0, each=20_000)
    for _ in range(200):
        rollouts.tick(600)
        if rollouts.service.get(started.rollout.id).state is RolloutState.SUCCEEDED:
            break
    assert rollouts.estate.weights() == {"v2": 10_000}
    rollouts.serve(400, {"v2": 0.5})
    assert rollouts.estate.delivery.degradation(started.deployment.id)  # the past speaks against it
    assert rollouts.estate.delivery.watch() == []
    assert rollouts.estate.weights() == {"v2": 10_000}


# What served


def test_served_at__before_during_and_after_a_rollout(
    rollouts: Rollouts, totals: HeldTotals, clock: VirtualClock
) -> None:
    begun = clock.now()
    clock.advance(timedelta(hours=1))
    first: Started = rollouts.service.start("cards", "v2", actor=ADA)
    clock.advance(timedelta(hours=1))
    rollouts.service.abort("cards", actor=BOB)
    clock.advance(timedelta(hours=1))
    second = rollouts.service.start("cards", "v2", actor=ADA)
    clock.advance(timedelta(hours=1))
    totals.set(canary_failed=0, control_failed=0, each=20_000)
    rollouts.service.promote("cards", actor=BOB, full=True)
    clock.advance(timedelta(hours=1))
    rollouts.service.promote("cards", actor=BOB)

    def at(hours: float) -> dict[str, tuple[int, str | None]]:
        served = rollouts.estate.delivery.served_at("cards", begun + timedelta(hours=hours))
        return {each.version: (each.share, each.deployment.id if each.deployment else None) for each in served}

    of_v1 = at(0.5)["v1"][1]
    assert of_v1 is not None
    assert at(0.5) == {"v1": (10_000, of_v1)}
    assert at(1.5) == {"v1": (9_900, of_v1), "v2": (100, first.deployment.id)}
    assert at(2.5) == {"v1": (10_000, of_v1)}
    assert at(3.5) == {"v1": (9_900, of_v1), "v2": (100, second.deployment.id)}
    assert at(4.5) == {"v1": (500, of_v1), "v2": (9_500, second.deployment.id)}
    assert at(5.5) == {"v2": (10_000, second.deployment.id)}
