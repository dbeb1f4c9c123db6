"""Experiments on both databases: their life, their evidence, and what is done about it."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from trials import ADA, Trials, a_design, right

from bailiwick.clock import VirtualClock
from bailiwick.delivery.model import DeploymentStatus
from bailiwick.domains.model import Lifecycle
from bailiwick.errors import BailiwickError, Conflict, InvalidInput, NotFound
from bailiwick.experiments import store
from bailiwick.experiments.export import export_lines
from bailiwick.experiments.model import State, Verdict
from bailiwick.experiments.store import experiment
from bailiwick.governance.audit import Actor, audit_entry
from bailiwick.metrics.experiment_store import tables
from bailiwick.storage.database import Database
from bailiwick.traffic.model import Arm

SAME = {"control": right(0.7), "treatment": right(0.7)}
BETTER = {"control": right(0.6), "treatment": right(0.85)}
NOBODY = Actor("bob")


@pytest.fixture
def trials(database: Database, clock: VirtualClock) -> Trials:
    return Trials(database, clock)


def _everything(database: Database) -> tuple[object, ...]:
    with database.read() as connection:
        return connection.execute(select(experiment)).all(), connection.execute(select(audit_entry)).all()


def test_experiment__whole_life__places_withdraws_and_audits(trials: Trials) -> None:
    id = trials.started()
    assert [plan.experiment for plan in trials.estate.traffic.experiments("cards")] == [id]
    trials.experiments.pause(id, actor=ADA)
    assert trials.estate.traffic.experiments("cards") == ()
    trials.experiments.resume(id, actor=ADA)
    trials.experiments.reweight(id, {"control": 8000, "treatment": 2000}, actor=ADA)
    trials.experiments.add_arm(id, Arm("bolder", "v3"), 1000, actor=ADA)
    trials.experiments.drop_arm(id, "bolder", actor=ADA)
    trials.experiments.override(id, "tester", "treatment", actor=ADA)
    [plan] = trials.estate.traffic.experiments("cards")
    assert (plan.split.revision, plan.split.weights, plan.overrides) == (
        4,
        {"control": 8000, "treatment": 2000},
        {"tester": "treatment"},
    )
    done = trials.keeper.conclude(id, actor=ADA, verdict=Verdict.INCONCLUSIVE)
    assert done.state is State.CONCLUDED and trials.estate.traffic.experiments("cards") == ()
    assert trials.experiments.archive(id, actor=ADA).state is State.ARCHIVED
    actions = [action for action, subject in trials.estate.actions() if subject == f"experiment:{id}"]
    assert [action for action in reversed(actions) if action.startswith("experiment.")] == [
        f"experiment.{verb}"
        for verb in ("create", "start", "pause", "resume", *["reweight"] * 3, "override", "conclude", "archive")
    ]


def test_experiment__read_back__is_what_was_written(trials: Trials) -> None:
    design = a_design(
        guardrails=[{"metric": "latency_ms", "margin": "10%", "quantile": 0.95}],
        conditions=[{"attribute": "country", "operator": "in", "values": ["DE", 7]}],
        arms=[
            {"name": "control", "version": "v1", "weight": 80, "parameters": {"temperature": 0.2}},
            {"name": "treatment", "version": "v2", "weight": 20, "parameters": {"temperature": 0.4}},
        ],
    )
    made = trials.experiments.create(design, actor=ADA)
    assert made.design == design
    started = trials.experiments.start(design.id, actor=ADA)
    assert trials.experiments.get(design.id) == started
    assert trials.experiments.list("cards", [State.RUNNING]) == [started]


def test_views__each_kind__is_listed_where_it_belongs(trials: Trials, database: Database) -> None:
    trials.experiments.create(a_design(), actor=ADA)
    arms = [{"name": name, "version": version} for name, version in (("a", "v1"), ("b", "v2"), ("c", "v3"))]
    trials.experiments.create(a_design(id="three", arms=arms), actor=ADA)
    with database.read() as connection:
        ab = connection.execute(text("SELECT id, state FROM ab_tests")).all()
        many = connection.execute(text("SELECT id, primary_metric FROM multi_variant_tests")).all()
    assert [tuple(row) for row in ab] == [("new-model", "draft")]
    assert [tuple(row) for row in many] == [("three", "correct")]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"arms": [{"name": "a", "version": "v1"}, {"name": "a", "version": "v2"}]}, "two arms are named 'a'"),
        ({"arms": [{"name": "a", "version": "v1"}, {"name": "b", "version": "v99"}]}, "no registered version"),
        ({"arms": [{"name": "a", "version": "v1"}, {"name": "b", "version": "v1"}]}, "same as the control"),
        ({"primary": {"metric": "happiness"}}, "never seen"),
        (
            {"arms": [{"name": "a", "version": "v1", "weight": 50}, {"name": "b", "version": "v2", "weight": 40}]},
            "sum to 90 %",
        ),
        ({"minimum_effect": 0}, "minimum_effect is 0"),
    ],
)
def test_create__design_that_cannot_work__is_refused_and_changes_nothing(
    trials: Trials, database: Database, changes: dict[str, object], names: str
) -> None:
    before = _everything(database)
    with pytest.raises(InvalidInput, match=names):
        trials.experiments.create(a_design(**changes), actor=ADA)
    assert _everything(database) == before


def test_create__more_than_the_time_can_answer__is_refused_unless_forced_with_a_reason(trials: Trials) -> None:
    id = trials.started()
    trials.users(300, SAME)
    trials.keeper.conclude(id, actor=ADA, verdict=Verdict.INCONCLUSIVE)
    trials.clock.advance(timedelta(days=2))
    tiny = a_design(id="tiny", minimum_effect=0.001)
    with pytest.raises(InvalidInput, match=r"days to find an effect of 0.001 on 'correct'; at most 28"):
        trials.experiments.create(tiny, actor=ADA)
    with pytest.raises(InvalidInput, match="needs a reason"):
        trials.experiments.create(tiny, actor=NOBODY, force=True)
    forced = trials.experiments.create(tiny, actor=ADA, force=True)
    assert forced.forced == "to learn" and forced.power_check is not None and not forced.power_check.within
    large = trials.experiments.create(a_design(id="large", minimum_effect=0.3), actor=ADA)
    assert large.power_check is not None and large.power_check.within
    assert large.planned_units == large.power_check.planned_units < forced.planned_units


def test_change__twice_on_one_revision__is_made_once(trials: Trials) -> None:
    id = trials.started()
    revision = trials.experiments.get(id).revision

    def shift(share: int) -> str:
        try:
            weights = {"control": 10_000 - share, "treatment": share}
            trials.experiments.reweight(id, weights, actor=ADA, revision=revision)
        except Conflict:
            return "told"
        return "made"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(shift, (1000, 2000, 3000, 4000))) == ["made", "told", "told", "told"]
    assert len(trials.experiments.get(id).epochs) == 2


def test_start__layer_is_full__is_refused_and_stays_a_draft(trials: Trials) -> None:
    trials.started()
    trials.experiments.create(a_design(id="second"), actor=ADA)
    with pytest.raises(Conflict, match="default"):
        trials.experiments.start("second", actor=ADA)
    assert trials.experiments.get("second").state is State.DRAFT
    with pytest.raises(NotFound):
        trials.experiments.start("third", actor=ADA)


def test_report__better_treatment__is_found_and_ships_once_guardrails_hold(trials: Trials) -> None:
    id = trials.started(guardrails=[{"metric": "failed", "margin": 0.05}])
    trials.users(60, BETTER)
    early = trials.analyst.report(id)
    assert early.decision.verdict is Verdict.CONTINUE and early.analysis.waiting is not None
    trials.users(1500, BETTER)
    report = trials.analyst.report(id)
    assert (report.decision.verdict, report.decision.arm) == (Verdict.SHIP, "treatment")
    assert report.decision.reasons[0].startswith("treatment improves correct by")
    assert report.analysis.units == 1560 and {each.alarm for each in report.analysis.sample_ratio} == {False}


def test_report__evidence_once_shown__stays_shown(trials: Trials) -> None:
    id = trials.started()
    trials.users(800, BETTER)
    shown = trials.analyst.report(id).analysis.primary[0]
    trials.users(400, {"control": right(0.95), "treatment": right(0.3)})
    later = trials.analyst.report(id).analysis.primary[0]
    assert shown.significant and later.significant and later.p <= shown.p
    assert trials.analyst.report(id) == trials.analyst.report(id)


def test_report__units_lost_in_one_arm__blocks_shipping(trials: Trials) -> None:
    id = trials.started()
    trials.users(2500, BETTER, lose="treatment")
    decision = trials.analyst.report(id).decision
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "sample ratio mismatch" in decision.reasons[0]


def test_report__change_of_weights__is_analysed_within_epochs(trials: Trials) -> None:
    """Simpson's paradox: pooled over the epochs, the worse arm would look better."""
    id = trials.started(arms=_weighted(90, 10))
    trials.users(2000, {"control": right(0.9), "treatment": right(0.9)})
    trials.experiments.reweight(id, {"control": 1000, "treatment": 9000}, actor=ADA)
    trials.users(2000, {"control": right(0.3), "treatment": right(0.3)}, seed=2)
    report = trials.analyst.report(id)
    assert [each.epoch for each in report.analysis.sample_ratio] == [1, 2]
    effect = report.analysis.primary[0]
    assert effect.always_valid.low < 0 < effect.always_valid.high and not effect.significant
    assert abs(effect.always_valid.estimate) < 0.1


