from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from deliveries import ADA, Estate
from deliveries import version as a_version

from bailiwick.delivery.model import DeploymentStatus
from bailiwick.domains.model import Lifecycle
from bailiwick.errors import Conflict, InvalidInput, NotFound
from bailiwick.governance.audit import Actor


@pytest.fixture
def estate(database, clock) -> Estate:  # type: ignore[no-untyped-def]
    return Estate(database, clock)


def statuses(estate: Estate) -> dict[str, str]:
    """The status of the latest deployment of each version."""
    return {made.version: made.status.value for made in reversed(estate.delivery.history("cards"))}


def test_deploy__gates_pass__serves_everybody(estate: Estate) -> None:
    made = estate.delivery.deploy("cards", "v1", actor=ADA)
    assert (made.status, made.previous, made.plan_revision, made.forced) == (DeploymentStatus.DEPLOYED, None, 1, False)
    assert estate.weights() == {"v1": 10_000}
    assert estate.delivery.history("cards") == [made]


def test_deploy__gate_fails__held_with_the_reason_and_traffic_untouched(estate: Estate) -> None:
    estate.delivery.deploy("cards", "v1", actor=ADA)
    made = estate.delivery.deploy("cards", "bad", actor=ADA)
    assert made.status is DeploymentStatus.HELD
    assert [gate.reason for gate in made.gates if not gate.passed] == ["accuracy 0.4 is below 0.85"]
    assert estate.weights() == {"v1": 10_000}
    assert estate.actions()[0] == ("deployment.hold", f"deployment:{made.id}")


def test_deploy__forced_with_a_reason__serves_and_says_so(estate: Estate) -> None:
    made = estate.delivery.deploy("cards", "bad", actor=Actor("ada", reason="hotfix"), force=True)
    assert (made.forced, made.reason) == (True, "hotfix")
    assert estate.weights() == {"bad": 10_000}
    assert "deployment.force" in dict(estate.actions())


@pytest.mark.parametrize("reason", [None, "", "  "])
def test_deploy__forced_without_a_reason__refused(estate: Estate, reason: str | None) -> None:
    with pytest.raises(InvalidInput, match="needs a reason"):
        estate.delivery.deploy("cards", "bad", actor=Actor("ada", reason=reason), force=True)
    assert estate.delivery.history() == []


def test_deploy__forced_needlessly__not_marked_as_forced(estate: Estate) -> None:
    assert not estate.delivery.deploy("cards", "v1", actor=Actor("ada", reason="sure"), force=True).forced


def test_deploy__share__others_keep_the_rest(estate: Estate) -> None:
    estate.delivery.deploy("cards", "v1", actor=ADA)
    made = estate.delivery.deploy("cards", "v2", share=2000, actor=ADA)
    assert estate.weights() == {"v1": 8000, "v2": 2000}
    assert made.previous == "v1"
    estate.delivery.deploy("cards", "v3", share=5000, actor=ADA)
    assert estate.weights() == {"v1": 4000, "v2": 1000, "v3": 5000}


@pytest.mark.parametrize("share", [0, -5, 10_001])
def test_deploy__share_out_of_bounds__refused(estate: Estate, share: int) -> None:
    with pytest.raises(InvalidInput):
        estate.delivery.deploy("cards", "v1", share=share, actor=ADA)


def test_deploy__first_version_with_a_share__refused(estate: Estate) -> None:
    with pytest.raises(InvalidInput, match="no other version serves the rest"):
        estate.delivery.deploy("cards", "v1", share=2000, actor=ADA)


def test_deploy__version_of_another_domain__refused(estate: Estate) -> None:
    with pytest.raises(InvalidInput, match="is a version of 'cards', not of 'loans'"):
        estate.delivery.deploy("loans", "v1", actor=ADA)


def test_deploy__unknown_version__not_found(estate: Estate) -> None:
    with pytest.raises(NotFound):
        estate.delivery.deploy("cards", "v99", actor=ADA)


