from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollouts import CORRECT, FAILED, NOW, PROVEN, a_rollout

from bailiwick.delivery.rollout.document import parse_policy, policy_document, rollout_document
from bailiwick.delivery.rollout.model import BlastRadius, JudgeRule, RolloutPolicy, Step
from bailiwick.delivery.rollout.policy import DEFAULT_METRICS, check_policy, default_policy
from bailiwick.delivery.rollout.schedule import DEFAULT_STEPS
from bailiwick.delivery.rollout.stored import dump_evidence, dump_policy, load_evidence, load_policy
from bailiwick.errors import InvalidInput

FULL = {
    "steps": [
        {"share_percent": 0.5, "dwell_s": 60, "sample": 50, "margin_scale": 3, "approval": True},
        {"share_percent": 100},
    ],
    "rule": "sequential",
    "metrics": [{"metric": "correct", "statistic": "rate", "direction": "higher", "margin": 0.02}],
    "alpha": 0.01,
    "hold_back_percent": 2.5,
    "guard_s": 60,
    "max_hold_s": None,
    "on_max_hold": "abort",
    "most_requests": 10,
    "most_units": 5,
    "freezes": [{"name": "weekend", "days": ["friday"], "opens": "16:00", "hours": 64, "timezone": "Europe/Berlin"}],
}


def test_parse_policy__everything_given__taken_over() -> None:
    steps, policy = parse_policy(FULL)
    assert steps == (Step(50, 60, 50, 3, True), Step(10_000))
    assert (policy.alpha, policy.hold_back, policy.max_hold_s, policy.abort_on_max_hold) == (0.01, 250, None, True)
    assert policy.blast_radius == BlastRadius(10, 5)
    assert policy.freezes[0].opens == time(16)


def test_parse_policy__nothing_given__the_default() -> None:
    assert parse_policy({}) == (DEFAULT_STEPS, default_policy())
    assert parse_policy({"rule": "thresholds"})[1] == default_policy(JudgeRule.THRESHOLDS)


def test_policy_document__read_back__is_the_same() -> None:
    assert parse_policy(policy_document(*parse_policy(FULL))) == parse_policy(FULL)
    assert load_policy(dump_policy(parse_policy(FULL)[1])) == parse_policy(FULL)[1]
    assert load_evidence(dump_evidence(PROVEN)) == PROVEN


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"step": []}, "step: Extra inputs"),
        ({"steps": []}, "steps"),
        ({"steps": [{"share_percent": 1}]}, "ends at 1 %"),
        ({"steps": [{"share_percent": 0.001}, {"share_percent": 100}]}, "a share of"),
        ({"steps": [{"share_percent": 1, "dwell_s": float("nan")}]}, "dwell_s"),
        ({"alpha": 0}, "alpha"),
        ({"alpha": 1e400}, "alpha"),
        ({"alpha": 1e-300}, "alpha"),
        ({"metrics": [{"metric": "x", "statistic": "max", "direction": "lower", "margin": 1}]}, "statistic"),
        (
            {"metrics": [{"metric": "x", "statistic": "rate", "direction": "lower", "margin": 0}]},
            "required with a margin of 0",
        ),
        ({"freezes": [{"name": "never"}]}, "neither a span nor weekly"),
        ({"hold_back_percent": 51}, "hold_back_percent"),
    ],
)
def test_parse_policy__malformed__refused_by_name(document: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_policy(document)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.sampled_from(sorted(FULL)), each),
        max_leaves=8,
    )
)
def test_parse_policy__anything__is_taken_or_refused(document: Any) -> None:
    if isinstance(document, dict):
        with contextlib.suppress(InvalidInput):
            parse_policy(document)


@pytest.mark.parametrize(
    "policy",
    [
        RolloutPolicy(()),
        RolloutPolicy((CORRECT,)),
        RolloutPolicy((FAILED, FAILED)),
        RolloutPolicy(DEFAULT_METRICS, hold_back=6_000),
        RolloutPolicy(DEFAULT_METRICS, guard_s=-1.0),
        RolloutPolicy(DEFAULT_METRICS, blast_radius=BlastRadius(0)),
        RolloutPolicy(DEFAULT_METRICS, alpha=1e-300),
        RolloutPolicy((replace(FAILED, margin=1e300),)),
    ],
)
def test_check_policy__that_protects_nobody__refused(policy: RolloutPolicy) -> None:
    with pytest.raises(InvalidInput):
        check_policy(policy)


def test_rollout_document__weights__in_percent() -> None:
    shown = rollout_document(a_rollout(weight=250))
    assert (shown["share_percent"], shown["state"], shown["started_at"]) == (2.5, "running", NOW)
