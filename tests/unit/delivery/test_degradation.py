from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.delivery.degradation import Observed, Rate, RollbackEvidence, Tolerances, degraded
from bailiwick.delivery.watch import best_baseline

THRESHOLDS = Tolerances(evidence=RollbackEvidence.THRESHOLDS)
SEQUENTIAL = Tolerances(evidence=RollbackEvidence.SEQUENTIAL)


def rules(before: Observed, now: Observed, tolerances: Tolerances = THRESHOLDS) -> list[str]:
    return [finding.rule for finding in degraded(before, now, tolerances)]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (Observed(correct=Rate(90, 100)), Observed(correct=Rate(85, 100)), ["accuracy_drop"]),
        (Observed(correct=Rate(80, 100)), Observed(correct=Rate(76, 100)), []),  # exactly 5 % of 0.8
        (Observed(correct=Rate(90, 100)), Observed(correct=Rate(20, 49)), []),  # too few of its own
        (Observed(correct=Rate(49, 49)), Observed(correct=Rate(20, 100)), []),  # too few to compare with
        (Observed(correct=Rate(45, 50)), Observed(correct=Rate(42, 50)), ["accuracy_drop"]),
        (Observed(failed=Rate(0, 50)), Observed(failed=Rate(6, 50)), ["error_rise"]),
        (Observed(failed=Rate(10, 100)), Observed(failed=Rate(20, 100)), []),  # exactly ten points
        (Observed(failed=Rate(0, 100)), Observed(failed=Rate(0, 0)), []),
        (Observed(latencies=50, latency_p95_ms=10), Observed(latencies=50, latency_p95_ms=15), []),
        (Observed(latencies=50, latency_p95_ms=10), Observed(latencies=50, latency_p95_ms=15.1), ["latency_factor"]),
        (Observed(latencies=49, latency_p95_ms=10), Observed(latencies=50, latency_p95_ms=99), []),
        (Observed(latencies=50, latency_p95_ms=math.nan), Observed(latencies=50, latency_p95_ms=99), []),
        (Observed(latencies=50, latency_p95_ms=10), Observed(latencies=50, latency_p95_ms=math.inf), []),
        (Observed(), Observed(), []),
    ],
)
def test_degraded__thresholds__as_documented(before: Observed, now: Observed, expected: list[str]) -> None:
    assert rules(before, now) == expected


def test_degraded__finding__carries_both_values_and_samples() -> None:
    (found,) = degraded(Observed(correct=Rate(90, 100)), Observed(correct=Rate(40, 80)), THRESHOLDS)
    assert (found.metric, found.baseline, found.current) == ("correct", 0.9, 0.5)
    assert (found.baseline_samples, found.samples) == (100, 80)
    assert found.reason == "accuracy 50.0% against 90.0%: down by more than 5.0% of it"


def test_degraded__gross_harm_before_fifty_samples__sequential_evidence_is_enough() -> None:
    before, now = Observed(failed=Rate(2, 1000)), Observed(failed=Rate(12, 15))
    assert rules(before, now) == []
    assert rules(before, now, SEQUENTIAL) == ["error_evidence"]
    assert rules(before, now, Tolerances()) == ["error_evidence"]


def test_degraded__harm_below_the_margin__is_tolerated_however_well_it_is_proven() -> None:
    before, now = Observed(failed=Rate(1_000, 100_000)), Observed(failed=Rate(1_800, 100_000))
    assert rules(before, now, SEQUENTIAL) == []
    assert rules(before, now, Tolerances(evidence=RollbackEvidence.SEQUENTIAL, margin=0.001)) == ["error_evidence"]


numbers = st.one_of(st.floats(), st.sampled_from([math.nan, math.inf, -1.0, 0.0]))
rates = st.builds(Rate, numbers, st.integers(0, 500))
observed = st.builds(Observed, rates, rates, st.integers(0, 500), numbers)


@settings(max_examples=150, deadline=None)
@given(observed, observed, st.sampled_from(list(RollbackEvidence)))
def test_degraded__any_numbers__never_raises_and_never_judges_without_finite_ones(
    before: Observed, now: Observed, evidence: RollbackEvidence
) -> None:
    for finding in degraded(before, now, Tolerances(evidence=evidence)):
        assert math.isfinite(finding.baseline)
        assert math.isfinite(finding.current)
        assert min(finding.baseline_samples, finding.samples) > 0


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 200), st.integers(1, 200), st.sampled_from(list(RollbackEvidence)))
def test_degraded__the_same_numbers_on_both_sides__never_speak_against_it(
    count: int, trials: int, evidence: RollbackEvidence
) -> None:
    same = Observed(Rate(min(count, trials), trials), Rate(min(count, trials), trials), trials, 5.0)
    assert degraded(same, same, Tolerances(evidence=evidence)) == ()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 150), st.integers(50, 150), st.integers(0, 150), st.integers(50, 150))
def test_degraded__improving__is_never_found(wrong: int, trials: int, wrong_now: int, trials_now: int) -> None:
    before, now = Rate(min(wrong, trials), trials), Rate(min(wrong_now, trials_now), trials_now)
    if now.value <= before.value:
        assert degraded(Observed(failed=before), Observed(failed=now), Tolerances()) == ()


def test_baseline__enough_beside_it__is_preferred_metric_by_metric() -> None:
    beside = Observed(correct=Rate(5, 10), failed=Rate(1, 60), latencies=10, latency_p95_ms=9)
    before = Observed(correct=Rate(500, 600), failed=Rate(0, 900), latencies=0)
    chosen = best_baseline(beside, before, 50)
    assert chosen == Observed(Rate(500, 600), Rate(1, 60), 10, 9)
