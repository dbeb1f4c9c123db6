"""From a text to integers, by a rule that no data had a part in.

A vocabulary, or how rare a word is, learned from private texts would leak them before training begins. So words, pairs
of words and pieces of words are hashed to fixed positions, and common English words weigh less by a fixed list.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_matrix
from xxhash import xxh3_64_intdigest

from bailiwick.models.linear_text.words import pair_terms, pieces, word_term, words

FEATURE_GRID = 2**11
"""Features are whole multiples of one in so many; a text's vector is at most so many steps long."""

_COMMON_WORDS = """
i me my we us you your it its the a an to of in on for is are was were be been am do does did have has had can could
will would should and or but if this that these those there with at by from not no what how when why where which who so
as just please
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_COMMON_WEIGHT, _PAIR_WEIGHT = 0.4, 0.7
_SHORTEST, _LONGEST = 3, 5
_SIGN = 1 << 63


def features(texts: Sequence[str], size: int) -> csr_matrix:
    """One row of integers per text, shape ``(len(texts), size)``; the L2 norm of a row is at most `FEATURE_GRID`.

    Whole words with pairs, and pieces of words, each make half of a row. Values are cut towards zero, so rounding can
    only shorten a row.

    Args:
        texts: any.
        size: number of features, at most 2**20.
    """
    indptr, indices, values = [0], list[int](), list[int]()
    for text in texts:
        row = _row(text, size)
        length = math.sqrt(sum(value * value for value in row.values()))
        for position in sorted(row):
            # The factor keeps a float's last digit from lengthening a row.
            whole = int(row[position] / length * (FEATURE_GRID * (1 - 1e-12)))
            if whole:
                indices.append(position)
                values.append(whole)
        indptr.append(len(indices))
    shape = (len(texts), size)
    return csr_matrix((np.array(values, np.int64), np.array(indices, np.int32), np.array(indptr)), shape=shape)


def _row(text: str, size: int) -> dict[int, float]:
    sequence = words(text)
    whole: dict[str, float] = {word_term(word): _weight(word) for word in sequence}
    for pair in pair_terms(sequence):
        left, right = pair[1:].split(" ")
        whole[pair] = _PAIR_WEIGHT * math.sqrt(_weight(left) * _weight(right))
    parts: dict[str, float] = {}
    for word in dict.fromkeys(sequence):
        for piece in pieces(word, _SHORTEST, _LONGEST):
            parts[piece] = max(parts.get(piece, 0.0), _weight(word))
    row: dict[int, float] = {}
    for block in (whole, parts):
        length = math.sqrt(sum(weight * weight for weight in block.values())) or 1.0
        for term, weight in block.items():
            position, sign = _place(term)
            position %= size
            row[position] = row.get(position, 0.0) + sign * weight / length
    return {position: value for position, value in row.items() if value}


def _weight(word: str) -> float:
    return _COMMON_WEIGHT if word in _COMMON else 1.0


@lru_cache(200_000)
def _place(term: str) -> tuple[int, int]:
    hashed = xxh3_64_intdigest(term.encode("utf-8", "surrogatepass"))
    return hashed & ~_SIGN, 1 if hashed & _SIGN else -1
