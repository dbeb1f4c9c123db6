from __future__ import annotations

from typing import Any

import pytest
from deliveries import GOOD

from bailiwick.delivery.degradation import Rate
from bailiwick.delivery.gates import GateEvidence, judge_all
from bailiwick.delivery.model import GateResult
from bailiwick.delivery.policy import GatePolicy, changed
from bailiwick.domains.model import Thresholds
from bailiwick.evaluation.model import Comparison
from bailiwick.statistics.paired import compare_paired


def gate(name: str, policy: dict[str, Any], **evidence: Any) -> GateResult:
    given = GateEvidence(GOOD, evidence.pop("card", {}), **evidence)
    return {each.name: each for each in judge_all(given, Thresholds(), changed(GatePolicy(), policy))}[name]


def compared(examples: int, only_first: int, only_second: int) -> Comparison:
    result = compare_paired(examples, only_first, only_second)
    return Comparison("v1", "v2", "queries", 0.9, 0.9 + result.difference, result)


def test_default__asks_what_the_domain_asks() -> None:
    asked = judge_all(GateEvidence(GOOD, {}), Thresholds(), GatePolicy())
    assert [each.name for each in asked] == ["accuracy", "latency_p95_ms", "training_loss", "validation_loss"]


@pytest.mark.parametrize(
    ("failed", "passed", "words"),
    [
        (Rate(0, 0), True, "0 of 50 live requests"),
        (Rate(49, 49), True, "49 of 50 live requests"),
        (Rate(5, 100), True, "is within 0.05"),
        (Rate(6, 100), False, "exceeds 0.05"),
    ],
)
def test_live_errors__judged_only_once_there_are_enough(failed: Rate, passed: bool, words: str) -> None:
    found = gate("live_error_rate", {"max_error_rate": 0.05}, failed=failed)
    assert (found.passed, found.inconclusive) == (passed, False)
    assert words in found.reason


@pytest.mark.parametrize(
    ("card", "passed", "words"),
    [
        ({}, False, "claims no differential privacy"),
        ({"privacy": {"epsilon": "2.5"}}, True, "is within 3"),
        ({"privacy": {"epsilon": "3.000000001"}}, False, "exceeds 3"),
        ({"privacy": {"epsilon": None}}, False, "not a finite number"),
        ({"privacy": {"epsilon": "inf"}}, False, "not a finite number"),
        ({"privacy": "strong"}, False, "claims no differential privacy"),
    ],
)
def test_privacy__what_the_card_states_is_held_against_the_limit(
    card: dict[str, Any], passed: bool, words: str
) -> None:
    found = gate("privacy_epsilon", {"max_epsilon": 3}, card=card)
    assert found.passed is passed
    assert words in found.reason


@pytest.mark.parametrize(
    ("comparison", "passed", "unsure"),
    [
        (compared(2000, 10, 10), True, False),  # equal on many texts
        (compared(40, 1, 1), False, True),  # equal on few: who knows
        (compared(2000, 150, 10), False, False),  # 7 points worse
        (compared(2000, 60, 20), False, True),  # 2 points worse, give or take
        (compared(2000, 10, 60), True, False),
    ],
)
def test_regression__interval_against_the_margin__passes_fails_or_cannot_tell(
    comparison: Comparison, passed: bool, unsure: bool
) -> None:
    found = gate("regression", {"regression_margin": 0.02}, champion="v1", comparison=comparison)
    assert (found.passed, found.inconclusive) == (passed, unsure)
    lenient = {"regression_margin": 0.02, "inconclusive": "pass"}
    assert gate("regression", lenient, champion="v1", comparison=comparison).passed is (passed or unsure)


def test_regression__nothing_to_compare_with__passes() -> None:
    assert gate("regression", {"regression_margin": 0.02}).passed


def test_regression__cannot_be_compared__is_inconclusive_and_says_why() -> None:
    found = gate("regression", {"regression_margin": 0.02}, champion="v1", no_comparison="too few rows")
    assert (found.passed, found.inconclusive, found.measured) == (False, True, None)
    assert found.reason == "cannot be compared with v1: too few rows"