def _weighted(control: int, treatment: int) -> list[dict[str, object]]:
    return [
        {"name": "control", "version": "v1", "weight": control},
        {"name": "treatment", "version": "v2", "weight": treatment},
    ]


def test_report__scheduled_look__is_taken_once_by_whoever_comes_first(trials: Trials, database: Database) -> None:
    id = trials.started(rule="group-sequential", looks=4, planned_units=1_600)
    trials.users(430, SAME)
    assert trials.keeper.tick(Actor("keeper")) == []  # it takes the look that is due, and has nothing to do
    with database.read() as connection:
        taken = store.evidence(connection, id)
    assert taken["look/1"]["units"] == 430 and "look/1/treatment" in taken
    trials.users(60, BETTER)
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: trials.analyst.report(id), range(4)))
    assert {each.analysis.schedule.at_units for each in reports if each.analysis.schedule} == {430}
    with database.read() as connection:
        assert store.evidence(connection, id)["look/1/treatment"] == taken["look/1/treatment"]
    with pytest.raises(Conflict, match="look 2 of 4 at 800 units, of which 490 are in"):
        trials.keeper.conclude(id, actor=ADA)
    trials.users(400, BETTER)
    assert trials.keeper.conclude(id, actor=ADA).conclusion == trials.experiments.get(id).conclusion


