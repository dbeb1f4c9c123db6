from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from learning_examples import ADA, Learning, examples, write_csv

from bailiwick.errors import InvalidInput, NotFound
from bailiwick.evaluation.model import METRICS


def train(learning: Learning, dataset: str = "bank", **more: Any) -> str:
    run = learning.training.train("bank", dataset, actor=ADA, seed=1, **more)
    assert run.version
    return run.version


def test_evaluate__version__becomes_its_metrics_and_is_kept(learning: Learning) -> None:
    learning.bank()
    version = train(learning)
    made = learning.evaluation.evaluate(version, actor=ADA)
    assert made.metrics == learning.registry.get(version).metrics
    assert set(made.metrics) == set(METRICS)
    assert made.metrics["test_examples"] == 30
    assert made.metrics["accuracy"] >= 0.9
    assert made.metrics["accuracy_low"] <= made.metrics["accuracy"] <= made.metrics["accuracy_high"]
    assert made.metrics["latency_p50_ms"] <= made.metrics["latency_p95_ms"] <= made.metrics["latency_p99_ms"]
    assert made.metrics["size_bytes"] == learning.registry.get(version).artefact_bytes
    assert learning.evaluation.list(version) == [made]
    actions = [entry.action for entry in learning.audit.entries(limit=2)]
    assert sorted(actions) == ["evaluation.record", "model_version.measure"]


def test_evaluate__rows_that_it_learned_from__refused_and_metrics_kept(learning: Learning, tmp_path: Path) -> None:
    learning.bank(90)
    version = train(learning)
    path = write_csv(tmp_path / "all.csv", examples(90))
    learning.datasets.import_file(path, actor=ADA, name="leaky", test=path)
    with pytest.raises(InvalidInput, match="learned from"):
        learning.evaluation.evaluate(version, actor=ADA, dataset="leaky")
    assert learning.registry.get(version).metrics == {}


def test_evaluate__some_rows_were_learned_by_an_ancestor__left_out_and_counted(
    learning: Learning, tmp_path: Path
) -> None:
    learning.bank(90)
    parent = train(learning)
    train_file = write_csv(tmp_path / "train.csv", examples(60, 5))
    fresh = examples(60, 6)
    mixed = [*fresh, *examples(90)[:20]]
    test_file = write_csv(
        tmp_path / "test.csv", [type(e)(e.text, e.label, f"{e.unit}-{i}") for i, e in enumerate(mixed)]
    )
    learning.datasets.import_file(train_file, actor=ADA, name="next", test=test_file)
    child = train(learning, "next", start_version=parent)
    made = learning.evaluation.evaluate(child, actor=ADA)
    assert made.metrics["excluded_examples"] > 0
    assert made.metrics["excluded_examples"] + made.metrics["test_examples"] == 80


def test_evaluate__no_test_rows__refused(learning: Learning, tmp_path: Path) -> None:
    learning.bank()
    version = train(learning)
    path = write_csv(tmp_path / "other.csv", examples(30), domain="loans")
    learning.datasets.import_file(path, actor=ADA, name="other")
    with pytest.raises(InvalidInput, match="no test rows"):
        learning.evaluation.evaluate(version, actor=ADA, dataset="other")


def test_compare__version_with_itself__no_difference(learning: Learning) -> None:
    learning.bank()
    version = train(learning)
    made = learning.evaluation.compare(version, version)
    assert made.result.difference == 0
    assert made.result.p_value == 1
    assert made.verdict == "inconclusive"


def test_compare__against_a_model_that_learned_nothing__better(learning: Learning) -> None:
    learning.bank(600)
    good = train(learning)
    poor = train(learning, settings={"epochs": 1, "learning_rate": 1e-6})
    assert learning.evaluation.compare(poor, good).verdict == "better"
    assert learning.evaluation.compare(good, poor).verdict == "worse"


def test_evaluate__unknown_version__not_found(learning: Learning) -> None:
    with pytest.raises(NotFound):
        learning.evaluation.evaluate("bank-v1", actor=ADA)
