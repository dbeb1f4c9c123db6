"""Renyi differential privacy of a step at an order, and the epsilon that it is worth."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy.special import gammaln, logsumexp

from bailiwick.privacy.accounting.steps import Gaussian, Laplace, Mechanism, PureDp, SampledGaussian

RDP_ORDERS: tuple[float, ...] = (
    *(1 + tenth / 10 for tenth in range(1, 100)),
    *map(float, range(11, 64)),
    128.0,
    256.0,
    512.0,
    1024.0,
)
"""The orders that the best one is looked for among; dense where small plans have it, sparse where it hardly matters."""


def renyi_of(step: Mechanism, order: float) -> float:
    """Renyi divergence of a step at ``order``; infinite when it has none."""
    match step:
        case PureDp(epsilon):
            log_moment = np.logaddexp(order * epsilon, (1 - order) * epsilon) - np.logaddexp(0, epsilon)
            return min(epsilon, float(log_moment) / (order - 1))
        case Laplace(epsilon, steps):
            if steps is not None:  # between the worst pure step and the continuous one; the former is always true
                return renyi_of(PureDp(epsilon), order)
            # Mironov 2017, table II
            first = math.log(order / (2 * order - 1)) + (order - 1) * epsilon
            second = math.log((order - 1) / (2 * order - 1)) - order * epsilon
            return float(np.logaddexp(first, second)) / (order - 1)
        case Gaussian(noise_multiplier):
            return order / (2 * noise_multiplier**2)
        case SampledGaussian(sample_rate, noise_multiplier):
            return _sampled_log_moment(sample_rate, noise_multiplier, order) / (order - 1)
        case _:
            return math.inf


def _sampled_log_moment(rate: float, noise: float, order: float) -> float:
    """(order - 1) times the Renyi DP of the sampled Gaussian; between whole orders the chord, as it is convex there."""
    whole = math.floor(order)
    low = _sampled_log_moment_at(rate, noise, whole)
    if whole == order:
        return low
    return low + (order - whole) * (_sampled_log_moment_at(rate, noise, whole + 1) - low)


@cache
def _sampled_log_moment_at(rate: float, noise: float, order: int) -> float:
    """Mironov, Talwar and Zhang 2019, section 3.3 (whole orders)."""
    if order <= 1:
        return 0.0
    if rate == 1:
        return (order - 1) * order / (2 * noise**2)
    k = np.arange(order + 1)
    choose = gammaln(order + 1) - gammaln(k + 1) - gammaln(order - k + 1)
    return float(logsumexp(choose + (order - k) * np.log1p(-rate) + k * math.log(rate) + k * (k - 1) / (2 * noise**2)))


def epsilon_of_renyi(renyi: float, order: float, delta: float) -> float:
    """CKS20, proposition 12."""
    return renyi + math.log1p(-1 / order) - math.log(delta * order) / (order - 1)