def test_create__rule_without_planned_units__is_refused_and_given_ones_are_kept(
    trials: Trials, database: Database
) -> None:
    before = _everything(database)
    with pytest.raises(InvalidInput, match="nothing is planned"):
        trials.experiments.create(a_design(rule="hybrid"), actor=ADA)
    assert _everything(database) == before
    made = trials.experiments.create(a_design(rule="hybrid", looks=3, planned_units=900), actor=ADA)
    assert made.planned_units == 900 and trials.experiments.get(made.id).design.rule == made.design.rule
    trials.experiments.start(made.id, actor=ADA)
    with pytest.raises(Conflict, match="its rule is 'hybrid'"):
        trials.experiments.reweight(made.id, {"control": 8_000, "treatment": 2_000}, actor=ADA)
    with pytest.raises(Conflict, match="its rule is 'hybrid'"):
        trials.experiments.add_arm(made.id, Arm("bolder", "v3"), 1_000, actor=ADA)


def test_conclude__by_the_rule__deploys_the_winner_through_the_gates(trials: Trials) -> None:
    trials.estate.delivery.deploy("cards", "v1", actor=ADA)
    id = trials.started(deploy=True)
    with pytest.raises(Conflict, match="too early"):
        trials.keeper.conclude(id, actor=ADA)
    trials.users(800, BETTER)
    done = trials.keeper.conclude(id, actor=ADA)
    assert done.conclusion is not None and done.conclusion.winner == "treatment"
    [made] = trials.estate.delivery.history("cards", limit=1)
    assert (made.version, made.status, made.id) == ("v2", DeploymentStatus.DEPLOYED, done.conclusion.deployment)
    assert trials.estate.weights() == {"v2": 10_000}
    with pytest.raises(Conflict, match="already"):
        trials.keeper.deploy(id, actor=ADA)


