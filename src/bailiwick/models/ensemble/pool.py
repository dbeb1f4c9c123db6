"""Several members' probabilities of the same labels, made one. Pure; the order of the members never matters.

Sources: linear and logarithmic opinion pools: Genest and Zidek, "Combining probability distributions", Statistical
Science 1986.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bailiwick.models.ensemble.spec import Strategy

Floats = NDArray[np.float64]

LEAST_PROBABILITY = 1e-6
"""What a log pool takes a smaller probability for: no member alone can rule a label out."""

_BREAKS_TIES = 1e-9


def pool(strategy: Strategy, probabilities: Floats, weights: Floats) -> Floats:
    """The members' common probabilities.

    A vote decides which label comes first; how probable the labels are is the average's to say.

    Args:
        strategy: one of `spec.LABELS`.
        probabilities: shape ``(members, texts, labels)``; a row of zeros abstains.
        weights: shape ``(members,)``, 0 or more, at least one above 0.

    Returns:
        Shape ``(texts, labels)``; rows sum to 1.

    >>> said = np.array([[[0.6, 0.4]], [[0.1, 0.9]], [[0.55, 0.45]]])
    >>> pool(Strategy.MAJORITY, said, np.ones(3)).round(2).tolist()
    [[0.58, 0.42]]
    >>> pool(Strategy.AVERAGE, said, np.ones(3)).round(2).tolist()
    [[0.42, 0.58]]
    """
    if strategy is Strategy.STACKING:
        return log_pool(probabilities, weights)
    shares = weights[:, None, None] * probabilities
    average = _normalised(_sum(shares))
    if strategy is Strategy.AVERAGE:
        return average
    best = probabilities.argmax(axis=2)
    members, texts = np.arange(best.shape[0])[:, None], np.arange(best.shape[1])
    votes = np.zeros_like(probabilities)
    counted = shares[members, texts, best]
    votes[members, texts, best] = counted if strategy is Strategy.VOTE else weights[:, None] * (counted > 0)
    return _led_by((_sum(votes) + _BREAKS_TIES * average).argmax(axis=1), average)


def log_pool(probabilities: Floats, weights: Floats) -> Floats:
    """``softmax(sum(weights * log(probabilities)))``. Arguments and result as `pool`.

    >>> log_pool(np.array([[[0.8, 0.2]], [[0.8, 0.2]]]), np.array([0.5, 0.5])).round(2).tolist()
    [[0.8, 0.2]]
    """
    scores = _sum(weights[:, None, None] * np.log(np.maximum(probabilities, LEAST_PROBABILITY)))
    scores -= scores.max(axis=1, keepdims=True)
    exponentials = np.exp(scores)
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def present_weights(weights: Floats, present: NDArray[np.bool_], total: float | None = None) -> Floats:
    """The weights of the members that answered, scaled so that they count as much together as all would.

    Without the scaling a log pool would lose confidence with every member that is absent. Where only members without
    weight answered, each counts alike.

    Args:
        weights: of the members that were asked.
        present: which of them answered.
        total: what all members would count together, those too that were not asked; None: all were asked.

    >>> present_weights(np.array([1.0, 2.0, 1.0]), np.array([True, False, True])).tolist()
    [2.0, 2.0]
    >>> present_weights(np.array([1.0, 0.5]), np.array([True, True]), total=3.0).tolist()
    [2.0, 1.0]
    """
    left = weights[present]
    kept, whole = left.sum(), float(weights.sum()) if total is None else total
    if kept <= 0 or whole <= 0:
        return np.full(len(left), max(1.0, whole) / max(1, len(left)))
    return np.asarray(left * (whole / kept))


def _led_by(winners: NDArray[np.int64], average: Floats) -> Floats:
    """The average with the winner of the vote in front: it changes places with the label that was, if another was.

    Shares of votes are no probabilities: where all agree they leave nothing to the other labels. The average does.
    """
    rows, ahead = np.arange(len(winners)), average.argmax(axis=1)
    led = average.copy()
    led[rows, ahead], led[rows, winners] = average[rows, winners], average[rows, ahead]
    return led


def _sum(parts: Floats) -> Floats:
    """The sum over the members, the same to the last bit in whichever order they stand."""
    return np.asarray(np.sort(parts, axis=0).sum(axis=0))


def _normalised(scores: Floats) -> Floats:
    totals = scores.sum(axis=1, keepdims=True)
    even = np.full_like(scores, 1 / scores.shape[1])
    return np.where(totals > 0, scores / np.where(totals > 0, totals, 1.0), even)
