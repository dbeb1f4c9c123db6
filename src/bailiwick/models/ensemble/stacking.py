"""Learning how much each member counts in a log opinion pool. Pure.

``P(label) ~ exp(sum over members of weight * log P_member(label))`` is a multinomial logistic regression with one
coefficient per member (Wolpert, "Stacked generalization", Neural Networks 1992; with few parameters and weights of at
least 0 as Breiman, "Stacked regressions", Machine Learning 1996, found best). Its loss is convex: Newton's method finds
the minimum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bailiwick.models.ensemble.pool import LEAST_PROBABILITY

Floats = NDArray[np.float64]

_RIDGE = 1.0
_STEPS = 50
_CLOSE = 1e-9


def fit_weights(probabilities: Floats, truth: NDArray[np.integer]) -> Floats:
    """The weights, 0 or more, that make the pool's log loss on held-out texts smallest.

    A ridge of one text's worth pulls them towards equal shares, so that few texts or equal members give the average.

    Args:
        probabilities: shape ``(members, texts, labels)``.
        truth: positions of the true labels, shape ``(texts,)``; texts whose label nobody knows (-1) say nothing.

    Returns:
        Shape ``(members,)``.

    >>> good = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1], [0.2, 0.8]])
    >>> guess = np.array([[0.5, 0.5], [0.5, 0.5], [0.4, 0.6], [0.6, 0.4]])
    >>> weights = fit_weights(np.stack([good, guess]), np.array([0, 1, 0, 1]))
    >>> bool(weights[0] > weights[1])
    True
    """
    known = truth >= 0
    logs = np.log(np.maximum(probabilities[:, known], LEAST_PROBABILITY))
    members = len(logs)
    kept = np.arange(members)
    while True:
        found = _newton(logs[kept], truth[known], 1 / members)
        if (found >= 0).all() or len(kept) == 1:
            break
        kept = np.delete(kept, found.argmin())
    weights = np.zeros(members)
    weights[kept] = np.maximum(found, 0.0)
    return weights


def _newton(logs: Floats, truth: NDArray[np.integer], prior: float) -> Floats:
    weights = np.full(len(logs), prior)
    rows = np.arange(len(truth))
    for _ in range(_STEPS):
        scores = np.tensordot(weights, logs, 1)
        scores -= scores.max(axis=1, keepdims=True)
        likely = np.exp(scores)
        likely /= likely.sum(axis=1, keepdims=True)
        expected = np.einsum("mnk,nk->mn", logs, likely)
        gradient = (expected - logs[:, rows, truth]).sum(axis=1) + _RIDGE * (weights - prior)
        centred = logs - expected[:, :, None]
        curvature = np.einsum("mnk,nk,lnk->ml", centred, likely, centred, optimize=True) + _RIDGE * np.eye(len(logs))
        step = np.linalg.solve(curvature, gradient)
        weights = weights - step
        if np.abs(step).max() < _CLOSE:
            break
    return weights
