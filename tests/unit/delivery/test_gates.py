from __future__ import annotations

import math

import pytest

from bailiwick.delivery.gates import explain, judge
from bailiwick.domains.model import Thresholds

GOOD = {"accuracy": 0.91, "latency_p95_ms": 12.5, "training_loss": 0.1, "validation_loss": 0.2}


def failed(metrics: dict[str, object], thresholds: Thresholds | None = None) -> list[str]:
    return [gate.name for gate in judge(metrics, thresholds or Thresholds()) if not gate.passed]


def test_judge__good_numbers__all_pass() -> None:
    assert failed(GOOD) == []
    assert explain(judge(GOOD, Thresholds())) == "every gate passed"


def test_judge__exactly_at_the_limits__all_pass() -> None:
    at_limit = {"accuracy": 0.85, "latency_p95_ms": 500, "training_loss": 0.3, "validation_loss": 0.35}
    assert failed(at_limit) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("accuracy", 0.8499), ("latency_p95_ms", 500.1), ("training_loss", 0.31), ("validation_loss", 0.36)],
)
def test_judge__one_number_beyond_its_limit__that_gate_fails(name: str, value: float) -> None:
    assert failed({**GOOD, name: value}) == [name]


@pytest.mark.parametrize("name", list(GOOD))
def test_judge__metric_missing__held_as_not_measured(name: str) -> None:
    metrics = {key: value for key, value in GOOD.items() if key != name}
    gates = judge(metrics, Thresholds())
    assert failed(metrics) == [name]
    assert explain(gates) == f"{name} was not measured"


@pytest.mark.parametrize("name", list(GOOD))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "0.9", True, [0.9]])
def test_judge__not_a_finite_number__refused(name: str, value: object) -> None:
    gates = judge({**GOOD, name: value}, Thresholds())
    assert [(gate.name, gate.measured) for gate in gates if not gate.passed] == [(name, None)]
    assert "not a finite number" in explain(gates)


def test_judge__own_thresholds__taken() -> None:
    assert failed(GOOD, Thresholds(min_accuracy=0.95, max_latency_ms=10)) == ["accuracy", "latency_p95_ms"]


def test_explain__several_failures__names_value_and_limit_of_each() -> None:
    gates = judge({**GOOD, "accuracy": 0.5, "latency_p95_ms": 900}, Thresholds())
    assert explain(gates) == "accuracy 0.5 is below 0.85; latency_p95_ms 900 exceeds 500"
