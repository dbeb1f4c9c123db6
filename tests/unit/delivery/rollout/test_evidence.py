from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rollouts import CORRECT, FAILED, LATENCY, totals_of

from bailiwick.delivery.rollout.evidence import assess
from bailiwick.delivery.rollout.model import (
    Direction,
    EpochWeights,
    Evidence,
    Finding,
    MetricEvidence,
    MetricRule,
    RolloutPolicy,
    Statistic,
)
from bailiwick.metrics.exposures import ArmTotals, ArmUnits
from bailiwick.metrics.sketch import Sketch
from bailiwick.statistics.moments import UnitMoments

EVEN = (EpochWeights(100, 100),)


def share(failed: int, of: int) -> dict[str, list[float]]:
    return {"failed": [1.0] * failed + [0.0] * (of - failed)}


def judged(
    canary: dict[str, Any], control: dict[str, Any], rule: MetricRule = FAILED, scale: float = 1.0, **options: Any
) -> MetricEvidence:
    policy = RolloutPolicy((rule,))
    totals = totals_of(1, "canary", canary) + totals_of(1, "control", control)
    return assess(policy, EVEN, scale, totals, [], {}, **options)[0].metrics[0]


@pytest.mark.parametrize(
    ("canary", "control", "scale", "expected"),
    [
        (share(0, 200), share(0, 200), 5.0, Finding.HARMLESS),  # exact: no error is needed to say that there are few
        (share(0, 200), share(0, 200), 1.0, Finding.UNDECIDED),
        (share(20, 200), share(0, 200), 1.0, Finding.HARMFUL),
        (share(8, 20), share(0, 20), 1.0, Finding.HARMFUL),
        (share(1, 20), share(0, 20), 1.0, Finding.UNDECIDED),
        (share(30, 1_000), share(30, 1_000), 5.0, Finding.HARMLESS),
        (share(30, 1_000), share(30, 1_000), 1.0, Finding.UNDECIDED),
        (share(300, 10_000), share(300, 10_000), 1.0, Finding.HARMLESS),
        (share(100, 10_000), share(300, 10_000), 1.0, Finding.HARMLESS),  # better is no harm
        (share(500, 10_000), share(300, 10_000), 1.0, Finding.HARMFUL),
    ],
)
def test_assess__failures__as_the_numbers_prove(
    canary: dict[str, Any], control: dict[str, Any], scale: float, expected: Finding
) -> None:
    assert judged(canary, control, scale=scale).finding is expected


def test_assess__nobody_in_an_arm__no_data() -> None:
    assert judged({}, share(1, 100)).finding is Finding.NO_DATA
    assert judged(share(1, 100), {}).words == "no data on failed"


@pytest.mark.parametrize(
    ("right", "expected"), [(900, Finding.UNDECIDED), (700, Finding.HARMFUL), (990, Finding.HARMLESS)]
)
def test_assess__higher_is_better__turned_round(right: int, expected: Finding) -> None:
    control = {"correct": [1.0] * 900 + [0.0] * 100}
    found = judged({"correct": [1.0] * right + [0.0] * (1_000 - right)}, control, CORRECT, intervals=True)
    assert found.finding is expected
    assert found.difference == pytest.approx((right - 900) / 1_000)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.difference < found.high


@pytest.mark.parametrize(
    ("factor", "expected"), [(1.0, Finding.HARMLESS), (1.3, Finding.HARMFUL), (0.5, Finding.HARMLESS)]
)
def test_assess__tail_latency__by_its_quantile(factor: float, expected: Finding) -> None:
    random = np.random.default_rng(1)
    control, canary = random.lognormal(4, 0.3, 4_000), random.lognormal(4, 0.3, 4_000) * factor
    found = judged({"latency_ms": canary}, {"latency_ms": control}, LATENCY)
    assert found.finding is expected
    assert found.canary == pytest.approx(np.quantile(canary, 0.95), rel=0.02)


