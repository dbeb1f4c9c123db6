"""What a unit gets."""

from __future__ import annotations

from collections import Counter

import pytest
from experiment_plans import EVERYBODY, NOBODY_HELD_OUT, experiment

from bailiwick.traffic.arms import arms_for
from bailiwick.traffic.enter import CompiledDomain, assignment, assignments, compile_domain
from bailiwick.traffic.model import Assignment, Condition, Holdout, Operator

NOTHING = {}.get


def get(domain: CompiledDomain, unit: str = "user-1", **attributes: str) -> tuple[Assignment, ...]:
    return assignments(domain, attributes.get, {"user": unit}.get)


def test_assignments__no_experiment__nothing() -> None:
    assert get(CompiledDomain()) == get(compile_domain([], Holdout(slots=5000))) == ()


def test_assignments__weights__arms_in_proportion_with_their_propensity() -> None:
    domain = compile_domain([experiment(weights={"a": 7000, "b": 2000, "c": 1000})], NOBODY_HELD_OUT)
    found = [get(domain, unit)[0] for unit in EVERYBODY]
    counts = Counter(each.arm.name for each in found)
    for name, share in {"a": 0.7, "b": 0.2, "c": 0.1}.items():
        deviation = (len(EVERYBODY) * share * (1 - share)) ** 0.5
        assert abs(counts[name] - share * len(EVERYBODY)) < 4 * deviation
        assert {each.propensity for each in found if each.arm.name == name} == {share}
    assert all(each.counted and each.epoch == 1 for each in found)


def test_assignments__part_of_a_layer__only_its_slots_enter() -> None:
    plans = [experiment("first", slots=((0, 2000), (4000, 5000))), experiment("second", slots=((2000, 4000),))]
    domain = compile_domain(plans, NOBODY_HELD_OUT)
    found = [get(domain, unit) for unit in EVERYBODY]
    counts = Counter(each.experiment for entered in found for each in entered)
    assert max(map(len, found)) == 1
    assert abs(counts["first"] / len(EVERYBODY) - 0.3) < 0.02
    assert abs(counts["second"] / len(EVERYBODY) - 0.2) < 0.02


def test_assignments__conditions__all_must_hold() -> None:
    conditions = (Condition("country", Operator.IN, ("nl",)), Condition("beta", Operator.PRESENT))
    domain = compile_domain([experiment(conditions=conditions)], NOBODY_HELD_OUT)
    assert len(get(domain, country="nl", beta="1")) == 1
    assert get(domain, country="nl") == get(domain, beta="1") == get(domain) == ()


def test_assignments__kinds_of_units__each_divided_by_its_own() -> None:
    by_user, by_session = experiment("by-user"), experiment("by-session", layer="b", unit="session")
    domain = compile_domain([by_user, by_session], NOBODY_HELD_OUT)
    both = assignments(domain, NOTHING, {"user": "ada", "session": "s-1"}.get)
    assert {each.experiment: each.unit for each in both} == {"by-user": "ada", "by-session": "s-1"}
    assert [each.experiment for each in assignments(domain, NOTHING, {"session": "s-1"}.get)] == ["by-session"]
    assert assignments(domain, NOTHING, NOTHING) == ()


def test_assignments__override__is_seen_whatever_else_holds_and_not_counted() -> None:
    condition = Condition("country", Operator.IN, ("nl",))
    plan = experiment(slots=((0, 1),), conditions=(condition,), overrides={"ada": "treatment"})
    domain = compile_domain([plan], Holdout(slots=9_999))
    [found] = get(domain, "ada")
    assert (found.arm.name, found.counted) == ("treatment", False)
    assert assignment(domain, "tone", NOTHING, "ada") == found


def test_assignments__overridden_into_one_experiment__is_out_of_the_others_of_the_layer() -> None:
    plans = [
        experiment("first", slots=((0, 1),), overrides={"ada": "control"}),
        experiment("all", slots=((1, 10_000),)),
    ]
    domain = compile_domain(plans, NOBODY_HELD_OUT)
    assert [each.experiment for each in get(domain, "ada")] == ["first"]
    assert assignment(domain, "all", NOTHING, "ada") is None
    assert arms_for(domain, "all", ["ada"]).tolist() == [""]


def test_assignment__experiment_that_was_not_compiled__key_error() -> None:
    with pytest.raises(KeyError):
        assignment(compile_domain([], NOBODY_HELD_OUT), "tone", NOTHING, "ada")


def test_assignments__fixed_units__same_arms_for_ever() -> None:
    domain = compile_domain([experiment(weights={"a": 5000, "b": 3000, "c": 2000})], Holdout(slots=500))
    arms = [entered[0].arm.name if (entered := get(domain, f"user-{n}")) else "-" for n in range(40)]
    assert "".join(arms) == "cbcbababacacaabbc-ccaacaaabbacacabbcaacc"
