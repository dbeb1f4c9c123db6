"""How likely each member is right on a text: a small hashed linear model per member. Pure.

The features are hashed words and pairs of words (Weinberger et al., "Feature hashing for large scale multitask
learning", ICML 2009); the model is a ridge logistic regression whose ridge is chosen by cross-validation on the
held-out texts. Where the words tell nothing, what is left is the member's overall accuracy, which is the honest answer.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float64]

BUCKETS = 4096
"""Of new models; a stored one says how many it has."""

_WORD = re.compile(r"\w+")
_RIDGES = (0.3, 1.0, 3.0, 10.0, 30.0, math.inf)
_FOLDS = 5
_STEPS = 200
_MOST_WORDS = 400
_MOST_TEXTS = 10_000
"""That the ridge is chosen on; it is a matter of orders of magnitude, which more texts do not change."""


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
    found = np.zeros(buckets)
    counted = _counted(text, buckets)
    if counted:
        found[list(counted)] = _of_length_one(counted)
    return found


def sparse_features(texts: Sequence[str], buckets: int = BUCKETS) -> csr_array:
    """The same of many texts, one row each: most words are in few of them."""
    from scipy.sparse import csr_array  # slow to import, and only fitting needs it

    counted = [_counted(text, buckets) for text in texts]
    ends = np.cumsum([0, *map(len, counted)])
    values = np.concatenate([np.zeros(0), *(_of_length_one(each) for each in counted)])
    places = np.fromiter((place for each in counted for place in each), np.int32, len(values))
    return csr_array((values, places, ends), shape=(len(texts), buckets))


def _counted(text: str, buckets: int) -> Counter[int]:
    """How often each bucket was hit, less how often against its sign."""
    words = _WORD.findall(text.lower())[:_MOST_WORDS]
    counted: Counter[int] = Counter()
    for term in (*words, *(f"{a} {b}" for a, b in pairwise(words))):
        code = crc32(term.encode("utf-8", "replace"))
        counted[code % buckets] += 1 if code & 0x80000000 else -1
    return counted


def _of_length_one(counted: Counter[int]) -> Floats:
    values = np.fromiter(counted.values(), np.float64, len(counted))
    length = math.sqrt(float(values @ values))
    return values / length if length else values


def fit_quality(texts: Sequence[str], right: NDArray[np.bool_]) -> Quality:
    """The quality of each member, from held-out texts. Memory grows with their words, not with the buckets.

    Args:
        texts: that no member has learned from.
        right: whether each member was right, shape ``(members, texts)``.
    """
    rows = sparse_features(texts)
    with threadpool_limits(1, "blas"):  # the vectors are small: more threads only get in each other's way
        fits = [_fit_member(rows, outcome.astype(np.float64)) for outcome in right]
    return Quality(np.array([bias for bias, _ in fits]), np.stack([weights for _, weights in fits]))


def _fit_member(rows: csr_array, outcome: Floats) -> tuple[float, Floats]:
    some = np.unique(np.linspace(0, rows.shape[0] - 1, min(rows.shape[0], _MOST_TEXTS)).astype(np.int64))
    return _regress(rows, outcome, _best_ridge(rows[some], outcome[some]))


def _best_ridge(rows: csr_array, outcome: Floats) -> float:
    """By cross-validation; of equals the strongest."""
    folds = np.arange(len(outcome)) % _FOLDS
    losses = dict.fromkeys(_RIDGES, 0.0)
    for fold in range(_FOLDS):
        held = folds == fold
        if not held.any() or held.all():
            continue
        learned, judged, truth = rows[~held], rows[held], outcome[held]
        for ridge in _RIDGES:
            bias, weights = _regress(learned, outcome[~held], ridge)
            scores = bias + judged @ weights
            losses[ridge] += float((np.logaddexp(0.0, scores) - truth * scores).sum())
    return min(_RIDGES, key=lambda ridge: (losses[ridge], -ridge))


def _regress(rows: csr_array, outcome: Floats, ridge: float) -> tuple[float, Floats]:
    """Bias and weights by L-BFGS; the bias starts from the share of successes with one of each added."""
    share = (outcome.sum() + 1) / (len(outcome) + 2)
    buckets = int(rows.shape[1])
    bias, weights = math.log(share / (1 - share)), np.zeros(buckets)
    if math.isinf(ridge):
        return bias, weights
    from scipy.optimize import minimize  # slow to import, and only fitting needs it

    columns = rows.T.tocsr()
    # the bias is pulled, weakly, towards where it started: a member that is always right has no finite optimum
    pull = np.concatenate([[0.5], np.full(buckets, ridge)])
    start = np.concatenate([[bias], weights])

    def loss(given: Floats) -> tuple[float, Floats]:
        scores = given[0] + rows @ given[1:]
        likely = 1 / (1 + np.exp(-np.clip(scores, -30, 30)))
        away, wrong = given - start, likely - outcome
        value = float((np.logaddexp(0.0, scores) - outcome * scores).sum() + 0.5 * (pull * away) @ away)
        return value, np.concatenate([[wrong.sum()], columns @ wrong]) + pull * away

    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}).x
    return float(found[0]), np.asarray(found[1:])
