"""The key under which is learned: few enough values that each is seen often. Pure."""

from __future__ import annotations

from bisect import bisect_right

from bailiwick.routing.model import Features

MARGINS = (0.2, 0.6)
"""Bounds of the buckets of the distance between the two best scores: close, clear, far."""

LENGTHS = (80, 400)
"""Bounds of the buckets of the query's length in characters: short, usual, long."""

ANY = "*"
NOBODY = "-"
_MARGIN_NAMES = ("close", "clear", "far")
_LENGTH_NAMES = ("short", "usual", "long")


def context_of(features: Features) -> str:
    """Detected domain, margin, length and operation in one key.

    >>> ranking = (("cards", 0.9), ("loans", 0.05))
    >>> context_of(Features("cards", False, ranking, 42, "chat/completions"))
    'cards|far|short|chat/completions'
    >>> context_of(Features("cards", True, ranking, 42, "chat/completions"))
    '-cards|far|short|chat/completions'
    """
    margin = _MARGIN_NAMES[bisect_right(MARGINS, margin_of(features))]
    length = _LENGTH_NAMES[bisect_right(LENGTHS, features.length)]
    return f"{group_of(features)}|{margin}|{length}|{features.operation}"


def margin_of(features: Features) -> float:
    """How far the second best score is behind the best, 0 to 1."""
    ranking = features.ranking
    if not ranking:
        return 0.0
    return ranking[0][1] - (ranking[1][1] if len(ranking) > 1 else 0.0)


def group_of(features: Features) -> str:
    """The detected domain; with ``-`` before it where detection abstained.

    An abstention is a context of its own, so that what is learned of it is not mixed with what is sure.
    """
    return f"{NOBODY}{features.detected}" if features.abstained else features.detected


def parent_of(context: str) -> str:
    """The context without its buckets.

    >>> parent_of("cards|far|short|chat/completions")
    'cards|*'
    """
    return f"{context.partition('|')[0]}|{ANY}"
