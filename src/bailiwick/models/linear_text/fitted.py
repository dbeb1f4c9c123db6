"""The trained model: calibrated probabilities and familiarity, one text or many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bailiwick.models.linear_text.network import Floats, Weights
from bailiwick.models.linear_text.vocabulary import BLOCK_LENGTH, Vocabulary
from bailiwick.models.linear_text.words import pair_terms, word_term, words
from bailiwick.models.model import ModelCard

_CACHED_WORDS = 20_000
_CHUNK = 1_024
_READ_TEXTS = 16

_Word = tuple[Floats, float, int | None]


class LinearTextModel:
    """A fitted model of the family ``linear-text``. Immutable but for a bounded cache of word vectors.

    Args:
        card: labels in the order of the probabilities.
        vocabulary: the terms.
        weights: one row per term of the vocabulary, one output column per label.
        temperature: what the scores are divided by before the softmax.
        energies: ascending quantiles, at equal steps from 0 to 1, of the energy of texts like the training data.

    The energy of a text is ``log(sum(exp(scores / temperature)))``: high where the model has seen similar texts (Liu et
    al., "Energy-based out-of-distribution detection", NeurIPS 2020).
    """

    def __init__(
        self, card: ModelCard, vocabulary: Vocabulary, weights: Weights, temperature: float, energies: Floats
    ) -> None:
        self._card = card
        self.vocabulary = vocabulary
        self.weights = weights
        self.temperature = temperature
        self.energies = energies
        self._rows = weights.terms * (vocabulary.idf[:, None] * np.float32(BLOCK_LENGTH))
        self._squares: list[float] = (vocabulary.idf.astype(np.float64) ** 2).tolist()
        self._output = np.ascontiguousarray(weights.output / np.float32(temperature))
        self._output_bias = weights.output_bias / np.float32(temperature)
        self._words: dict[str, _Word] = {}
        self._scale = FamiliarityScale(energies)

    @property
    def card(self) -> ModelCard:
        """What the model says of itself."""
        return self._card

    def predict(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Calibrated probabilities, shape ``(len(texts), len(card.labels))``."""
        probabilities = np.empty((len(texts), len(self._card.labels)))
        for begin in range(0, len(texts), _CHUNK):
            chunk = slice(begin, begin + _CHUNK)
            probabilities[chunk] = self._predict(texts[chunk])[0]
        return probabilities

    def familiarity(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """The share of held-out texts of the training data that look less familiar than each text, 0 to 1.

        So a threshold of 0.05 rejects about 5 % of what the model was trained for. A text without one known term has 0.
        """
        return self.predict_with_familiarity(texts)[1]

    def predict_with_familiarity(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both answers for the price of one."""
        probabilities = np.empty((len(texts), len(self._card.labels)))
        familiarity = np.empty(len(texts))
        for begin in range(0, len(texts), _CHUNK):
            chunk = slice(begin, begin + _CHUNK)
            probabilities[chunk], energy, known = self._predict(texts[chunk])
            familiarity[chunk] = self._scale.rank(energy) * np.array(known)
        return probabilities, familiarity

    def energy(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """The energy of each text, in nats."""
        sums = [self._hidden(text)[0] for text in texts]
        scores = np.maximum(np.array(sums, np.float32), 0) @ self._output + self._output_bias
        return _log_sum_exp(scores.astype(np.float64))[1]

    def _predict(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[bool, ...]]:
        """Probabilities, energies, and whether any term of each text is known."""
        sums, known = zip(*map(self._hidden, texts), strict=True)
        hidden = np.maximum(sums[0][None] if len(sums) == 1 else np.array(sums), 0)
        scores = (hidden @ self._output + self._output_bias).astype(np.float64)
        exponentials, energy = _log_sum_exp(scores)
        exponentials /= exponentials.sum(axis=1, keepdims=True)
        return exponentials, energy, known

    def _hidden(self, text: str) -> tuple[Floats, bool]:
        """The input of the hidden layer, and whether any term of the text is known."""
        distinct, pairs = _read(text)
        cache, index, squares = self._words, self.vocabulary.index, self._squares
        vectors: list[Floats] = []
        whole: list[int] = []
        piece_square = whole_square = 0.0
        for word in distinct:
            vector, square, position = cache.get(word) or self._learn_word(word)
            if square:
                vectors.append(vector)
                piece_square += square
            if position is not None:
                whole.append(position)
        for pair in pairs:
            position = index.get(pair)
            if position is not None:
                whole.append(position)
        hidden = self.weights.hidden_bias.copy()
        if vectors:
            hidden += np.add.reduce(vectors) * np.float32(1 / math.sqrt(piece_square))
        if whole:
            for position in whole:
                whole_square += squares[position]
            hidden += np.add.reduce(self._rows[whole]) * np.float32(1 / math.sqrt(whole_square))
        return hidden, bool(vectors or whole)

    def _learn_word(self, word: str) -> _Word:
        positions = self.vocabulary.word_pieces(word)
        learned = (
            np.add.reduce(self._rows[positions]),
            math.fsum(self._squares[position] for position in positions),
            self.vocabulary.index.get(word_term(word)),
        )
        if len(self._words) >= _CACHED_WORDS:
            self._words.clear()
        self._words[word] = learned
        return learned


@lru_cache(maxsize=_READ_TEXTS)
def _read(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The distinct words and the pairs of a text; kept for a moment, because several models read the same query."""
    sequence = words(text)
    return tuple(dict.fromkeys(sequence)), tuple(pair_terms(sequence))


class FamiliarityScale:
    """Where values stand among quantiles, 0 to 1; below the lowest it decays instead of stopping at 0.

    Args:
        quantiles: ascending, at equal steps from 0 to 1, two or more.

    >>> FamiliarityScale(np.array([0, 1, 2], np.float32)).rank(np.array([-5.0, 1.0, 9.0])).round(3).tolist()
    [0.001, 0.5, 1.0]
    """

    def __init__(self, quantiles: Floats) -> None:
        self._knots = quantiles.astype(np.float64)
        self._floor = 1 / (2 * len(self._knots))
        self._steps = np.maximum(np.linspace(0.0, 1.0, len(self._knots)), self._floor)
        self._lowest = float(self._knots[0])
        self._spread = max(1e-6, float(self._knots[len(self._knots) // 2] - self._knots[0]))

    def rank(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The place of each value, same shape."""
        placed = np.interp(values, self._knots, self._steps)
        below = values < self._lowest
        if not below.any():
            return placed
        decayed = self._floor * np.exp(np.minimum(0.0, values - self._lowest) / self._spread)
        return np.where(below, decayed, placed)


def rank(values: NDArray[np.float64], quantiles: Floats) -> NDArray[np.float64]:
    """As `FamiliarityScale.rank`, for quantiles that are used once."""
    return FamiliarityScale(quantiles).rank(values)


def _log_sum_exp(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Exponentials of the scores less their row's highest, and the log of the row sums of the exponentials."""
    highest = scores.max(axis=1)
    exponentials = np.exp(scores - highest[:, None])
    return exponentials, highest + np.log(exponentials.sum(axis=1))