def test_deploy__nothing_would_change__conflict(estate: Estate) -> None:
    estate.delivery.deploy("cards", "v1", actor=ADA)
    with pytest.raises(Conflict, match="already serves 100 %"):
        estate.delivery.deploy("cards", "v1", actor=ADA)


def test_deploy__plan_changed_meanwhile__conflict_and_nothing_recorded(estate: Estate) -> None:
    estate.delivery.deploy("cards", "v1", actor=ADA)
    before = estate.actions()
    with pytest.raises(Conflict, match="somebody changed it first"):
        estate.delivery.deploy("cards", "v2", actor=ADA, expected_revision=0)
    assert (estate.actions(), len(estate.delivery.history())) == (before, 1)


@pytest.mark.parametrize("force", [False, True])
def test_deploy__archived_domain__refused_and_nothing_recorded(estate: Estate, force: bool) -> None:
    estate.lifecycle = Lifecycle.ARCHIVED
    with pytest.raises(Conflict, match="is archived: nothing is served there"):
        estate.delivery.deploy("cards", "v1", actor=Actor("ada", reason="why not"), force=force)
    assert (estate.weights(), estate.delivery.history()) == ({}, [])


def test_deploy__draft_domain__has_its_version_before_it_is_activated(estate: Estate) -> None:
    estate.lifecycle = Lifecycle.DRAFT
    estate.delivery.deploy("cards", "v1", actor=ADA)
    assert estate.weights() == {"v1": 10_000}


@pytest.mark.parametrize("accuracy", [float("nan"), float("inf"), True, "0.99", None])
def test_deploy__accuracy_is_no_finite_number__held(estate: Estate, accuracy: Any) -> None:
    estate.registered["odd"] = a_version("odd", accuracy=accuracy)
    made = estate.delivery.deploy("cards", "odd", actor=ADA)
    assert made.status is DeploymentStatus.HELD
    assert [gate.name for gate in made.gates if not gate.passed] == ["accuracy"]
    assert estate.delivery.history("cards") == [made]


def test_deploy__nothing_was_measured__held_by_every_gate(estate: Estate) -> None:
    estate.registered["new"] = replace(a_version("new"), metrics={})
    made = estate.delivery.deploy("cards", "new", actor=ADA)
    assert [gate.reason.endswith("was not measured") for gate in made.gates] == [True] * 4


def test_shift__versions_in_service__new_weights(estate: Estate) -> None:
    estate.rollout("v1", "v2")
    estate.delivery.shift("cards", {"v1": 3000, "v2": 7000}, actor=ADA)
    assert estate.weights() == {"v1": 3000, "v2": 7000}


def test_shift__version_that_never_passed_the_gates__conflict(estate: Estate) -> None:
    estate.delivery.deploy("cards", "v1", actor=ADA)
    estate.delivery.deploy("cards", "bad", actor=ADA)
    for version in ("bad", "v2", "typo"):
        with pytest.raises(Conflict, match="is not deployed"):
            estate.delivery.shift("cards", {"v1": 5000, version: 5000}, actor=ADA)


def test_shift__to_nothing_and_back__replaced_then_deployed(estate: Estate) -> None:
    estate.rollout("v1", "v2")
    estate.delivery.shift("cards", {"v1": 10_000}, actor=ADA)
    assert statuses(estate) == {"v1": "deployed", "v2": "replaced"}
    estate.delivery.shift("cards", {"v1": 5000, "v2": 5000}, actor=ADA)
    assert statuses(estate) == {"v1": "deployed", "v2": "deployed"}


def test_shift__version_that_was_rolled_back__must_pass_the_gates_again(estate: Estate) -> None:
    estate.rollout("v1", "v2")
    estate.delivery.rollback("cards", actor=ADA)
    with pytest.raises(Conflict, match="was rolled back"):
        estate.delivery.shift("cards", {"v1": 5000, "v2": 5000}, actor=ADA)
    estate.delivery.deploy("cards", "v2", share=100, actor=ADA)
    assert estate.weights() == {"v1": 9900, "v2": 100}