def test_conclude__winner_that_the_gates_hold__is_not_served(trials: Trials) -> None:
    trials.estate.delivery.deploy("cards", "v1", actor=ADA)
    arms = [{"name": "control", "version": "v1"}, {"name": "treatment", "version": "bad"}]
    id = trials.started(arms=arms, deploy=True)
    trials.users(800, BETTER)
    done = trials.keeper.conclude(id, actor=ADA)
    assert done.conclusion is not None and "held by the gates" in (done.conclusion.deployment or "")
    assert trials.estate.weights() == {"v1": 10_000}


def test_conclude__against_the_rule__needs_a_reason(trials: Trials) -> None:
    id = trials.started()
    with pytest.raises(InvalidInput, match="needs a reason"):
        trials.keeper.conclude(id, actor=NOBODY, winner="treatment")
    done = trials.keeper.conclude(id, actor=ADA, winner="treatment")
    assert done.conclusion is not None and done.conclusion.reasons[0] == "decided by ada: to learn"


def test_tick__automatic__concludes_and_deploys_once(trials: Trials) -> None:
    trials.estate.delivery.deploy("cards", "v1", actor=ADA)
    id = trials.started(automatic=True, deploy=True)
    trials.users(800, BETTER)
    [done] = trials.keeper.tick(Actor("keeper"))
    assert done.startswith(f"{id}: concluded, ship; deployed treatment: deployment-")
    assert trials.keeper.tick(Actor("keeper")) == []
    assert trials.experiments.get(id).state is State.CONCLUDED and trials.estate.weights() == {"v2": 10_000}


def test_tick__crash_between_conclusion_and_deployment__deploys_at_the_next(trials: Trials) -> None:
    trials.estate.delivery.deploy("cards", "v1", actor=ADA)
    id = trials.started(automatic=True, deploy=True)
    trials.users(800, BETTER)
    report = trials.analyst.report(id)
    trials.experiments.conclude(
        id, trials.keeper.conclusion(report, Actor("keeper"), automatic=True), actor=Actor("keeper")
    )
    [done] = trials.keeper.tick(Actor("keeper"))
    assert "deployed treatment" in done and trials.estate.weights() == {"v2": 10_000}


def test_tick__treatment_that_does_damage__is_stopped(trials: Trials) -> None:
    id = trials.started(automatic=True)
    trials.users(900, {"control": right(0.8), "treatment": right(0.5)})
    assert trials.keeper.tick(Actor("keeper")) == [f"{id}: concluded, stop-harm"]
    assert trials.estate.traffic.experiments("cards") == ()


def test_tick__one_of_two_treatments_does_damage__is_dropped_and_the_rest_goes_on(trials: Trials) -> None:
    arms = [{"name": n, "version": v} for n, v in (("control", "v1"), ("good", "v2"), ("harmful", "v3"))]
    id = trials.started(arms=arms, automatic=True, minimum_effect=0.01)
    trials.users(1500, {"control": right(0.8), "good": right(0.8), "harmful": right(0.4)})
    assert trials.keeper.tick(Actor("keeper")) == [f"{id}: dropped harmful"]
    present = trials.experiments.get(id).present
    assert present is not None and [arm.name for arm in present.arms] == ["control", "good"]


