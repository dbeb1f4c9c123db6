"""The trained model. Everything in it follows from the noisy weights and from public constants."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bailiwick.models.linear_text.fitted import rank
from bailiwick.models.model import ModelCard
from bailiwick.models.private_linear_text.features import FEATURE_GRID, features
from bailiwick.models.private_linear_text.gradients import probabilities

_CHUNK = 1_024
_STRANGE_TEXTS = 400
_QUANTILES = 101


class PrivateLinearTextModel:
    """A fitted model of the family ``private-linear-text``. Immutable.

    Args:
        card: labels in the order of the probabilities.
        weights: shape ``(features, labels)``.
    """

    def __init__(self, card: ModelCard, weights: NDArray[np.float32]) -> None:
        self._card = card
        self.weights = weights
        scores = self._scores(_strange_texts())
        self._energies = np.quantile(_energy(scores), np.linspace(0, 1, _QUANTILES)).astype(np.float32)

    @property
    def card(self) -> ModelCard:
        """What the model says of itself."""
        return self._card

    def predict(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities, shape ``(len(texts), len(card.labels))``. Calibrating them would cost more budget."""
        if not texts:
            return np.zeros((0, len(self._card.labels)))
        return np.vstack([probabilities(self._scores(texts[at : at + _CHUNK])) for at in range(0, len(texts), _CHUNK)])

    def familiarity(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """The share of random letter sequences that look less familiar than each text, 0 to 1.

        A private model cannot compare with its training texts, so it compares with nonsense: 0.5 is no better.
        """
        if not texts:
            return np.zeros(0)
        scores = np.vstack([self._scores(texts[at : at + _CHUNK]) for at in range(0, len(texts), _CHUNK)])
        return rank(_energy(scores), self._energies)

    def _scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        rows = features(texts, len(self.weights))
        return np.asarray(rows @ self.weights.astype(np.float64)) / FEATURE_GRID


def _energy(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    highest = scores.max(axis=1)
    return np.asarray(highest + np.log(np.exp(scores - highest[:, None]).sum(axis=1)))


def _strange_texts() -> list[str]:
    """Nonsense, always the same: a public yardstick."""
    generator = random.Random(0)  # noqa: S311
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [
        " ".join("".join(generator.choices(letters, k=generator.randint(3, 9))) for _ in range(generator.randint(2, 9)))
        for _ in range(_STRANGE_TEXTS)
    ]
