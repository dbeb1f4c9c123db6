"""How well a detector does: accuracy, and how well its scores tell unknown topics from known ones. Pure.

Sources: the area under the ROC curve as the Mann-Whitney statistic, Hanley and McNeil, "The meaning and use of the area
under a receiver operating characteristic (ROC) curve", Radiology 143, 1982.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bailiwick.detection.model import Detection


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares of texts, 0 to 1.

    Args:
        accuracy: whose best candidate is the right domain, whether the detector answered or abstained.
        abstained: where it abstained.
        answered_accuracy: right ones among those that it answered; 0 where it answered none.
    """

    accuracy: float
    abstained: float
    answered_accuracy: float


def quality(found: Sequence[Detection], truth: Sequence[str]) -> Quality:
    """How well detections agree with the truth.

    Args:
        found: one detection per text; at least one.
        truth: the right domain of each.
    """
    best = [each.ranking[0][0] if each.ranking else None for each in found]
    answered = [(each.domain, right) for each, right in zip(found, truth, strict=True) if each.domain is not None]
    return Quality(
        accuracy=sum(guess == right for guess, right in zip(best, truth, strict=True)) / len(found),
        abstained=1 - len(answered) / len(found),
        answered_accuracy=sum(domain == right for domain, right in answered) / len(answered) if answered else 0.0,
    )


def auroc(known: Sequence[float], unknown: Sequence[float]) -> float:
    """The chance that a known topic scores higher than an unknown one; ties count half.

    >>> auroc([0.9, 0.8], [0.1, 0.8])
    0.875
    """
    ordered = np.sort(np.asarray(unknown, np.float64))
    below = np.searchsorted(ordered, known, side="left")
    at_or_below = np.searchsorted(ordered, known, side="right")
    return float((below + at_or_below).mean() / 2 / len(ordered))


def recall(unknown: Sequence[float], threshold: float) -> float:
    """The share of unknown topics that a threshold turns away."""
    return float((np.asarray(unknown) < threshold).mean())
