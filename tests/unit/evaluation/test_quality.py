from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, f1_score, log_loss

from bailiwick.evaluation.quality import measure

LABELS = ("a", "b", "c")


def test_measure__random_predictions__equals_the_reference() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(3), 500)
    truth = [LABELS[i] for i in generator.integers(0, 3, 500)]
    made = measure(probabilities, LABELS, truth)
    predicted = [LABELS[i] for i in probabilities.argmax(axis=1)]
    assert made.accuracy == np.mean(np.array(truth) == np.array(predicted))
    assert made.macro_f1 == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert made.loss == pytest.approx(log_loss(truth, probabilities, labels=list(LABELS)))
    assert made.brier == pytest.approx(brier_score_loss(truth, probabilities, labels=list(LABELS), scale_by_half=False))
    assert sum(cell.count for cell in made.confusion) == 500
    assert sum(score.support for score in made.labels) == 500


def test_measure__label_unknown_to_the_model__counts_as_wrong() -> None:
    made = measure(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), LABELS, ["a", "new"])
    assert made.accuracy == 0.5
    assert made.loss > 10
    assert made.brier == pytest.approx(1.0)
    assert made.labels[1].f1 == 0


def test_measure__sure_and_half_right__calibration_error_is_half() -> None:
    made = measure(np.array([[1.0, 0.0, 0.0]] * 4), LABELS, ["a", "a", "b", "b"])
    assert made.ece == pytest.approx(0.5)
    assert len(made.reliability) == 1
