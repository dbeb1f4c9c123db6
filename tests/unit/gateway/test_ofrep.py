"""Flags, as the protocol words them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from experiment_plans import experiment
from gateway_sources import compiler
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.gateway.model import Snapshot
from bailiwick.gateway.ofrep import Evaluation, RefusedContext, evaluate, evaluate_all, parse_evaluation
from bailiwick.gateway.participants import Evaluated
from bailiwick.traffic.model import Arm, Condition, ExperimentPlan, Operator, PlacedExperiments

TONE = experiment("tone")
RICH = experiment(
    "rich",
    layer="flags",
    arms=[
        Arm("control", None, {"greeting": "hello", "depth": 1, "warm": False}),
        Arm("treatment", None, {"greeting": "hi", "depth": 2.5, "warm": True, "extra": 3}),
    ],
    overrides={"ada": "treatment", "bob": "control"},
)


def snapshot_of(*plans: ExperimentPlan, ended: frozenset[str] = frozenset()) -> Snapshot:
    from gateway_sources import Memory

    sources = Memory()
    sources.placed = PlacedExperiments({"cards": plans}, ended=ended)
    return compiler(sources).compile(None)


def subject(key: str | None = "user-1", **context: Any) -> Evaluated:
    return Evaluated(key, context, "req-1")


def flag(key: str, who: Evaluated | None = None, *plans: ExperimentPlan) -> Evaluation:
    return evaluate(snapshot_of(*(plans or (TONE, RICH)), ended=frozenset({"old"})), key, who or subject())


def test_evaluate__arms_without_parameters__value_is_the_arms_name() -> None:
    found = flag("tone")
    assert found.document == {
        "key": "tone",
        "value": found.document["variant"],
        "reason": "SPLIT",
        "variant": found.document["variant"],
        "metadata": {"experiment": "tone", "domain": "cards", "epoch": 1, "propensity": 0.5},
    }
    assert found.assigned is not None
    assert found.assigned.arm.name in ("control", "treatment")


def test_evaluate__arms_with_parameters__whole_object_and_single_ones_of_one_type() -> None:
    treatment, control = subject("ada"), subject("bob")
    assert flag("rich", treatment).document["value"] == {"greeting": "hi", "depth": 2.5, "warm": True, "extra": 3}
    assert flag("rich.warm", treatment).document["value"] is True
    depth = flag("rich.depth", control).document["value"]
    assert (depth, type(depth)) == (1.0, float)
    assert type(flag("rich.extra", treatment).document["value"]) is int
    missing = flag("rich.extra", control).document
    assert "value" not in missing
    assert missing["variant"] == "control"


def test_evaluate__tester__targeting_match_and_not_counted() -> None:
    found = flag("rich", subject("ada"))
    assert found.document["reason"] == "TARGETING_MATCH"
    assert found.assigned is not None
    assert not found.assigned.counted


def test_evaluate__one_arm_takes_all__static() -> None:
    whole = experiment("all", weights={"on": 10_000}, arms=[Arm("on"), Arm("off")])
    assert flag("all", None, whole).document["reason"] == "STATIC"


def test_evaluate__takes_no_part__code_default() -> None:
    outside = replace(TONE, conditions=(Condition("country", Operator.IN, ("nl",)),))
    found = flag("tone", subject(country="de"), outside)
    assert (found.document["reason"], found.document["variant"], found.assigned) == ("DISABLED", "", None)
    assert "value" not in found.document
    assert "value" in flag("tone", subject(country="nl"), outside).document


def test_evaluate__ended_experiment__disabled() -> None:
    for key in ("old", "old.parameter"):
        found = flag(key)
        assert (found.status, found.document["reason"]) == (200, "DISABLED")
        assert "value" not in found.document


@pytest.mark.parametrize("key", ["nobody", "rich.nothing", "", ".", "tone.x", "x" * 5000, "rich.greeting.x"])
def test_evaluate__unknown_flag__not_found(key: str) -> None:
    found = flag(key)
    assert (found.status, found.document["errorCode"]) == (404, "FLAG_NOT_FOUND")
    assert len(found.document["key"]) <= 200


@pytest.mark.parametrize("unit", ["user", "session", "header:X-Tenant"])
def test_evaluate__nobody_to_divide_by__targeting_key_missing(unit: str) -> None:
    found = flag("tone", subject(None), replace(TONE, unit=unit))
    assert (found.status, found.document["errorCode"]) == (400, "TARGETING_KEY_MISSING")
    named = {"user": "targetingKey", "session": "session", "header:X-Tenant": "x-tenant"}[unit]
    assert f"`{named}`" in found.document["errorDetails"]


def test_evaluate_all__every_flag_once_failures_among_them() -> None:
    by_session = replace(experiment("by-session", layer="c"), unit="session")
    found = list(evaluate_all(snapshot_of(TONE, RICH, by_session), subject()))
    keys = ["by-session", "rich", "rich.depth", "rich.extra", "rich.greeting", "rich.warm", "tone"]
    assert [each.document["key"] for each in found] == keys
    assert [each.document.get("errorCode") for each in found] == ["TARGETING_KEY_MISSING", *[None] * 6]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "PARSE_ERROR"),
        (b"[]", "PARSE_ERROR"),
        (b'{"context":', "PARSE_ERROR"),
        (b'{"context": ' + b"[" * 500 + b"]" * 500 + b"}", "PARSE_ERROR"),
        (b'{"context": []}', "INVALID_CONTEXT"),
        (b'{"context": null}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": 7}}', "INVALID_CONTEXT"),
        (b'{"context": {"targetingKey": "' + b"x" * 513 + b'"}}', "INVALID_CONTEXT"),
    ],
)
def test_parse_evaluation__malformed__is_refused_with_the_protocols_code(raw: bytes, code: str) -> None:
    with pytest.raises(RefusedContext) as caught:
        parse_evaluation(raw, "req-1")
    assert caught.value.code == code


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.integers(0, 2**63) | st.floats() | st.text()),
    st.text(max_size=20),
)
def test_evaluate__any_context_and_key__answers(context: dict[str, Any], key: str) -> None:
    conditions = tuple(Condition(name or "a", Operator.NOT_IN, ("x",)) for name in context)
    snapshot = snapshot_of(replace(TONE, conditions=conditions), RICH)
    who = subject("user-1", **{f"k{name}": value for name, value in context.items()})
    for asked in (key, "tone", "rich.depth"):
        found = evaluate(snapshot, asked, who)
        assert found.document["key"] == asked[:200]
        assert ("reason" in found.document) is (found.status == 200)
