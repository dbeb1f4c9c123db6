"""Declared rules: looks are taken once, at their units, and keep what they promise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from experiment_findings import NOW, arms, running, totals_of, yes

from bailiwick.errors import Conflict, InvalidInput
from bailiwick.experiments.analysis import analyse
from bailiwick.experiments.decide import decide
from bailiwick.experiments.design import check_design
from bailiwick.experiments.findings import Analysis, Carried, Decision
from bailiwick.experiments.model import Experiment, Method, Rule, Verdict
from bailiwick.experiments.planning import planned_units, standard_errors, units_needed
from bailiwick.experiments.plans import with_arm, with_weights, without_arm
from bailiwick.statistics.group_sequential import boundaries
from bailiwick.traffic.model import Arm
from benchmarks.simulations.experiment_rules import outcomes

SCHEDULED = [Method.GROUP_SEQUENTIAL, Method.HYBRID, Method.FIXED]
THREE = [{"name": name, "version": f"v-{name}"} for name in ("control", "t1", "t2")]


class History:
    """An experiment that is analysed again and again, with its evidence carried."""

    def __init__(self, method: Method, planned: int = 4_000, **design: Any) -> None:
        self.experiment: Experiment = running(planned_units=planned, rule=method.value, **design)
        self.evidence: dict[str, Carried] = {}

    def look(self, shown: Mapping[str, Mapping[str, Any]], days: float = 1.0) -> tuple[Analysis, Decision]:
        now = NOW + timedelta(days=days)
        analysis = analyse(self.experiment, *totals_of(shown), self.evidence, now)
        self.evidence |= analysis.evidence
        return analysis, decide(self.experiment, analysis, now)


@pytest.mark.parametrize("method", SCHEDULED)
def test_rule__between_the_looks__nothing_is_decided_and_what_is_shown_holds_at_any_time(method: Method) -> None:
    analysis, decision = History(method).look(arms(200, 300, of=390))
    assert analysis.primary[0].always_valid.low > 0 and not analysis.primary[0].significant
    assert decision.verdict is Verdict.CONTINUE
    due = "the one look at 4,000" if method is Method.FIXED else "look 1 of 5 at 800"
    assert decision.reasons[0] == f"continue until {due} units, of which 780 are in"


@pytest.mark.parametrize("method", SCHEDULED)
def test_rule__better_at_its_look__ships_and_stays_so(method: Method) -> None:
    history = History(method)
    units = 2_000 if method is Method.FIXED else 1_200
    analysis, decision = history.look(arms(units // 2, units * 6 // 10, of=units))
    assert (decision.verdict, decision.arm) == (Verdict.SHIP, "treatment")
    later, after = history.look(arms(units // 2, units // 2, of=units + 10))
    assert after.verdict is Verdict.SHIP and later.primary[0].scheduled == analysis.primary[0].scheduled


def test_rule__look_taken_again_and_again__is_spent_once() -> None:
    history = History(Method.GROUP_SEQUENTIAL)
    first, _ = history.look(arms(200, 210, of=401))
    taken = dict(history.evidence["look/1/treatment"])
    for more in range(10):
        analysis, _ = history.look(arms(200, 300 + more, of=410 + more))
        assert analysis.schedule is not None and (analysis.schedule.taken, analysis.schedule.at_units) == (1, 802)
    assert history.evidence["look/1/treatment"] == taken and first.primary[0].scheduled is not None
    assert "look/2" not in history.evidence


def test_rule__looks_at_their_units__have_the_published_boundaries() -> None:
    history = History(Method.GROUP_SEQUENTIAL)
    for units in (400, 800, 1_200, 1_600, 2_000):
        history.look(arms(units // 2, units // 2, of=units))
    found = [history.evidence[f"look/{number}/treatment"]["critical"] for number in range(1, 6)]
    assert found == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=1e-3)  # ldbounds


def test_rule__nobody_there_for_two_looks__the_next_has_their_error() -> None:
    history = History(Method.GROUP_SEQUENTIAL)
    analysis, _ = history.look(arms(650, 660, of=1_300))
    assert analysis.schedule is not None and analysis.schedule.taken == 3
    assert history.evidence["look/3/treatment"]["critical"] == pytest.approx(boundaries([0.65]).z[0])


@pytest.mark.parametrize("method", SCHEDULED)
@pytest.mark.parametrize(("units", "days"), [(700, 28.0), (3_500, 2.0)])
def test_rule__ends_early_or_late__the_last_look_spends_what_is_left(method: Method, units: int, days: float) -> None:
    history = History(method)
    history.look(arms(210, 210, of=420))
    analysis, decision = history.look(arms(units // 2, units // 2, of=units), days)
    assert analysis.schedule is not None and analysis.schedule.final and analysis.schedule.next_units is None
    assert decision.verdict in (Verdict.INCONCLUSIVE, Verdict.KEEP_CONTROL)
    critical = history.evidence[f"look/{1 if method is Method.FIXED else 5}/treatment"]["critical"]
    assert critical == pytest.approx(2.05 if method is Method.HYBRID else 1.96, abs=0.01)


def test_fixed__looked_at_earlier__is_the_plain_test_at_the_end() -> None:
    history = History(Method.FIXED)
    for units in (300, 900, 1_900):
        assert history.look(arms(units // 2, units * 6 // 10, of=units))[1].verdict is Verdict.CONTINUE
    analysis, _ = history.look(arms(1_000, 1_050, of=2_000))
    assert analysis.primary[0].scheduled == analysis.primary[0].fixed


def test_hybrid__damage_between_the_looks__stops_at_once_and_the_others_wait() -> None:
    worse = arms(300, 150, of=390)
    for method in SCHEDULED:
        decision = History(method).look(worse)[1]
        assert (decision.verdict is Verdict.STOP_HARM) == (method is Method.HYBRID)
    assert "worsens correct by" in History(Method.HYBRID).look(worse)[1].reasons[0]


@pytest.mark.parametrize("method", SCHEDULED)
def test_rule__guardrail__is_watched_at_any_time(method: Method) -> None:
    shown = arms(200, 200, of=390)
    for arm, failures in (("control", 5), ("treatment", 150)):
        shown[arm]["failed"] = yes(failures, 390)
    history = History(method, guardrails=[{"metric": "failed", "margin": 0.05}])
    assert history.look(shown)[1].verdict is Verdict.STOP_HARM


def test_rule__several_treatments__share_the_error() -> None:
    history = History(Method.FIXED, planned=3_000, arms=THREE)
    history.look(arms(500, 500, 500))
    assert history.evidence["look/1/t1"]["critical"] == pytest.approx(2.2414, abs=2e-3)  # normal quantile of 1 - 0.05/4


def test_rule__arm_in_its_burn_in_at_a_look__has_its_error_left_at_the_next() -> None:
    history = History(Method.GROUP_SEQUENTIAL, planned=3_000, arms=THREE)
    shown = arms(100, 110, 0, of=200)
    history.look(shown)
    assert "look/1/t1" in history.evidence and "look/1/t2" not in history.evidence
    history.look(arms(200, 210, 190, of=400))
    assert history.evidence["look/2/t2"]["critical"] == pytest.approx(boundaries([0.4], 0.025).z[0])


def test_rule__users_who_return_more_and_more__looks_depend_less_on_each_other() -> None:
    alike, growing = [0.2, 0.4, 0.6, 0.8, 1.0], [0.05, 0.15, 0.35, 0.6, 1.0]
    assert boundaries(growing, spend_at=alike).z[-1] > boundaries(alike).z[-1]
    with pytest.raises(InvalidInput, match="cannot be spent"):
        boundaries(growing, spend_at=[0.2, 0.1, 0.6, 0.8, 1.0])


def test_rule__concluded__takes_no_look_any_more() -> None:
    from bailiwick.experiments.model import Conclusion

    history = History(Method.FIXED)
    ended = Conclusion(Verdict.INCONCLUSIVE, None, (), NOW, "ada")
    history.experiment = replace(history.experiment, conclusion=ended)
    analysis, _ = history.look(arms(1_000, 1_300, of=2_100))
    assert analysis.schedule is not None and analysis.schedule.taken == 0


@pytest.mark.parametrize("method", SCHEDULED)
def test_rule__change_of_what_was_planned__is_refused_with_a_remedy(method: Method) -> None:
    experiment = running(rule=method.value, arms=THREE)
    with pytest.raises(Conflict, match="cannot change the weights") as refused:
        with_weights(experiment, {"control": 5_000, "t1": 2_500, "t2": 2_500}, NOW, None)
    assert refused.value.remedy
    with pytest.raises(Conflict, match="cannot add an arm"):
        with_arm(experiment, Arm("t3", "v9"), None, NOW, None)
    assert [arm.name for arm in without_arm(experiment, "t1", NOW, "harm").arms] == ["control", "t2"]
    bandit = running(rule=method.value, kind="bandit").design
    with pytest.raises(InvalidInput, match="a bandit cannot be decided"):
        check_design(bandit, versions={"v1": "cards", "v2": "cards"}, metrics=frozenset())


def test_planned_units__rule_that_schedules__cannot_do_without() -> None:
    design = running(rule="fixed").design
    with pytest.raises(InvalidInput, match="nothing is planned") as refused:
        planned_units(design, None)
    assert "--planned-units" in (refused.value.remedy or "")
    assert planned_units(replace(design, planned_units=700), None) == 700
    assert planned_units(running().design, None) == 10_000


def test_units_needed__by_rule__fewest_for_one_look_and_most_when_watched() -> None:
    needed = [
        units_needed(0.02, 0.5, 4.0, 0.95, 0.8, Rule(method))
        for method in (Method.FIXED, Method.GROUP_SEQUENTIAL, Method.HYBRID, Method.SEQUENTIAL)
    ]
    assert needed == sorted(needed) and needed[0] == math.ceil((2.801585 * 0.5 / 0.02) ** 2 * 4)
    assert standard_errors(Rule(Method.GROUP_SEQUENTIAL), 0.95, 0.8) < 1.03 * standard_errors(
        Rule(Method.FIXED), 0.95, 0.8
    )


@pytest.mark.parametrize("method", SCHEDULED)
def test_rule__equal_arms__false_verdicts_within_the_promise(method: Method) -> None:
    """Three equal arms, looked at six times: at most 5.4 %, and four standard deviations of so few repetitions."""
    repetitions = 400
    wrong = np.mean([each.significant for each in outcomes(method, repetitions, arms=3, units=300, visits=6)])
    assert wrong <= 0.054 + 4 * math.sqrt(0.054 * 0.946 / repetitions)


def test_group_sequential__planned_effect__found_nearly_as_often_as_by_one_look() -> None:
    effect = 2.8 * (2 / 400) ** 0.5
    found = {
        method: np.mean([each.ships for each in outcomes(method, 250, units=400, effect=effect, visits=5)])
        for method in (Method.FIXED, Method.GROUP_SEQUENTIAL)
    }
    assert 0.7 < found[Method.FIXED] < 0.9
    assert found[Method.GROUP_SEQUENTIAL] >= 0.95 * found[Method.FIXED]
