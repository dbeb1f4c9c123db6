"""How far predicted probabilities can be believed, and the one-parameter correction of them.

Sources: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017 (temperature scaling, expected calibration
error); Brier, "Verification of forecasts expressed in terms of probability", 1950.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Predictions whose confidence lies in ``(lower, upper]``: how sure they were, and how often they were right."""

    lower: float
    upper: float
    count: int
    mean_confidence: float
    accuracy: float


def softmax(scores: NDArray[np.floating]) -> Floats:
    """Probabilities of scores (logits) along the last axis.

    >>> softmax(np.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    shifted = np.asarray(scores, np.float64) - scores.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def log_loss(probabilities: Floats, truth: NDArray[np.integer]) -> float:
    """Mean negative log probability of the true class, in nats.

    Args:
        probabilities: shape ``(n, classes)``.
        truth: class indices, shape ``(n,)``; ``-1`` is a class that the model does not know, probability 1e-12.
    """
    chosen = np.where(truth >= 0, probabilities[np.arange(len(truth)), truth], 0.0)
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def brier_score(probabilities: Floats, truth: NDArray[np.integer]) -> float:
    """Mean squared distance between the probabilities and the one-hot truth, 0 (perfect) to 2."""
    chosen = np.where(truth >= 0, probabilities[np.arange(len(truth)), truth], 0.0)
    return float(((probabilities**2).sum(axis=1) - 2 * chosen + 1).mean())


def reliability_bins(confidence: Floats, correct: NDArray[np.bool_], bins: int = 10) -> tuple[ReliabilityBin, ...]:
    """Accuracy per band of confidence, empty bands left out.

    Args:
        confidence: probability of the predicted class, shape ``(n,)``.
        correct: whether the prediction was right, shape ``(n,)``.
        bins: bands of equal width over 0 to 1.
    """
    band = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for number in range(bins):
        inside = band == number
        if inside.any():
            found.append(
                ReliabilityBin(
                    lower=number / bins,
                    upper=(number + 1) / bins,
                    count=int(inside.sum()),
                    mean_confidence=float(confidence[inside].mean()),
                    accuracy=float(correct[inside].mean()),
                )
            )
    return tuple(found)


def expected_calibration_error(bins: tuple[ReliabilityBin, ...]) -> float:
    """Mean distance between confidence and accuracy, weighted by how many predictions fall in each band; 0 is best."""
    total = sum(band.count for band in bins)
    return sum(band.count * abs(band.mean_confidence - band.accuracy) for band in bins) / max(1, total)


def fit_temperature(scores: NDArray[np.floating], truth: NDArray[np.integer]) -> float:
    """The temperature T that minimises the log loss of ``softmax(scores / T)``, between 1/8 and 8.

    The loss is convex in 1/T, hence unimodal in log T; golden-section search finds it to 0.1 %.

    Args:
        scores: logits, shape ``(n, classes)``.
        truth: class indices, shape ``(n,)``.
    """

    def loss(log_temperature: float) -> float:
        return log_loss(softmax(scores / math.exp(log_temperature)), truth)

    low, high = -math.log(8), math.log(8)
    while high - low > 1e-3:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)
