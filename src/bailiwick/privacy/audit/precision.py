"""Whether the digits of a noisy number betray the number underneath.

The attack is Mironov's ("On significance of the least significant bits for differential privacy", 2012).

Noise drawn in floating point reaches some numbers from one true value and never from another. The attack counts small
outputs that are no multiple of 2**-53 (Haney et al., "Precision-based attacks", 2022). It must be given what a reader
gets: the serialised output, parsed again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from bailiwick.privacy.audit.mechanism import CERTAIN, Verdict, epsilon_bound

_SMALL = 0.25
_GRID = 2.0**53


def audit_serialised(
    near_zero: Sequence[str],
    near_one: Sequence[str],
    claimed: float,
    *,
    delta: float = 0.0,
    confidence: float = CERTAIN,
) -> Verdict:
    """Judge a claim by the digits of outputs whose true values are 0 and 1.

    Args:
        near_zero: outputs as JSON texts, one number each, on a data set where the true value is 0.
        near_one: the same where it is 1; 1 must be a neighbour of 0.
        claimed: epsilon.
        delta: of the claim.
        confidence: that the bound holds.
    """
    counts = [sum(_is_off_grid(json.loads(text)) for text in side) for side in (near_zero, near_one)]
    # Both directions are tried on the same outputs, so each gets half of the error probability.
    each = 1 - (1 - confidence) / 2
    bound = max(
        epsilon_bound(counts[0], len(near_zero), counts[1], len(near_one), delta=delta, confidence=each),
        epsilon_bound(counts[1], len(near_one), counts[0], len(near_zero), delta=delta, confidence=each),
    )
    return Verdict(claimed, bound, delta, confidence, len(near_zero) + len(near_one))


def _is_off_grid(value: Any) -> bool:
    """Whether a number is small and finer than 2**-53. Integers, and numbers on a coarse grid, never are."""
    number = float(value)
    return abs(number) < _SMALL and math.floor(number * _GRID) != number * _GRID
