from __future__ import annotations

from dataclasses import replace

import pytest
from routing_log import EXPLORING, TABLE, TIE, decide, judged, router, world

from bailiwick.errors import InvalidInput
from bailiwick.routing.analytics import Entry, by_domain, confusion, regret
from bailiwick.routing.drift import drift_of
from bailiwick.routing.evaluate import Verdict, evaluate
from bailiwick.routing.model import Mode
from bailiwick.routing.policy import Algorithm, Knobs, Policy
from bailiwick.routing.rewards import FAILED, Judged, reward_of

MEANS = {"cards": 0.3, "loans": 0.8, "misc": 0.1}
EVEN = router(policy=Policy(Knobs(Algorithm.STATIC, weights={"cards": {"cards": 0.6, "loans": 0.4}})))


def static(**shares: float) -> Knobs:
    return Knobs(Algorithm.STATIC, weights={"cards": shares})


@pytest.fixture(scope="module")
def log() -> list[Judged]:
    return world(1_200, MEANS, made=EVEN)


def test_evaluate__policy_for_the_better_domain__better_with_the_right_value(log: list[Judged]) -> None:
    found = evaluate(log, static(cards=0.2, loans=0.8), TABLE)
    assert found.verdict is Verdict.BETTER
    truth = 0.2 * 0.3 + 0.8 * 0.8
    for each in found.estimates:
        assert each.low <= truth <= each.high
    assert (found.learned_from, found.valued_on) == (600, 600)
    assert found.difference is not None
    assert found.difference.low <= truth - (0.6 * 0.3 + 0.4 * 0.8) <= found.difference.high


def test_evaluate__policy_for_the_worse_domain__harm(log: list[Judged]) -> None:
    assert evaluate(log, static(cards=0.95, loans=0.05), TABLE).verdict is Verdict.HARM


def test_evaluate__the_same_policy__no_difference(log: list[Judged]) -> None:
    found = evaluate(log, static(cards=0.6, loans=0.4), TABLE)
    assert found.verdict is Verdict.NO_DIFFERENCE
    assert found.estimates[0].overlap.effective == pytest.approx(found.valued_on)


def test_evaluate__what_was_never_tried__cannot_be_told(log: list[Judged]) -> None:
    found = evaluate(log, static(misc=1.0), TABLE)
    assert found.verdict is Verdict.UNKNOWN
    assert any("none of the logged decisions" in each for each in found.warnings)


def test_evaluate__learned_policy__is_valued_on_what_it_has_not_seen() -> None:
    log = world(2_000, MEANS)
    found = evaluate(log, replace(EXPLORING, exploration_floor=0.02), TABLE)
    assert found.verdict is Verdict.BETTER, found.reason


def test_evaluate__few_decisions__cannot_be_told(log: list[Judged]) -> None:
    found = evaluate(log[:40], static(cards=0.5, loans=0.5), TABLE)
    assert found.verdict is Verdict.UNKNOWN
    assert found.estimates == ()


def test_evaluate__follow_ups_and_other_metrics__are_not_valued(log: list[Judged]) -> None:
    mixed = [
        *log[:100],
        *(replace(each, follow_up=True) for each in log[100:700]),
        *(replace(each, metric="tone") for each in log[700:]),
    ]
    found = evaluate(mixed, static(cards=0.5, loans=0.5), TABLE)
    assert (found.judged, found.valued_on) == (700, 0)


def test_evaluate__few_judged_and_nothing_explored__is_warned_of() -> None:
    certain = router(policy=Policy(Knobs(Algorithm.DETECTION)))
    found = evaluate(world(200, MEANS, made=certain), Knobs(), TABLE, feedback_share=0.05)
    assert any("5 %" in each for each in found.warnings)
    assert any("no decision had a choice" in each for each in found.warnings)


def test_evaluate__no_room_to_value__is_refused(log: list[Judged]) -> None:
    with pytest.raises(InvalidInput):
        evaluate(log, Knobs(), TABLE, learn_share=1.0)


def test_reward__failure_is_worth_nothing_and_bounds_hold() -> None:
    decision = decide(router(), 1)
    failed = replace(judged(decision, 1, 0.0), metric=FAILED, latency_ms=100_000.0, tokens=1_000_000)
    assert reward_of(failed, Knobs(latency_weight=1)) == -1.0
    assert reward_of(replace(failed, value=7.0, latency_ms=None, tokens=None), Knobs()) == 1.0


def entries(log: list[Judged]) -> list[Entry]:
    return [
        Entry(
            request_id=each.request_id,
            domain=each.domain,
            method="detected",
            detected="cards",
            score=0.5,
            propensity=each.propensity,
            status=200,
            latency_ms=float(number),
            follow_up=False,
            choices=len(each.candidates),
            value=each.value,
            right_domain="loans" if number % 2 else None,
            judged=each,
        )
        for number, each in enumerate(log)
    ]


def test_regret__better_domain_played_too_little__is_what_is_lost(log: list[Judged]) -> None:
    found = regret(entries(log), Knobs())
    assert found is not None
    assert found.best == "loans"
    assert found.low <= 0.8 - (0.6 * 0.3 + 0.4 * 0.8) <= found.high


def test_regret__domains_alike__none_is_found() -> None:
    alike = world(2_000, {"cards": 0.5, "loans": 0.5, "misc": 0.5}, made=EVEN)
    found = regret(entries(alike), Knobs())
    assert found is not None
    assert found.low < 0 < found.high
    assert regret(entries(alike[:40]), Knobs()) is None


def test_by_domain__accuracy_with_its_interval_and_latency(log: list[Judged]) -> None:
    found = {each.domain: each for each in by_domain(entries(log), Knobs())}
    assert sum(each.decisions for each in found.values()) == len(log)
    loans = found["loans"]
    assert loans.accuracy is not None
    assert loans.accuracy_low is not None
    assert loans.accuracy_high is not None
    assert loans.accuracy_low < 0.8 < loans.accuracy_high
    assert loans.regret is None, "nothing was detected as loans"
    assert found["cards"].regret is not None
    assert confusion(entries(log))["cards"]["loans"] > 0


def test_drift__mix__found_where_it_is_and_not_where_not() -> None:
    assert drift_of({"a": 500, "b": 500}, {"a": 100, "b": 900}).drifted
    assert not drift_of({"a": 500, "b": 500}, {"a": 505, "b": 495}).drifted
    rare = drift_of({"a": 1_000, "b": 1_000, **{f"x{n}": 1 for n in range(50)}}, {"a": 1_000, "b": 1_000})
    assert rare.p_value is not None
    assert drift_of({"a": 3}, {"a": 3, "b": 1}).reason is not None
    assert drift_of({}, {}).reason is not None
    assert drift_of({"a": 100}, {"a": 100}).reason == "one domain only"


def test_world__shadow__nothing_acts() -> None:
    made = router(Mode.SHADOW)
    decisions = [decide(made, number) for number in range(50)]
    assert {each.domain for each in decisions} == {TIE[0][0]}
    assert {each.propensity for each in decisions} == {1.0}
