"""Zero-concentrated differential privacy: rho of a step, and the epsilon that a rho is worth."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Decimal

import numpy as np

from bailiwick.privacy.accounting.steps import Gaussian, Laplace, Mechanism, PureDp, check_delta
from bailiwick.privacy.amounts import NANO


def rho_nano(rho: float) -> int:
    """Billionths, rounded up; the float is taken for the decimal that it prints as."""
    return int((Decimal(repr(float(rho))) * NANO).to_integral_value(ROUND_CEILING))


def zcdp_epsilon(rho: float, delta: float) -> float:
    """Epsilon of a rho-zCDP mechanism: the least over all orders of CKS20, proposition 12; at most rho + 2 sqrt(...).

    >>> round(zcdp_epsilon(0.5, 1e-6), 3)
    5.222
    """
    check_delta(delta)
    if rho == 0:
        return 0.0
    best = 1 + math.sqrt(-math.log(delta) / rho)  # the order that is best without the correction terms
    orders = 1 + np.geomspace((best - 1) / 8, (best - 1) * 8, 2_001)
    values = rho * orders + np.log1p(-1 / orders) - np.log(delta * orders) / (orders - 1)
    return max(0.0, float(values.min()))


def rho_of(step: Mechanism) -> float:
    """Rho of a step; infinite when it has none. Pure epsilon gives epsilon squared / 2 (Bun and Steinke 2016, 1.4)."""
    match step:
        case PureDp(epsilon) | Laplace(epsilon):
            return float(Decimal(repr(float(epsilon))) ** 2 / 2)
        case Gaussian(noise_multiplier):
            return 1 / (2 * noise_multiplier**2)
        case _:
            return math.inf
