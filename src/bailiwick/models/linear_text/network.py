"""The network: a sum of term vectors, one rectified hidden layer, a linear output; and one step of its training.

Training is Adam (Kingma & Ba, 2015) with decoupled weight decay (Loshchilov & Hutter, 2019); only the rows of terms
that occur in a batch are read and updated. Dropout acts on features and on the hidden layer (Srivastava et al., 2014).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from bailiwick.statistics.calibration import softmax

Floats = NDArray[np.float32]

_FIRST_DECAY, _SECOND_DECAY = 0.9, 0.99


@dataclass(frozen=True, slots=True)
class Weights:
    """What is learned.

    Args:
        terms: one row per term, shape ``(terms, hidden)``.
        hidden_bias: shape ``(hidden,)``.
        output: shape ``(hidden, labels)``.
        output_bias: shape ``(labels,)``.
    """

    terms: Floats
    hidden_bias: Floats
    output: Floats
    output_bias: Floats

    def scores(self, features: csr_matrix) -> Floats:
        """Logits, shape ``(texts, labels)``."""
        hidden = np.maximum(features @ self.terms + self.hidden_bias, 0)
        return np.asarray(hidden @ self.output + self.output_bias, np.float32)

    def copy(self) -> Weights:
        """An independent copy."""
        return Weights(self.terms.copy(), self.hidden_bias.copy(), self.output.copy(), self.output_bias.copy())

    @property
    def count(self) -> int:
        """How many numbers are learned."""
        return sum(part.size for part in (self.terms, self.hidden_bias, self.output, self.output_bias))


def fresh_weights(terms: int, hidden: int, labels: int, generator: np.random.Generator) -> Weights:
    """Small random weights: zero-mean normal, the biases zero."""
    scale = 1 / math.sqrt(hidden)
    return Weights(
        terms=(generator.standard_normal((terms, hidden), np.float32) * np.float32(0.3 * scale)),
        hidden_bias=np.zeros(hidden, np.float32),
        output=generator.standard_normal((hidden, labels), np.float32) * np.float32(scale),
        output_bias=np.zeros(labels, np.float32),
    )


def warm_weights(fresh: Weights, start: Weights, columns: list[tuple[int, int]]) -> Weights:
    """Fresh weights, with what an earlier model had learned put in its place.

    Args:
        fresh: for the new terms and labels; the first rows are the terms of the earlier model.
        start: of the earlier model, with the same hidden size.
        columns: ``(new, old)`` positions of the labels that both models have.
    """
    fresh.terms[: len(start.terms)] = start.terms
    fresh.hidden_bias[:] = start.hidden_bias
    for new, old in columns:
        fresh.output[:, new] = start.output[:, old]
        fresh.output_bias[new] = start.output_bias[old]
    return fresh


@dataclass(slots=True)
class Optimiser:
    """Adam over the weights, which it changes in place."""

    weights: Weights
    weight_decay: float
    steps: int = 0
    _first: Weights = field(init=False)
    _second: Weights = field(init=False)

    def __post_init__(self) -> None:
        parts = (self.weights.terms, self.weights.hidden_bias, self.weights.output, self.weights.output_bias)
        self._first = Weights(*(np.zeros_like(part) for part in parts))
        self._second = Weights(*(np.zeros_like(part) for part in parts))

    def step(
        self,
        features: csr_matrix,
        truth: NDArray[np.integer],
        *,
        rate: float,
        feature_dropout: float,
        hidden_dropout: float,
        generator: np.random.Generator,
    ) -> None:
        """Move the weights against the gradient of the mean cross-entropy of a batch.

        Args:
            features: shape ``(batch, terms)``.
            truth: label positions, shape ``(batch,)``.
            rate: learning rate of this step.
            feature_dropout: share of feature values set to zero; the rest are scaled up to match.
            hidden_dropout: the same of the hidden layer.
            generator: of the dropout.
        """
        weights = self.weights
        rows, inside = np.unique(features.indices, return_inverse=True)
        kept = features.data * _dropout(features.nnz, feature_dropout, generator)
        batch = csr_matrix((kept, inside.astype(np.int32), features.indptr), shape=(features.shape[0], len(rows)))
        row_weights = weights.terms[rows]
        before = batch @ row_weights + weights.hidden_bias
        gate = (before > 0) * _dropout(before.shape, hidden_dropout, generator)
        hidden = before * gate
        error = softmax(hidden @ weights.output + weights.output_bias).astype(np.float32)
        error[np.arange(len(truth)), truth] -= 1
        error /= np.float32(len(truth))
        back = (error @ weights.output.T) * gate

        self.steps += 1
        size = rate * math.sqrt(1 - _SECOND_DECAY**self.steps) / (1 - _FIRST_DECAY**self.steps)
        self._move_rows(rows, row_weights, np.asarray(batch.T @ back, np.float32), size, rate)
        for part, first, second, gradient in (
            (weights.output, self._first.output, self._second.output, hidden.T @ error),
            (weights.output_bias, self._first.output_bias, self._second.output_bias, error.sum(0)),
            (weights.hidden_bias, self._first.hidden_bias, self._second.hidden_bias, back.sum(0)),
        ):
            _blend(first, second, np.asarray(gradient, np.float32))
            part -= np.float32(size) * first / (np.sqrt(second) + np.float32(1e-8))

    def _move_rows(
        self, rows: NDArray[np.integer], row_weights: Floats, gradient: Floats, size: float, rate: float
    ) -> None:
        first, second = self._first.terms[rows], self._second.terms[rows]
        _blend(first, second, gradient)
        self._first.terms[rows], self._second.terms[rows] = first, second
        row_weights *= np.float32(1 - rate * self.weight_decay)
        np.sqrt(second, out=second)
        second += np.float32(1e-8)
        first /= second
        first *= np.float32(size)
        row_weights -= first
        self.weights.terms[rows] = row_weights


def _blend(first: Floats, second: Floats, gradient: Floats) -> None:
    first *= np.float32(_FIRST_DECAY)
    first += np.float32(1 - _FIRST_DECAY) * gradient
    second *= np.float32(_SECOND_DECAY)
    second += np.float32(1 - _SECOND_DECAY) * gradient * gradient


def _dropout(shape: int | tuple[int, ...], share: float, generator: np.random.Generator) -> Floats:
    return (generator.random(shape, np.float32) >= share) * np.float32(1 / (1 - share))
