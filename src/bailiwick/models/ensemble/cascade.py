"""From which confidence a cheaper member's answer may stand. Pure.

The thresholds are chosen on held-out texts so that the cascade is, with 95 % confidence, at most a stated part less
accurate than asking the last member always: candidates are tested from the strictest on, and the first that cannot be
shown to hold ends the search (fixed-sequence testing, as in Angelopoulos et al., "Learn then test", 2021). Each cheaper
member is a search of its own, so the 5 % of error are divided among them (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bailiwick.statistics.paired import compare_paired

NEVER = 1.01
"""A threshold that no confidence reaches."""

CANDIDATES = (0.999, 0.995, 0.99, 0.98, 0.97, 0.95, 0.93, 0.9, 0.87, 0.84, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.4)
_ERROR = 0.05
"""Probability that the cascade gives up more than is allowed."""


def stops_at(confidence: NDArray[np.float64], thresholds: Sequence[float]) -> NDArray[np.int64]:
    """Which member's answer stands for each text.

    Args:
        confidence: shape ``(members, texts)``.
        thresholds: of every member but the last, whose answer always stands.

    >>> stops_at(np.array([[0.9, 0.3, 0.3], [0.0, 0.8, 0.2], [0.5, 0.5, 0.5]]), [0.8, 0.7]).tolist()
    [0, 1, 2]
    """
    stands = np.ones_like(confidence, bool)
    stands[:-1] = confidence[:-1] >= np.asarray(thresholds)[:, None]
    return np.asarray(stands.argmax(axis=0))


def choose_thresholds(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], largest_loss: float
) -> tuple[float, ...]:
    """Thresholds for every member but the last.

    They are chosen from the back: each cheaper member is weighed against the cascade behind it. The allowed loss is
    shared evenly among them.

    Args:
        confidence: of each member's most likely label, shape ``(members, texts)``.
        right: whether it is the true one, same shape.
        largest_loss: of accuracy (0.01 is a point) that is accepted against the last member alone.
    """
    members = len(confidence)
    allowed = largest_loss / max(1, members - 1)
    chosen: list[float] = []
    behind = right[-1]
    for member in range(members - 2, -1, -1):
        threshold = _choose(confidence[member], right[member], behind, allowed, _ERROR / (members - 1))
        chosen.insert(0, threshold)
        behind = np.where(confidence[member] >= threshold, right[member], behind)
    return tuple(chosen)


def _choose(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], behind: NDArray[np.bool_], allowed: float, error: float
) -> float:
    """The laxest threshold whose loss is shown, one-sided, to be allowed."""
    best = NEVER
    for threshold in CANDIDATES:
        mixed = np.where(confidence >= threshold, right, behind)
        result = compare_paired(
            len(right), int((behind & ~mixed).sum()), int((~behind & mixed).sum()), level=1 - 2 * error
        )
        if result.low < -allowed:
            break
        best = threshold
    return best
