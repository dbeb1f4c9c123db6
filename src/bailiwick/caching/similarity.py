"""How alike two short texts are, without anything downloaded. Pure.

The wording is compared by hashed pieces of words (character 3- to 5-grams and pairs of words, with random signs:
Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009). Where a classifier of the domain's
own labels is given, the likeness of wording is multiplied by that of meaning: the Bhattacharyya coefficient
``sum(sqrt(p * q))`` of the two texts' label probabilities, 1 where the classifier is sure that both mean the same.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

WIDTH = 512
LONGEST = 2_000
"""Characters; of longer texts none is taken for another one."""

_WORD = re.compile(r"\w+")
_CACHED_WORDS = 20_000


class Similarity:
    """From texts to vectors, and from vectors to how alike the texts are: 1 for the same, about 0 for strangers.

    Args:
        meaning: label probabilities, shape ``(len(texts), labels)``; None: only the wording counts.
    """

    def __init__(self, meaning: Callable[[Sequence[str]], NDArray[np.float64]] | None = None) -> None:
        self._meaning = meaning
        self._words: dict[str, Floats] = {}

    def vectors(self, texts: Sequence[str]) -> Floats:
        """One row per text: its wording, of length 1, and then the square roots of its label probabilities."""
        wording = np.array([self._wording(text) for text in texts], np.float32).reshape(len(texts), WIDTH)
        if self._meaning is None or not texts:
            return wording
        return np.hstack([wording, np.sqrt(self._meaning(texts)).astype(np.float32)])

    def alike(self, vectors: Floats, vector: Floats) -> Floats:
        """How alike each row is to one vector, shape ``(len(vectors),)``.

        >>> one = Similarity()
        >>> rows = one.vectors(["where is my card", "where is my new card", "close the account"])
        >>> [round(float(each), 1) for each in one.alike(rows, rows[0])]
        [1.0, 0.9, -0.1]
        """
        wording = vectors[:, :WIDTH] @ vector[:WIDTH]
        if vectors.shape[1] == WIDTH:
            return np.asarray(wording)
        return np.asarray(wording * (vectors[:, WIDTH:] @ vector[WIDTH:]))

    def _wording(self, text: str) -> Floats:
        words = _WORD.findall(text[:LONGEST].lower())
        total = np.zeros(WIDTH, np.float32)
        for word in dict.fromkeys(words):
            known = self._words.get(word)
            total += self._learn(word) if known is None else known
        for left, right in dict.fromkeys(pairwise(words)):
            position, sign = _place(f"{left} {right}")
            total[position] += sign
        length = math.sqrt(float(total @ total))
        return total / np.float32(length) if length else total

    def _learn(self, word: str) -> Floats:
        vector = np.zeros(WIDTH, np.float32)
        bounded = f" {word[:48]} "
        for size in (3, 4, 5):
            for at in range(max(1, len(bounded) - size + 1)):
                position, sign = _place(bounded[at : at + size])
                vector[position] += sign
        if len(self._words) >= _CACHED_WORDS:
            self._words.clear()
        self._words[word] = vector
        return vector


def _place(piece: str) -> tuple[int, int]:
    number = zlib.crc32(piece.encode("utf-8", "replace"))
    return number % WIDTH, 1 if number >> 31 else -1
