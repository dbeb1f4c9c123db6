"""The nouns of detection."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detection:
    """Which domain a text belongs to.

    Args:
        domain: the detected domain, or None where the detector abstains.
        score: calibrated probability of the best candidate, 0 to 1.
        method: what decided, such as ``keyword`` or ``classifier``.
        ranking: candidates with their scores, best first.
    """

    domain: str | None
    score: float
    method: str
    ranking: tuple[tuple[str, float], ...] = ()
