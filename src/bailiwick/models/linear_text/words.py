"""From a text to the terms that the model knows: words, pairs of words, and pieces of words."""

from __future__ import annotations

import re
from itertools import pairwise

MAX_CHARACTERS = 20_000
"""A text is read up to here; a query or statement is far shorter."""

MAX_WORD = 48
"""A longer run of letters (an encoded blob) is cut: it carries no more meaning."""

_WORD = re.compile(r"[^\W\d_]+|\d+")
_CONTRACTIONS = (
    ("can't", "can not"),
    ("won't", "will not"),
    ("n't", " not"),
    ("'m", " am"),
    ("'re", " are"),
    ("'ve", " have"),
    ("'ll", " will"),
    ("'d", " would"),
    ("what's", "what is"),
    ("it's", "it is"),
    ("that's", "that is"),
    ("there's", "there is"),
)


def words(text: str) -> list[str]:
    """Runs of letters and runs of digits, lower-cased, English contractions written out.

    >>> words("I can't see my_card 2nd time")
    ['i', 'can', 'not', 'see', 'my', 'card', '2', 'nd', 'time']
    """
    lowered = text[:MAX_CHARACTERS].lower()
    if "’" in lowered:
        lowered = lowered.replace("’", "'")
    if "'" in lowered:
        for short, long in _CONTRACTIONS:
            lowered = lowered.replace(short, long)
    return _WORD.findall(lowered)


def word_term(word: str) -> str:
    """The vocabulary entry of a whole word; the mark keeps it apart from pieces."""
    return "\x01" + word


def pair_terms(sequence: list[str]) -> list[str]:
    """The vocabulary entries of adjacent words, each once, in order.

    >>> [term[1:] for term in pair_terms(["to", "be", "or", "to", "be"])]
    ['to be', 'be or', 'or to']
    """
    return list(dict.fromkeys(f"\x01{left} {right}" for left, right in pairwise(sequence)))


def pieces(word: str, shortest: int, longest: int) -> list[str]:
    """Character n-grams of a word between its bounds, each once.

    >>> pieces("cat", 3, 4)
    [' ca', 'cat', 'at ', ' cat', 'cat ']
    """
    bounded = f" {word[:MAX_WORD]} "
    return list(
        dict.fromkeys(
            bounded[at : at + size]
            for size in range(shortest, longest + 1)
            for at in range(max(1, len(bounded) - size + 1))
        )
    )
