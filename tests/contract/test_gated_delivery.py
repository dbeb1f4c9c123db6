"""Policies, approvals and freezes, on both databases."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from deliveries import ADA, Estate

from bailiwick.clock import VirtualClock
from bailiwick.delivery.model import Deployment, DeploymentStatus
from bailiwick.delivery.rollout.freeze import FreezeWindow
from bailiwick.errors import Conflict, InvalidInput, NotFound, PolicyDenied
from bailiwick.evaluation.model import Comparison
from bailiwick.governance.audit import Actor
from bailiwick.statistics.paired import compare_paired
from bailiwick.storage.database import Database

GRACE, BOB, TRAINER = Actor("api:grace"), Actor("cli:bob"), Actor("cli:tess")


def asked(estate: Estate, approvals: int = 1, **more: Any) -> Deployment:
    estate.delivery.policies.change("cards", {"approvals": approvals, **more}, actor=ADA)
    made = estate.delivery.deploy("cards", "v1", actor=ADA)
    assert made.status is DeploymentStatus.WAITING
    return made


@pytest.fixture
def estate(database: Database, clock: VirtualClock) -> Estate:
    return Estate(database, clock, authors=lambda _: [TRAINER.name])


# Policies


def test_policy__changed__is_a_revision_with_its_audit_entry(estate: Estate) -> None:
    policies = estate.delivery.policies
    assert policies.current("cards").revision == 0
    first = policies.change("cards", {"approvals": 1}, actor=replace(ADA, reason="four eyes"))
    assert policies.change("cards", {"approvals": 1}, actor=ADA) == first  # nothing changed
    second = policies.change("cards", {"min_accuracy": 0.5}, actor=ADA, expected_revision=1)
    assert [record.revision for record in policies.history("cards")] == [2, 1]
    assert (policies.current("cards"), first.reason, second.policy.approvals) == (second, "four eyes", 1)
    assert estate.actions()[0] == ("gate_policy.set", "gate_policy:cards:production")
    with pytest.raises(Conflict):
        policies.change("cards", {"approvals": 3}, actor=ADA, expected_revision=1)


def test_policy__of_another_environment__is_another(estate: Estate) -> None:
    estate.delivery.policies.change("cards", {"min_accuracy": 0.99}, actor=ADA, environment="staging")
    assert estate.delivery.deploy("cards", "v1", actor=ADA).status is DeploymentStatus.DEPLOYED


def test_deploy__stricter_policy__holds_what_the_domain_lets_pass(estate: Estate) -> None:
    estate.delivery.policies.change("cards", {"min_accuracy": 0.99}, actor=ADA)
    made = estate.delivery.deploy("cards", "v1", actor=ADA)
    assert (made.status, made.policy_revision) == (DeploymentStatus.HELD, 1)


def test_deploy__regression_cannot_be_told__is_held(database: Database, clock: VirtualClock) -> None:
    calls = []

    def compare(champion: str, version: str, dataset: str | None) -> Comparison:
        calls.append((champion, version, dataset))
        return Comparison(champion, version, "queries", 0.9, 0.9, compare_paired(40, 1, 1))

    estate = Estate(database, clock, compare=compare)
    estate.delivery.deploy("cards", "v1", actor=ADA)
    estate.delivery.policies.change("cards", {"regression_margin": 0.02, "regression_dataset": "gold"}, actor=ADA)
    made = estate.delivery.deploy("cards", "v2", actor=ADA)
    assert made.status is DeploymentStatus.HELD
    assert "cannot tell" in made.gates[-1].reason
    assert calls == [("v1", "v2", "gold")]


def test_deploy__champion_replaced_while_it_was_compared__is_refused(database: Database, clock: VirtualClock) -> None:
    def compare(champion: str, version: str, _: str | None) -> Comparison:
        if version == "v2":
            estate.delivery.deploy("cards", "v3", actor=ADA)
        return Comparison(champion, version, "queries", 0.9, 0.9, compare_paired(2000, 1, 1))

    estate = Estate(database, clock, compare=compare)
    estate.delivery.deploy("cards", "v1", actor=ADA)
    estate.delivery.policies.change("cards", {"regression_margin": 0.02}, actor=ADA)
    with pytest.raises(Conflict, match="'v3' took the place of 'v1'"):
        estate.delivery.deploy("cards", "v2", actor=ADA)
    assert estate.weights() == {"v3": 10_000}


# Approvals


def test_approve__by_another__deploys_and_says_who(estate: Estate) -> None:
    made = asked(estate)
    assert estate.weights() == {}
    done = estate.delivery.approve(made.id, actor=replace(GRACE, reason="looked at it"))
    assert (done.status, done.approvers, done.plan_revision) == (DeploymentStatus.DEPLOYED, ("api:grace",), 1)
    assert estate.weights() == {"v1": 10_000}
    assert estate.delivery.deployment(made.id) == done
    (served,) = estate.delivery.served_at("cards", datetime(2026, 3, 2, tzinfo=UTC))
    assert served.deployment is not None
    assert (served.version, served.share, served.deployment.approvers) == ("v1", 10_000, ("api:grace",))
    assert served.deployment.artefact_sha256 == "0" * 64
    assert ("deployment.approve", f"deployment:{made.id}") in estate.actions()


@pytest.mark.parametrize("author", [ADA, Actor("api:ada"), TRAINER, Actor("api:TESS"), Actor("api:anonymous")])
def test_approve__by_an_author_or_nobody__denied_and_nothing_changed(estate: Estate, author: Actor) -> None:
    made = asked(estate)
    before = estate.actions()
    with pytest.raises(PolicyDenied):
        estate.delivery.approve(made.id, actor=author)
    assert (estate.weights(), estate.actions()) == ({}, before)


def test_approve__two_needed__one_person_counts_once(estate: Estate) -> None:
    made = asked(estate, approvals=2)
    assert estate.delivery.approve(made.id, actor=GRACE).status is DeploymentStatus.WAITING
    with pytest.raises(Conflict, match="already"):
        estate.delivery.approve(made.id, actor=Actor("cli:Grace"))
    assert estate.weights() == {}
    assert estate.delivery.approve(made.id, actor=BOB).status is DeploymentStatus.DEPLOYED
    with pytest.raises(Conflict, match="does not wait"):
        estate.delivery.approve(made.id, actor=Actor("cli:eve"))


@pytest.mark.parametrize("change", ["policy", "artefact", "metrics", "time"])
def test_approve__what_was_asked_has_changed__is_void(estate: Estate, clock: VirtualClock, change: str) -> None:
    made = asked(estate, approvals=2)
    estate.delivery.approve(made.id, actor=GRACE)
    if change == "policy":
        estate.delivery.policies.change("cards", {"live_samples": 51}, actor=ADA)
    elif change == "artefact":
        estate.registered["v1"] = replace(estate.registered["v1"], artefact_sha256="f" * 64)
    elif change == "metrics":
        estate.registered["v1"] = replace(estate.registered["v1"], metrics={"accuracy": 0.1})
    else:
        clock.advance(timedelta(days=3))
    done = estate.delivery.approve(made.id, actor=BOB)
    assert done.status is DeploymentStatus.VOIDED
    assert done.outcome
    assert estate.weights() == {}
    assert estate.delivery.deployment(made.id).approvers == ("api:grace",)
    with pytest.raises(Conflict, match="voided"):
        estate.delivery.approve(made.id, actor=BOB)


def test_watch__nobody_approved_in_time__is_void(estate: Estate, clock: VirtualClock) -> None:
    made = asked(estate, approval_expires_s=60)
    estate.delivery.watch()
    assert estate.delivery.deployment(made.id).status is DeploymentStatus.WAITING
    clock.advance(timedelta(seconds=60))
    estate.delivery.watch()
    assert estate.delivery.deployment(made.id).status is DeploymentStatus.VOIDED


def test_force__past_a_failed_gate__still_waits_for_people(estate: Estate) -> None:
    estate.delivery.policies.change("cards", {"approvals": 1}, actor=ADA)
    made = estate.delivery.deploy("cards", "bad", actor=replace(ADA, reason="hotfix"), force=True)
    assert (made.status, made.forced) == (DeploymentStatus.WAITING, True)
    assert estate.delivery.approve(made.id, actor=GRACE).status is DeploymentStatus.DEPLOYED


def test_deploy__waits_already__is_refused_until_rejected(estate: Estate) -> None:
    made = asked(estate)
    with pytest.raises(Conflict, match="waits for approval already"):
        estate.delivery.deploy("cards", "v1", actor=BOB)
    done = estate.delivery.reject(made.id, actor=replace(GRACE, reason="not before the audit"))
    assert (done.status, done.outcome) == (DeploymentStatus.REJECTED, "refused by api:grace: not before the audit")
    with pytest.raises(Conflict):
        estate.delivery.reject(made.id, actor=BOB)
    assert estate.delivery.deploy("cards", "v1", actor=BOB).status is DeploymentStatus.WAITING
    assert estate.weights() == {}


def test_approve__many_at_once__deploys_once(database: Database, clock: VirtualClock) -> None:
    estate = Estate(database, clock)
    made = asked(estate, approvals=2)
    outcomes: list[str] = []

    def approve(name: str) -> None:
        try:
            outcomes.append(Estate(database, clock).delivery.approve(made.id, actor=Actor(name)).status.value)
        except Conflict:
            outcomes.append("conflict")

    people = [threading.Thread(target=approve, args=(f"cli:person{number}",)) for number in range(5)]
    for each in people:
        each.start()
    for each in people:
        each.join()
    assert sorted(outcomes) == ["conflict", "conflict", "conflict", "deployed", "waiting"]
    assert len(estate.delivery.deployment(made.id).approvers) == 2
    assert len(estate.traffic.history("cards")) == 1


def test_approved_late__in_the_order_of_service__is_the_newest(estate: Estate) -> None:
    estate.delivery.deploy("cards", "v2", actor=ADA)
    made = asked(estate)
    estate.delivery.policies.change("cards", {"approvals": None}, actor=ADA)
    with pytest.raises(NotFound):
        estate.delivery.approve("deployment-none", actor=GRACE)
    estate.delivery.policies.change("cards", {"approvals": 1}, actor=ADA)
    assert estate.delivery.approve(made.id, actor=GRACE).status is DeploymentStatus.VOIDED  # the policy was another


# Freezes

NIGHT = "night: sun 12:00 for 2h UTC"  # the clock of the tests stands at Sunday noon


def test_frozen__nothing_is_deployed_or_raised_but_rollback_works(estate: Estate, clock: VirtualClock) -> None:
    estate.rollout("v1", "v2")
    estate.delivery.policies.change("cards", {"freezes": [NIGHT]}, actor=ADA)
    assert estate.delivery.policies.current("cards").policy.windows == (
        FreezeWindow("night", days=frozenset({6}), opens=clock.now().time(), lasts=timedelta(hours=2)),  # type: ignore[arg-type]
    )
    for change in (
        lambda: estate.delivery.deploy("cards", "v3", actor=ADA),
        lambda: estate.delivery.share("cards", 5_000, actor=ADA),
        lambda: estate.delivery.promote("cards", actor=ADA),
        lambda: estate.delivery.shift("cards", {"v2": 10_000}, actor=ADA),
    ):
        with pytest.raises(PolicyDenied, match="frozen by 'night' until 2026-03-01T14:00Z"):
            change()
    assert estate.delivery.share("cards", 1_000, actor=ADA).weights == {"v1": 9_000, "v2": 1_000}  # a step back
    assert estate.delivery.rollback("cards", actor=ADA).removed == ("v2",)
    clock.advance(timedelta(hours=2))
    assert estate.delivery.deploy("cards", "v3", actor=ADA).status is DeploymentStatus.DEPLOYED


def test_frozen__glass_broken_with_a_reason__is_done_and_audited(estate: Estate) -> None:
    estate.delivery.policies.change("cards", {"freezes": [NIGHT]}, actor=ADA)
    with pytest.raises(InvalidInput, match="needs a reason"):
        estate.delivery.deploy("cards", "v1", actor=ADA, break_glass=True)
    estate.delivery.deploy("cards", "v1", actor=replace(ADA, reason="outage"), break_glass=True)
    assert ("freeze.break", "domain:cards") in estate.actions()


def test_frozen__last_approval__is_refused_and_not_kept(estate: Estate, clock: VirtualClock) -> None:
    made = asked(estate, freezes=[NIGHT])
    with pytest.raises(PolicyDenied, match="frozen"):
        estate.delivery.approve(made.id, actor=GRACE)
    assert estate.delivery.deployment(made.id).approvals == ()
    clock.advance(timedelta(hours=2))
    assert estate.delivery.approve(made.id, actor=GRACE).status is DeploymentStatus.DEPLOYED
