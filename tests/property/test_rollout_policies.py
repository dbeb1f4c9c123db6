"""Every policy that is accepted can be judged by: a rollout that cannot be looked at would never see harm."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from rollouts import totals_of

from bailiwick.delivery.rollout.evidence import assess
from bailiwick.delivery.rollout.model import (
    Direction,
    EpochWeights,
    JudgeRule,
    MetricRule,
    RolloutPolicy,
    Statistic,
    Step,
)
from bailiwick.delivery.rollout.policy import check_policy
from bailiwick.delivery.rollout.schedule import check_steps
from bailiwick.delivery.rollout.thresholds import assess_thresholds
from bailiwick.traffic.model import CANARY, CONTROL, SLOTS

VALUES = st.lists(st.sampled_from([0.0, 1.0]), max_size=80)
NUMBERS = st.lists(st.floats(-1e9, 1e9, allow_subnormal=False), max_size=40)


@st.composite
def rules(draw: st.DrawFn) -> MetricRule:
    return MetricRule(
        "measured",
        draw(st.sampled_from(list(Statistic))),
        draw(st.sampled_from(list(Direction))),
        draw(st.sampled_from([1e-12, 0.01, 0.99, 1.0, 1e12]) | st.floats(1e-9, 1e12)),
        draw(st.booleans()),
    )


@settings(max_examples=60, deadline=None)
@given(
    rule=rules(),
    alpha=st.sampled_from([1e-6, 0.05, 0.499]) | st.floats(1e-6, 0.499),
    planned=st.sampled_from([1, 1_000, 10**9]),
    scale=st.sampled_from([1e-9, 1.0, 1e6]),
    data=st.data(),
)
def test_assess__any_policy_that_is_accepted__gives_a_finding(
    rule: MetricRule, alpha: float, planned: int, scale: float, data: st.DataObject
) -> None:
    policy = check_policy(RolloutPolicy((rule,), alpha=alpha, planned_units=planned))
    check_steps((Step(100, margin_scale=scale), Step(SLOTS)))
    drawn = VALUES if rule.statistic is Statistic.RATE else NUMBERS
    arms = {arm: data.draw(drawn) for arm in (CANARY, CONTROL)}
    totals = [each for arm, values in arms.items() if values for each in totals_of(1, arm, {"measured": values})]
    found, planned_now = assess(policy, (EpochWeights(100, 100),), scale, totals, (), {}, intervals=True)
    assert len(found.metrics) == 1
    assert all(math.isfinite(value) for value in planned_now.values())
    assess(policy, (EpochWeights(100, 100),), scale, totals, (), planned_now)
    assess_thresholds(RolloutPolicy((rule,), JudgeRule.THRESHOLDS), (EpochWeights(100, 100),), totals, ())
