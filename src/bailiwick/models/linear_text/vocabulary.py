"""The terms that a model knows, their weights, and the sparse matrix of a set of texts.

A text has two blocks of features, each scaled to the length ``sqrt(1/2)``: words and pairs of words; pieces of words.
Each distinct word adds its own pieces, so both blocks are sums over words, and at
inference a word is one cached vector.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from bailiwick.models.linear_text.words import pair_terms, pieces, word_term, words

BLOCK_LENGTH = math.sqrt(0.5)

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    r"""Terms in a fixed order with their inverse document frequency.

    Args:
        terms: whole words and pairs start with ``\x01``, pieces do not.
        idf: ``log((1 + texts) / (1 + texts with the term)) + 1``, shape ``(len(terms),)``.
        shortest: size of the shortest piece, in characters.
        longest: size of the longest piece.
        index: position by term; made from the terms.
    """

    terms: tuple[str, ...]
    idf: Floats
    shortest: int
    longest: int
    index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", {term: position for position, term in enumerate(self.terms)})

    def word_pieces(self, word: str) -> list[int]:
        """Positions of the known pieces of a word."""
        known = self.index
        return [known[piece] for piece in pieces(word, self.shortest, self.longest) if piece in known]

    def matrix(self, texts: Sequence[str]) -> csr_matrix:
        """Feature values, shape ``(len(texts), len(terms))``, float32."""
        columns: list[NDArray[np.int32]] = []
        values: list[Floats] = []
        ends = [0]
        cache: dict[str, tuple[NDArray[np.int32], Floats, float]] = {}
        for text in texts:
            found = words(text)
            distinct = dict.fromkeys(found)
            whole = self._positions([*map(word_term, distinct), *pair_terms(found)])
            weights = self.idf[whole]
            blocks = [(whole, weights * _scale(float(weights @ weights)))]
            parts = [self._cached_pieces(word, cache) for word in distinct]
            scale = _scale(sum(part[2] for part in parts))
            blocks.extend((positions, part_weights * scale) for positions, part_weights, _ in parts)
            columns.extend(block[0] for block in blocks)
            values.extend(block[1] for block in blocks)
            ends.append(ends[-1] + sum(len(block[0]) for block in blocks))
        made = csr_matrix(
            (
                np.concatenate([np.zeros(0, np.float32), *values]),
                np.concatenate([np.zeros(0, np.int32), *columns]),
                np.array(ends, np.int32),
            ),
            shape=(len(texts), len(self.terms)),
        )
        made.sum_duplicates()
        return made

    def _positions(self, terms: Sequence[str]) -> NDArray[np.int32]:
        known = self.index
        return np.array([known[term] for term in terms if term in known], np.int32)

    def _cached_pieces(
        self, word: str, cache: dict[str, tuple[NDArray[np.int32], Floats, float]]
    ) -> tuple[NDArray[np.int32], Floats, float]:
        found = cache.get(word)
        if found is None:
            positions = np.array(self.word_pieces(word), np.int32)
            weights = self.idf[positions]
            found = cache[word] = (positions, weights, float(weights @ weights))
        return found


def _scale(squared_length: float) -> np.float32:
    return np.float32(BLOCK_LENGTH / math.sqrt(squared_length)) if squared_length else np.float32(0)


def learn(
    texts: Sequence[str], *, min_count: int, shortest: int, longest: int, start: Vocabulary | None = None
) -> Vocabulary:
    """The vocabulary of some texts: every term found in at least ``min_count`` of them.

    Args:
        texts: the training texts.
        min_count: texts that a term must be found in.
        shortest: size of the shortest piece, in characters.
        longest: size of the longest piece.
        start: a vocabulary to extend; its terms keep their positions and weights.
    """
    counts: Counter[str] = Counter()
    cut: dict[str, list[str]] = {}
    for text in texts:
        found = words(text)
        distinct = dict.fromkeys(found)
        terms = {*map(word_term, distinct), *pair_terms(found)}
        for word in distinct:
            if word not in cut:
                cut[word] = pieces(word, shortest, longest)
            terms.update(cut[word])
        counts.update(terms)
    known = start.index if start else {}
    fresh = sorted(term for term, count in counts.items() if count >= min_count and term not in known)
    idf = np.array([math.log((1 + len(texts)) / (1 + counts[term])) + 1 for term in fresh], np.float32)
    if start is None:
        return Vocabulary(tuple(fresh), idf, shortest, longest)
    return Vocabulary((*start.terms, *fresh), np.concatenate([start.idf, idf]), shortest, longest)