def test_tick__bandit__sends_more_users_to_the_better_arm_and_keeps_its_floor(trials: Trials) -> None:
    id = trials.started(kind="bandit", minimum_effect=0.01, reweight_minutes=5, floor=10)
    trials.users(600, {"control": right(0.70), "treatment": right(0.76)})
    (effect,) = trials.analyst.report(id).analysis.primary
    assert (effect.fixed.low, effect.fixed.high, effect.p_fixed) == (-math.inf, math.inf, 1.0)  # holds at no look
    assert math.isfinite(effect.always_valid.low)
    assert trials.keeper.tick(Actor("keeper")) == [f"{id}: reweighted"]
    present = trials.experiments.get(id).present
    assert present is not None and present.number == 2
    assert present.weights["treatment"] > 5000 and min(present.weights.values()) >= 1000
    assert trials.keeper.tick(Actor("keeper")) == []  # the new epoch has told nothing yet


def test_tick__equal_arms__ends_without_a_winner(trials: Trials) -> None:
    arms = [{"name": "one", "version": "v1"}, {"name": "other", "version": "v1"}]
    id = trials.started(kind="aa", arms=arms, automatic=True, maximum_days=1)
    trials.users(600, {"one": right(0.7), "other": right(0.7)})
    assert trials.keeper.tick(Actor("keeper")) == []
    trials.clock.advance(timedelta(days=1))
    assert trials.keeper.tick(Actor("keeper")) == [f"{id}: concluded, keep-control"]


def test_rollback__of_a_version_that_an_arm_shows__pauses_the_experiment_at_once(trials: Trials) -> None:
    trials.estate.rollout("v1", "v2", share=5000)
    id = trials.started()
    other = [{"name": name, "version": version} for name, version in (("control", "v1"), ("treatment", "v3"))]
    trials.experiments.pause(id, actor=ADA)
    trials.experiments.create(a_design(id="other", arms=other), actor=ADA)
    trials.experiments.start("other", actor=ADA)
    trials.experiments.pause("other", actor=ADA)
    trials.experiments.resume(id, actor=ADA)
    done = trials.estate.delivery.rollback("cards", actor=NOBODY)
    assert (done.removed, done.paused) == (("v2",), (id,))
    assert trials.experiments.get(id).state is State.PAUSED and trials.estate.traffic.experiments("cards") == ()
    [newest, *_] = trials.estate.audit.entries(limit=1)
    assert (newest.action, newest.reason) == ("experiment.pause", "v2 was taken out of service")
    trials.experiments.resume("other", actor=ADA)
    trials.estate.delivery.deploy("cards", "v4", actor=ADA)
    assert trials.estate.delivery.rollback("cards", actor=ADA).paused == ()  # v4 is no arm of it
    assert trials.experiments.get("other").state is State.RUNNING


def test_rollout__that_rolls_a_version_back__pauses_the_experiment_too(trials: Trials) -> None:
    trials.estate.rollout("v1", "v2", share=5000)
    id = trials.started()
    with trials.estate.traffic.changing() as connection:
        trials.estate.delivery.for_rollouts.conclude(
            connection, "cards", leaving="v2", status=DeploymentStatus.ROLLED_BACK, promoted=None, actor=ADA
        )
    assert trials.experiments.get(id).state is State.PAUSED


def test_archived_domain__pauses_and_lets_nothing_start(trials: Trials) -> None:
    id = trials.started()
    trials.experiments.create(a_design(id="second"), actor=ADA)
    trials.estate.lifecycle = Lifecycle.ARCHIVED
    assert trials.keeper.tick(Actor("keeper")) == [f"{id}: paused: its domain is not served any more"]
    assert trials.keeper.tick(Actor("keeper")) == [] and trials.experiments.get(id).state is State.PAUSED
    for step in (
        lambda: trials.experiments.resume(id, actor=ADA),
        lambda: trials.experiments.start("second", actor=ADA),
    ):
        with pytest.raises(Conflict, match="is archived"):
            step()


def test_deploy__something_else_was_deployed_meanwhile__is_not_replaced(trials: Trials) -> None:
    """The winner was compared with the control, not with what somebody put there since."""
    trials.estate.delivery.deploy("cards", "v1", actor=ADA)
    id = trials.started(automatic=True, deploy=True)
    trials.users(800, BETTER)
    trials.estate.delivery.deploy("cards", "v5", actor=ADA)
    assert trials.keeper.tick(Actor("keeper")) == [
        f"{id}: concluded, ship; left v5 alone, which was deployed meanwhile"
    ]
    assert trials.keeper.tick(Actor("keeper")) == [] and trials.estate.weights() == {"v5": 10_000}