def test_shift_promote_rollback__nothing_deployed__not_found(estate: Estate) -> None:
    with pytest.raises(NotFound, match="nothing is deployed"):
        estate.delivery.shift("cards", {"v1": 10_000}, actor=ADA)
    with pytest.raises(NotFound):
        estate.delivery.promote("cards", actor=ADA)
    with pytest.raises(NotFound):
        estate.delivery.rollback("cards", actor=ADA)


def test_promote__no_version_named__latest_in_service_takes_all(estate: Estate) -> None:
    estate.rollout("v1", "v2")
    plan = estate.delivery.promote("cards", actor=ADA)
    assert plan.weights == {"v2": 10_000}
    assert statuses(estate) == {"v1": "replaced", "v2": "promoted"}


def test_promote__version_not_in_service__conflict(estate: Estate) -> None:
    estate.rollout("v1", "v2")
    with pytest.raises(Conflict, match="not in service"):
        estate.delivery.promote("cards", "v3", actor=ADA)


def test_promote__already_alone__conflict(estate: Estate) -> None:
    estate.delivery.deploy("cards", "v1", actor=ADA)
    with pytest.raises(Conflict, match="already serves all"):
        estate.delivery.promote("cards", actor=ADA)


def test_rollback__after_promotion__old_version_serves_again(estate: Estate) -> None:
    estate.rollout("v1", "v2")
    estate.delivery.promote("cards", actor=ADA)
    done = estate.delivery.rollback("cards", actor=Actor("ada", reason="errors"))
    assert (list(done.removed), done.restored_revision, done.plan.weights) == (["v2"], 1, {"v1": 10_000})
    assert statuses(estate) == {"v1": "deployed", "v2": "rolled_back"}


def test_rollback__twice__further_back_then_conflict(estate: Estate) -> None:
    for version in ("v1", "v2", "v3"):
        estate.delivery.deploy("cards", version, actor=ADA)
    assert estate.delivery.rollback("cards", actor=ADA).plan.weights == {"v2": 10_000}
    assert estate.delivery.rollback("cards", actor=ADA).plan.weights == {"v1": 10_000}
    with pytest.raises(Conflict, match="served nothing before v1"):
        estate.delivery.rollback("cards", actor=ADA)


def test_rollback__registry_and_thresholds_gone__still_works(estate: Estate) -> None:
    estate.rollout("v1", "v2")
    estate.registered.clear()
    assert estate.delivery.rollback("cards", actor=ADA).plan.weights == {"v1": 10_000}


def test_history__version_deployed_twice__earlier_deployment_is_replaced(estate: Estate) -> None:
    estate.rollout("v1", "v2")
    estate.delivery.deploy("cards", "v2", share=5000, actor=ADA)
    assert [(made.version, made.status.value) for made in estate.delivery.history("cards")] == [
        ("v2", "deployed"),
        ("v2", "replaced"),
        ("v1", "deployed"),
    ]


def test_find__domain_or_version__newest_of_the_one_or_exactly_the_other(estate: Estate) -> None:
    assert estate.delivery.find("cards").id == "v9"
    assert estate.delivery.find("v3").id == "v3"
    with pytest.raises(NotFound, match="neither a model version nor a domain"):
        estate.delivery.find("typo")


def test_share__newest_in_service__others_keep_their_proportions(estate: Estate) -> None:
    estate.rollout("v1", "v2")
    estate.delivery.deploy("cards", "v3", share=1000, actor=ADA)
    assert estate.delivery.share("cards", 5000, actor=ADA).weights == {"v1": 4000, "v2": 1000, "v3": 5000}
    assert estate.delivery.share("cards", 10_000, actor=ADA).weights == {"v3": 10_000}
    assert statuses(estate) == {"v1": "replaced", "v2": "replaced", "v3": "deployed"}


@pytest.mark.parametrize("share", [0, 10_001])
def test_share__out_of_bounds__refused(estate: Estate, share: int) -> None:
    estate.rollout("v1", "v2")
    with pytest.raises(InvalidInput):
        estate.delivery.share("cards", share, actor=ADA)
