"""The default family on a public benchmark, through the whole way from files to metrics."""

from __future__ import annotations

from pathlib import Path

import pytest
from learning_examples import ADA, Learning


@pytest.mark.corpora
def test_banking77__default_settings__accuracy_and_calibration_as_documented(learning: Learning, corpora: Path) -> None:
    folder = corpora / "banking77"
    learning.datasets.import_file(
        folder / "train.csv", actor=ADA, name="banking77", domain="banking", test=folder / "test.csv"
    )
    run = learning.training.train("banking", "banking77", actor=ADA, seed=20260101)
    metrics = learning.evaluation.evaluate(run.version or "", actor=ADA).metrics
    assert metrics["test_examples"] >= 3_070
    assert metrics["accuracy"] >= 0.92
    assert metrics["ece"] <= 0.03
    assert metrics["training_loss"] <= 0.3
    assert metrics["validation_loss"] <= 0.35
    assert (run.cpu_s or 0) <= 60