def test_deploy__by_hand_over_a_stranger__is_refused_with_a_remedy(trials: Trials) -> None:
    trials.estate.delivery.deploy("cards", "v1", actor=ADA)
    id = trials.started()
    trials.users(800, BETTER)
    trials.keeper.conclude(id, actor=ADA)
    trials.estate.delivery.deploy("cards", "v5", actor=ADA)
    with pytest.raises(Conflict, match="'v5' was deployed since"):
        trials.keeper.deploy(id, actor=ADA)
    assert trials.experiments.get(id).conclusion.deployment is None  # type: ignore[union-attr]


def test_archive__forgets_the_units_and_keeps_the_results(trials: Trials, database: Database) -> None:
    id = trials.started()
    trials.users(300, SAME)
    trials.keeper.conclude(id, actor=ADA, verdict=Verdict.INCONCLUSIVE)
    before = trials.analyst.report(id).analysis
    trials.experiments.archive(id, actor=ADA)
    after = trials.analyst.report(id).analysis
    assert (after.primary, after.units) == (before.primary, 300)
    [archived, *_] = trials.estate.audit.entries(limit=1)
    assert archived.after["units_forgotten"] == 300  # type: ignore[index]
    with database.read() as connection:
        for table in (tables.experiment_unit, tables.experiment_covariate):
            assert connection.execute(select(table)).first() is None
    trials.metrics.feedback("request-1", value=0)
    assert trials.analyst.report(id).analysis.primary == before.primary  # late feedback counts no more


def test_start__audit__says_what_was_agreed_with_the_metrics(trials: Trials) -> None:
    trials.metrics.served("r", "cards", "v1", {"correct": 1.0}, unit="ada@example.org")
    assert trials.metrics.flush()
    trials.clock.advance(timedelta(minutes=1))
    trials.started(feedback_hours=5)
    started = next(entry for entry in trials.estate.audit.entries(limit=9) if entry.action == "experiment.start")
    assert started.after is not None and started.after["feedback_hours"] == 5
    assert started.after["covariates"]["units"] == 1


def test_start__refused__agrees_nothing_with_the_metrics(trials: Trials, database: Database) -> None:
    trials.started()
    trials.experiments.create(a_design(id="second", feedback_hours=5), actor=ADA)
    with pytest.raises(Conflict):
        trials.experiments.start("second", actor=ADA)
    with database.read() as connection:
        terms = tables.experiment_terms.c
        assert list(connection.scalars(select(terms.experiment))) == ["new-model"]


def test_power__users_who_return__count_once(trials: Trials) -> None:
    """Of 60 users each asks 10 times and gets always right or always wrong answers: 60 values, not 600."""
    for user in range(60):
        for ask in range(10):
            values = {"correct": float(user % 2), "latency_ms": 5.0}
            trials.metrics.served(f"{user}-{ask}", "cards", "v1", values, unit=f"user-{user}")
    assert trials.metrics.flush()
    trials.clock.advance(timedelta(days=2))
    check = trials.experiments.power(a_design())
    assert check is not None and check.distinct
    assert check.per_day == pytest.approx(30, rel=0.01)
    assert (check.mean, check.deviation) == (0.5, pytest.approx(0.504, abs=0.001))
    by_request = trials.experiments.power(a_design(unit="request"))
    assert by_request is not None and not by_request.distinct
    assert by_request.per_day == pytest.approx(300, rel=0.01)


def test_export__every_exposure__once_without_names(trials: Trials) -> None:
    id = trials.started()
    trials.users(40, SAME)
    lines = [json.loads(line) for line in export_lines(trials.analyst.events(id), "jsonl")]
    assert len(lines) == 40 and {line["arm"] for line in lines} == {"control", "treatment"}
    assert not any("user-" in line["unit"] for line in lines)
    header, *rows = export_lines(trials.analyst.events(id), "csv")
    assert header.startswith("at,experiment,epoch,arm,unit") and len(rows) == 40
    with pytest.raises(BailiwickError):
        trials.analyst.events("none")
