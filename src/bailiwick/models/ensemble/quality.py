"""How likely each member is right on a text: a small hashed linear model per member. Pure.

The features are hashed words and pairs of words (Weinberger et al., "Feature hashing for large scale multitask
learning", ICML 2009); the model is a ridge logistic regression whose ridge is chosen by cross-validation on the
held-out texts. Where the words tell nothing, what is left is the member's overall accuracy, which is the honest answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float64]

BUCKETS = 4096
"""Of new models; a stored one says how many it has."""

_WORD = re.compile(r"\w+")
_RIDGES = (0.3, 1.0, 3.0, 10.0, 30.0, math.inf)
_FOLDS = 5
_STEPS = 200
_MOST_WORDS = 400


@dataclass(frozen=True, slots=True)
class Quality:
    """Log-odds of being right: ``bias[member] + weights[member] @ features(text)``.

    Args:
        bias: shape ``(members,)``.
        weights: shape ``(members, buckets)``.
    """

    bias: Floats
    weights: Floats

    def log_odds(self, text: str) -> Floats:
        """Of each member, shape ``(members,)``."""
        return np.asarray(self.bias + self.weights @ features(text, self.weights.shape[1]))


def features(text: str, buckets: int = BUCKETS) -> Floats:
    """Hashed words and pairs of words of a text, of length 1; zeros for a text without words."""
    words = _WORD.findall(text.lower())[:_MOST_WORDS]
    found = np.zeros(buckets)
    for term in (*words, *(f"{a} {b}" for a, b in pairwise(words))):
        code = crc32(term.encode("utf-8", "replace"))
        found[code % buckets] += 1.0 if code & 0x80000000 else -1.0
    length = math.sqrt(float(found @ found))
    return found / length if length else found


def fit_quality(texts: Sequence[str], right: NDArray[np.bool_]) -> Quality:
    """The quality of each member, from held-out texts.

    Args:
        texts: that no member has learned from.
        right: whether each member was right, shape ``(members, texts)``.
    """
    rows = np.stack([features(text) for text in texts])
    with threadpool_limits(1, "blas"):  # the matrices are small: more threads only get in each other's way
        fits = [_fit_member(rows, outcome.astype(np.float64)) for outcome in right]
    return Quality(np.array([bias for bias, _ in fits]), np.stack([weights for _, weights in fits]))


def _fit_member(rows: Floats, outcome: Floats) -> tuple[float, Floats]:
    folds = np.arange(len(rows)) % _FOLDS
    losses = []
    for ridge in _RIDGES:
        loss = 0.0
        for fold in range(_FOLDS):
            held = folds == fold
            if not held.any() or held.all():
                continue
            bias, weights = _regress(rows[~held], outcome[~held], ridge)
            scores = bias + rows[held] @ weights
            loss += float((np.logaddexp(0.0, scores) - outcome[held] * scores).sum())
        losses.append(loss)
    best = min(range(len(_RIDGES)), key=lambda index: (losses[index], -index))
    return _regress(rows, outcome, _RIDGES[best])


def _regress(rows: Floats, outcome: Floats, ridge: float) -> tuple[float, Floats]:
    """Bias and weights by L-BFGS; the bias starts from the share of successes with one of each added."""
    share = (outcome.sum() + 1) / (len(outcome) + 2)
    bias, weights = math.log(share / (1 - share)), np.zeros(rows.shape[1])
    if math.isinf(ridge):
        return bias, weights
    from scipy.optimize import minimize  # slow to import, and only fitting needs it

    design = np.column_stack([np.ones(len(rows)), rows])
    # the bias is pulled, weakly, towards where it started: a member that is always right has no finite optimum
    pull = np.concatenate([[0.5], np.full(rows.shape[1], ridge)])
    start = np.concatenate([[bias], weights])

    def loss(given: Floats) -> tuple[float, Floats]:
        scores = design @ given
        likely = 1 / (1 + np.exp(-np.clip(scores, -30, 30)))
        away = given - start
        value = float((np.logaddexp(0.0, scores) - outcome * scores).sum() + 0.5 * (pull * away) @ away)
        return value, design.T @ (likely - outcome) + pull * away

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}).x
    return float(found[0]), np.asarray(found[1:])