@pytest.mark.parametrize(
    ("direction", "canary", "expected"),
    [
        (Direction.LOWER, 100.0, Finding.HARMLESS),
        (Direction.LOWER, 130.0, Finding.HARMFUL),
        (Direction.HIGHER, 130.0, Finding.HARMLESS),
        (Direction.HIGHER, 70.0, Finding.HARMFUL),
        (Direction.LOWER, 104.0, Finding.UNDECIDED),
    ],
)
def test_assess__means__either_way(direction: Direction, canary: float, expected: Finding) -> None:
    random = np.random.default_rng(2)
    rule = MetricRule("cost", Statistic.MEAN, direction, 0.05, relative=True)
    units = 400 if expected is Finding.UNDECIDED else 2_000
    control = {"cost": 100 + random.normal(0, 20, units)}
    assert judged({"cost": canary + random.normal(0, 20, units)}, control, rule).finding is expected


def test_assess__weights_change_while_the_day_drifts__no_harm_is_seen_in_the_drift() -> None:
    """Errors rise for everybody while the canary holds 95 % of the traffic: pooled over steps it would look harmful."""
    totals = [
        *totals_of(1, "canary", share(10, 1_000)),
        *totals_of(1, "control", share(10, 1_000)),
        *totals_of(2, "canary", share(1_900, 19_000)),
        *totals_of(2, "control", share(100, 1_000)),
    ]
    epochs = (EpochWeights(5_000, 5_000), EpochWeights(9_500, 500))
    found = assess(RolloutPolicy((FAILED,)), epochs, 1.0, totals, [], {})[0].metrics[0]
    assert found.canary is not None
    assert found.control is not None
    assert found.canary > 1.5 * found.control  # as a naive comparison has it
    assert found.finding is not Finding.HARMFUL


def test_assess__one_user_with_many_failures__is_one_user() -> None:
    heavy = [ArmTotals("r", 1, "canary", "failed", UnitMoments.of([40.0], [40.0]), Sketch.of([1.0] * 40))]
    totals = [*heavy, *totals_of(1, "canary", share(0, 300)), *totals_of(1, "control", share(0, 300))]
    found = assess(RolloutPolicy((FAILED,)), EVEN, 1.0, totals, [], {})[0].metrics[0]
    assert found.finding is not Finding.HARMFUL
    assert judged(share(40, 340), share(0, 300)).finding is Finding.HARMFUL


def test_assess__units_and_requests__counted_by_arm_over_epochs() -> None:
    units = [
        ArmUnits("r", 1, "canary", 3, 5, 0),
        ArmUnits("r", 2, "canary", 4, 6, 1),
        ArmUnits("r", 1, "control", 2, 2, 0),
    ]
    found = assess(RolloutPolicy((FAILED,)), EVEN, 1.0, [], units, {})[0]
    assert (found.canary_units, found.control_units, found.canary_requests) == (7, 2, 11)


def test_assess__tuning__is_frozen_at_the_first_look_that_has_any() -> None:
    policy = RolloutPolicy((FAILED,))

    def look(failed: int, each: int, planned: Any) -> tuple[Evidence, Any]:
        totals = totals_of(1, "canary", share(failed, each)) + totals_of(1, "control", share(failed, each))
        return assess(policy, EVEN, 1.0, totals, [], planned)

    assert look(3, 100, {})[1] == {}
    _, planned = look(50, 1_000, {})
    assert planned.keys() == {"failed:rate"}
    assert look(200, 2_000, planned)[1] == planned


def test_assess__rare_failures_with_intervals__exact_ends_hold_the_difference() -> None:
    found = judged(share(2, 300), share(1, 300), intervals=True)
    assert judged(share(2, 300), share(1, 300)).low is None
    assert found.low is not None
    assert found.high is not None
    assert found.low < 1 / 300 < found.high
    assert found.high < 0.06


def test_assess__harmless_canary_watched_at_every_user__is_rarely_taken_for_harmful() -> None:
    """Under no difference, looked at 60 times each: at most `alpha` of the rollouts may ever abort."""
    random, harmed = np.random.default_rng(3), 0
    policy = RolloutPolicy((replace(FAILED, margin=0.02),), alpha=0.2)
    for _ in range(60):
        canary, control = (random.random((2, 1_200)) < 0.05).astype(float)
        for seen in range(20, 1_201, 20):
            totals = totals_of(1, "canary", {"failed": canary[:seen]}) + totals_of(
                1, "control", {"failed": control[:seen]}
            )
            if assess(policy, EVEN, 1.0, totals, [], {})[0].metrics[0].finding is Finding.HARMFUL:
                harmed += 1
                break
    assert harmed <= 60 * 0.2
