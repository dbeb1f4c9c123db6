"""How much a canary may be tried on, and whether that could ever be enough."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rollouts import CORRECT, FAILED, LATENCY, totals_of

from bailiwick.delivery.rollout.blast_radius import require_provable
from bailiwick.delivery.rollout.evidence import assess
from bailiwick.delivery.rollout.model import BlastRadius, EpochWeights, Finding, JudgeRule, MetricRule, RolloutPolicy
from bailiwick.delivery.rollout.policy import default_policy
from bailiwick.delivery.rollout.schedule import DEFAULT_STEPS
from bailiwick.errors import InvalidInput
from bailiwick.traffic.model import CANARY, CONTROL


def least(policy: RolloutPolicy) -> int:
    with pytest.raises(InvalidInput) as refused:
        require_provable(DEFAULT_STEPS, policy)
    return int(str(refused.value.allowed).removeprefix("at least ").split(",")[0])


@pytest.mark.parametrize("rule", [FAILED, replace(CORRECT, required=True)])
@pytest.mark.parametrize("noun", ["requests", "units"])
def test_require_provable__limit_under_the_least__refused_naming_it(rule: MetricRule, noun: str) -> None:
    few = replace(default_policy(), metrics=(rule,), blast_radius=BlastRadius(**{noun: 20}))
    enough = least(few)
    require_provable(DEFAULT_STEPS, replace(few, blast_radius=BlastRadius(**{noun: enough})))
    with pytest.raises(InvalidInput, match=f"most_{noun} is"):
        require_provable(DEFAULT_STEPS, replace(few, blast_radius=BlastRadius(**{noun: enough * 95 // 100})))
    # and that many users without a fault are what the evidence itself needs at the narrowest margin
    good = float(rule is not FAILED)
    for units, finding in ((enough, Finding.HARMLESS), (enough * 95 // 100, Finding.UNDECIDED)):
        totals = [each for arm in (CANARY, CONTROL) for each in totals_of(1, arm, {rule.metric: [good] * units})]
        found, _ = assess(few, (EpochWeights(5_000, 5_000),), 0.7, totals, (), {})
        assert found.metrics[0].finding is finding


def test_require_provable__nothing_to_know_beforehand__never_refused() -> None:
    tiny = BlastRadius(requests=1)
    require_provable(DEFAULT_STEPS, default_policy())
    require_provable(DEFAULT_STEPS, replace(default_policy(JudgeRule.THRESHOLDS), blast_radius=tiny))
    require_provable(
        DEFAULT_STEPS, replace(default_policy(), metrics=(replace(LATENCY, required=True),), blast_radius=tiny)
    )
    require_provable(DEFAULT_STEPS[-1:], replace(default_policy(), blast_radius=tiny))


def test_require_provable__both_limits__the_smaller_one_counts() -> None:
    policy = replace(default_policy(), blast_radius=BlastRadius(requests=100_000, units=30))
    with pytest.raises(InvalidInput, match="most_units is 30"):
        require_provable(DEFAULT_STEPS, policy)
