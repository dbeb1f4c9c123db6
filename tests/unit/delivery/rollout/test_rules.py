"""The two other rules: Kayenta's judge, and fixed thresholds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rollouts import CORRECT, FAILED, LATENCY, totals_of
from scipy.stats import mannwhitneyu

from bailiwick.delivery.rollout.kayenta import Label, Minutes, assess_kayenta, classify, score, shift
from bailiwick.delivery.rollout.model import EpochWeights, Finding, JudgeRule, RolloutPolicy
from bailiwick.delivery.rollout.policy import default_policy
from bailiwick.delivery.rollout.thresholds import assess_thresholds

EVEN = (EpochWeights(1_000, 1_000),)


def test_shift__interval__leaves_zero_out_when_the_rank_sum_test_rejects() -> None:
    random = np.random.default_rng(4)
    agreed = 0
    for _ in range(200):
        control, canary = random.normal(0, 1, 25), random.normal(0.6, 1, 25)
        found = shift(control.tolist(), canary.tolist())
        rejected = mannwhitneyu(canary, control, alternative="two-sided", method="asymptotic").pvalue < 0.02
        agreed += (found.low > 0 or found.high < 0) == rejected
    assert agreed >= 196  # they differ by the continuity correction at the very edge


def test_shift__few_points__interval_is_open() -> None:
    assert shift([1.0, 2.0], [3.0, 4.0]).low == -math.inf


@pytest.mark.parametrize(
    ("control", "canary", "expected"),
    [
        ([1.0, 1.1, 0.9] * 6, [2.0, 2.1, 1.9] * 6, Label.HIGH),
        ([2.0, 2.1, 1.9] * 6, [1.0, 1.1, 0.9] * 6, Label.LOW),
        ([1.0, 1.1, 0.9] * 6, [1.0, 1.1, 0.9] * 6, Label.PASSED),
        ([0.0] * 30, [0.0] * 20 + [1.0] * 10, Label.PASSED),  # sparse errors: its known blind spot
        ([], [1.0], Label.NO_DATA),
        ([1.0], [], Label.NO_DATA),
    ],
)
def test_classify__points__as_kayenta_does(control: list[float], canary: list[float], expected: Label) -> None:
    assert classify(Minutes(control, canary)) is expected


def test_score__nothing_told__none() -> None:
    assert score([Label.NO_DATA]) is None
    assert score([Label.PASSED, Label.LOW]) == 50


def test_assess_kayenta__worse_latency__harmful_and_no_data_is_no_pass() -> None:
    minutes = {"latency_ms": Minutes([10.0, 11.0, 9.0] * 5, [20.0, 21.0, 19.0] * 5)}
    found = assess_kayenta(RolloutPolicy((LATENCY, FAILED, CORRECT), JudgeRule.KAYENTA), minutes, [])
    assert [each.finding for each in found.metrics] == [Finding.HARMFUL, Finding.NO_DATA, Finding.NO_DATA]


def test_assess_kayenta__few_minutes__undecided() -> None:
    minutes = {"failed": Minutes([0.1] * 5, [0.1] * 5)}
    found = assess_kayenta(RolloutPolicy((FAILED,), JudgeRule.KAYENTA), minutes, [])
    assert found.metrics[0].finding is Finding.UNDECIDED


@pytest.mark.parametrize(
    ("failed", "latency", "each", "expected"),
    [
        (0, 100.0, 50, (Finding.HARMLESS, Finding.HARMLESS)),
        (0, 151.0, 50, (Finding.HARMFUL, Finding.HARMLESS)),
        (6, 150.0, 50, (Finding.HARMLESS, Finding.HARMFUL)),
        (5, 149.0, 50, (Finding.HARMLESS, Finding.HARMLESS)),
        (40, 900.0, 49, (Finding.UNDECIDED, Finding.UNDECIDED)),
    ],
)
def test_thresholds__tolerances__once_there_are_enough_samples(
    failed: int, latency: float, each: int, expected: tuple[Finding, Finding]
) -> None:
    totals = [
        *totals_of(1, "canary", {"failed": [1.0] * failed + [0.0] * (each - failed), "latency_ms": [latency] * each}),
        *totals_of(1, "control", {"failed": [0.0] * each, "latency_ms": [100.0] * each}),
    ]
    found = assess_thresholds(default_policy(JudgeRule.THRESHOLDS), EVEN, totals, [])
    assert tuple(metric.finding for metric in found.metrics) == (Finding.NO_DATA, *expected)
