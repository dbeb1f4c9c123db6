"""From probabilities and true labels to what they are worth. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bailiwick.evaluation.model import Confusion, LabelScore, Quality
from bailiwick.statistics.calibration import (
    brier_score,
    expected_calibration_error,
    log_loss,
    reliability_bins,
)
from bailiwick.statistics.proportions import wilson_interval


def measure(probabilities: NDArray[np.float64], labels: Sequence[str], truth: Sequence[str]) -> Quality:
    """Accuracy, F1, confusion and calibration of predictions.

    A true label that the model does not know counts as wrong, with probability 0.

    Args:
        probabilities: shape ``(len(truth), len(labels))``.
        labels: of the columns.
        truth: the true label of each row; at least one.
    """
    at = {label: position for position, label in enumerate(labels)}
    true_positions = np.array([at.get(label, -1) for label in truth])
    predicted_positions = probabilities.argmax(axis=1)
    predicted = [labels[position] for position in predicted_positions]
    correct = predicted_positions == true_positions
    low, high = wilson_interval(int(correct.sum()), len(truth))
    scores = label_scores(truth, predicted)
    bins = reliability_bins(probabilities.max(axis=1), correct)
    return Quality(
        examples=len(truth),
        accuracy=float(correct.mean()),
        accuracy_low=low,
        accuracy_high=high,
        macro_f1=float(np.mean([score.f1 for score in scores])),
        loss=log_loss(probabilities, true_positions),
        brier=brier_score(probabilities, true_positions),
        ece=expected_calibration_error(bins),
        labels=scores,
        confusion=confusion(truth, predicted),
        reliability=bins,
    )


def label_scores(truth: Sequence[str], predicted: Sequence[str]) -> tuple[LabelScore, ...]:
    """Precision, recall and F1 of every label that is true at least once, sorted by label; 0 where undefined.

    >>> [(score.label, score.precision, score.recall) for score in label_scores(["a", "a", "b"], ["a", "b", "b"])]
    [('a', 1.0, 0.5), ('b', 0.5, 1.0)]
    """
    support, claimed = Counter(truth), Counter(predicted)
    hits = Counter(label for label, guess in zip(truth, predicted, strict=True) if label == guess)
    scores = []
    for label in sorted(support):
        precision = hits[label] / claimed[label] if claimed[label] else 0.0
        recall = hits[label] / support[label]
        f1 = 2 * hits[label] / (claimed[label] + support[label])
        scores.append(LabelScore(label, precision, recall, f1, support[label]))
    return tuple(scores)


def confusion(truth: Sequence[str], predicted: Sequence[str]) -> tuple[Confusion, ...]:
    """The cells of the confusion matrix that are not zero, largest first."""
    cells = Counter(zip(truth, predicted, strict=True))
    ordered = sorted(cells.items(), key=lambda cell: (-cell[1], cell[0]))
    return tuple(Confusion(true, guess, count) for (true, guess), count in ordered)
