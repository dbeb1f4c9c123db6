"""Composition of equal pure steps, exactly (Kairouz, Oh and Viswanath 2015)."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, logsumexp

from bailiwick.privacy.accounting.steps import check_delta, check_epsilon


def pure_epsilon_for_total(epsilon: float, delta: float, count: int) -> float:
    """The epsilon that each of ``count`` equal pure steps may have so that all together are (epsilon, delta)-DP (KOV).

    >>> round(pure_epsilon_for_total(4.774568, 1e-6, 100), 4)
    0.1
    """
    check_epsilon(epsilon)
    check_delta(delta)
    share = epsilon / count
    if count == 1 or kov_exact(epsilon, count, delta) <= epsilon:
        return max(share, epsilon if count == 1 else share)
    found = brentq(lambda each: kov_exact(each, count, delta) - epsilon, share, epsilon, xtol=1e-12)
    return max(share, float(found) * (1 - 1e-9))


def kov_exact(epsilon: float, count: int, delta: float) -> float:
    """KOV15, theorem 3.3, between its grid points too: the hockey-stick divergence of randomised response, inverted."""
    lies = np.arange(count + 1)
    weights = gammaln(count + 1) - gammaln(lies + 1) - gammaln(count - lies + 1) - count * np.logaddexp(0, epsilon)
    losses = (count - 2 * lies) * epsilon

    def log_delta(total: float) -> float:
        above = losses > total
        if not above.any():
            return -math.inf
        terms = weights[above] + (count - lies[above]) * epsilon + np.log(-np.expm1(total - losses[above]))
        return float(logsumexp(terms))

    if log_delta(0.0) <= math.log(delta):
        return 0.0
    low, high = 0.0, count * epsilon
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if log_delta(middle) <= math.log(delta) else (middle, high)
    return high
