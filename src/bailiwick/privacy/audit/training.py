"""A one-run audit of private training.

Source: Steinke, Nasr and Jagielski, "Privacy auditing with one (1) training run", 2023.

Many units are marked as canaries and a fair coin decides for each whether it trains. The attacker sees the weights,
scores every canary, and guesses for the most telling ones. Under (epsilon, 0) each guess is right with probability at
most ``exp(epsilon) / (1 + exp(epsilon))``, whatever the other guesses (Theorem 5.2), so too many right guesses refute.
A smoke alarm: with 1,000 canaries a claim of 1 is refuted only where the noise is about a fourth of what it should be.
That is why every audit comes with a control without noise, which it must refute.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc

from bailiwick.privacy.audit.mechanism import CERTAIN, Verdict

Floats = NDArray[np.float64]


def audit_guesses(
    scores: Floats,
    included: NDArray[np.bool_],
    claimed: float,
    *,
    guesses: int,
    delta: float = 0.0,
    confidence: float = CERTAIN,
) -> Verdict:
    """Judge a claim by how well scores tell the canaries that trained from those that did not.

    Args:
        scores: of each canary; higher must speak for having trained.
        included: what the coins decided.
        claimed: epsilon.
        guesses: how many canaries the attacker commits to: half of them highest, half lowest. Chosen beforehand.
        delta: of the claim.
        confidence: that the bound holds.

    Raises:
        ValueError: more guesses than canaries.
    """
    if not 2 <= guesses <= len(scores):
        raise ValueError(f"{guesses} guesses on {len(scores)} canaries")
    order = np.argsort(scores, kind="stable")
    half = guesses // 2
    right = int(included[order[-half:]].sum() + (~included[order[:half]]).sum())
    bound = _epsilon_of_guesses(right, 2 * half, len(scores), delta, 1 - confidence)
    return Verdict(claimed, bound, delta, confidence, len(scores))


def _epsilon_of_guesses(right: int, guesses: int, canaries: int, delta: float, error: float) -> float:
    """The largest epsilon under which so many right guesses are less likely than ``error``, by bisection."""
    low, high = 0.0, 30.0
    if _chance(right, guesses, canaries, low, delta) > error:
        return 0.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        if _chance(right, guesses, canaries, middle, delta) <= error:
            low = middle
        else:
            high = middle
    return low


def _chance(right: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """An upper bound of the probability of at least ``right`` right guesses (Theorem 5.2, with Algorithm 3's delta)."""
    share = 1 / (1 + math.exp(-epsilon))
    lost = np.arange(right + 1)
    tail = np.where(lost < right, bdtrc(np.maximum(right - lost, 1) - 1, guesses, share), 1.0)
    # delta lets mass move from just below `right` into it: the factor of delta is the best trade that an adversary has.
    worst = float(((tail[1:] - tail[0]) / lost[1:]).max(initial=0.0))
    beta = float(tail[0])
    return min(1.0, beta + 2 * canaries * delta * worst)
