"""Whether what a domain earns has changed, and when: a likelihood ratio over every place where it might have. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def last_change(rewards: Floats, evidence: float) -> int:
    """The place of the last change in a sequence of rewards; 0 where none is shown.

    Two means explain the sequence better than one, by ``evidence`` nats and the logarithm of its length, for looking at
    every place.
    What comes after the change is looked at again, until no more is shown. The divergence is that of coins, which
    bounds that of any reward within 0 and 1.

    Source: Besson, Kaufmann, Maillard, Seznec, "Efficient change-point detection for tackling piecewise-stationary
    bandits", JMLR 2022 (the generalised likelihood ratio, and forgetting what was before).

    Args:
        rewards: within 0 and 1, in the order of time.
        evidence: nats.

    >>> last_change(np.array([1.0] * 40 + [0.0] * 20), 4.0)
    40
    >>> last_change(np.array([1.0, 0.0] * 50), 4.0)
    0
    """
    begin = 0
    while (found := _change(rewards[begin:], evidence)) > 0:
        begin += found
    return begin


def _change(rewards: Floats, evidence: float) -> int:
    size = len(rewards)
    if size < 2:
        return 0
    before = np.arange(1, size)
    sums = np.cumsum(rewards)
    total, left = sums[-1], sums[:-1]
    mean = total / size
    ratios = before * _divergence(left / before, mean) + (size - before) * _divergence(
        (total - left) / (size - before), mean
    )
    place = int(np.argmax(ratios))
    return place + 1 if ratios[place] > evidence + np.log(size) else 0


def _divergence(mean: Floats, other: float) -> Floats:
    """Kullback and Leibler's, of a coin of one mean from a coin of another."""
    low = 1e-9
    p, q = np.clip(mean, low, 1 - low), min(1 - low, max(low, other))
    found: Floats = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    return found
