"""Means of bounded values by betting: exact confidence sequences for judges' scores, at small numbers.

To test a mean ``m``, a gambler bets before each value whether it falls above or below ``m``; if ``m`` is the mean he
cannot expect to win, so his capital ever multiplies by ``1 / alpha`` with probability at most ``alpha``. The interval
holds all means at which he is not that rich. How much he bets adapts to the variance seen so far: the interval is much
narrower than Hoeffding's where scores agree. No distribution is assumed beyond the bounds, no burn-in is needed.

Valid when: values lie in 0 to 1 (rescale others), come in the order of arrival, and their conditional mean does not
change.

Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86(1), 2024,
arXiv 2010.09686, theorem 3 (hedged capital) with the predictable plug-in bets of equation 26.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import require_level

Floats = NDArray[np.float64]

_TRUNCATION = 0.5


def predictable_bets(values: ArrayLike, alpha: float = 0.05) -> Floats:
    """How much is bet on each value, known before it is seen; shape ``(n,)``."""
    x = np.asarray(values, dtype=np.float64)
    t = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (t + 1)
    variances = (0.25 + np.cumsum((x - means) ** 2)) / (t + 1)
    before = np.concatenate([[0.25], variances[:-1]])
    return np.asarray(np.sqrt(2 * math.log(2 / alpha) / (before * t * np.log1p(t))))


def log_capital(values: ArrayLike, means: ArrayLike, alpha: float = 0.05) -> Floats:
    """Logarithm of the hedged capital after each value, for each mean: shape ``(means, n)``; an e-process at the mean.

    Half of the capital bets on values above the mean, half on values below.
    """
    x, m = np.asarray(values, dtype=np.float64), np.asarray(means, dtype=np.float64)[:, None]
    bets = predictable_bets(x, alpha)[None, :]
    with np.errstate(divide="ignore"):
        above = np.minimum(bets, _TRUNCATION / m)
        below = np.minimum(bets, _TRUNCATION / (1 - m))
    rising = np.cumsum(np.log1p(above * (x - m)), axis=1)
    falling = np.cumsum(np.log1p(-below * (x - m)), axis=1)
    return np.asarray(np.maximum(rising, falling) - math.log(2))


def betting_sequence(values: ArrayLike, level: float = 0.95, grid: int = 1_000) -> tuple[Floats, Floats]:
    """Lower and upper ends of the confidence sequence of the mean after each value, each of shape ``(n,)``.

    >>> low, high = betting_sequence([0.8, 0.9] * 20)
    >>> float(low[-1]) > 0.6, float(high[-1]) <= 1.0
    (True, True)

    Args:
        values: in order of arrival, each between 0 and 1.
        level: confidence at all times together.
        grid: means that are tested; the ends are rounded outwards to the next one.

    Raises:
        InvalidInput: a value lies outside 0 to 1 or is no number, or the level does.
    """
    require_level(level)
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not ((x >= 0) & (x <= 1)).all():
        raise InvalidInput(
            "betting needs values between 0 and 1",
            what="values",
            allowed="0 to 1",
            remedy="rescale by the known bounds",
        )
    if not len(x):
        return np.zeros(0), np.ones(0)
    means = np.linspace(0, 1, grid + 1)
    # a mean that was rejected once stays out: the running intersection
    richest = np.maximum.accumulate(log_capital(x, means, 1 - level), axis=1)
    alive = richest < -math.log(1 - level)
    step = 1 / grid
    low = means[alive.argmax(axis=0)] - step
    high = means[grid - alive[::-1].argmax(axis=0)] + step
    none = ~alive.any(axis=0)
    low[none], high[none] = 0.0, 1.0
    return np.maximum(low, 0.0), np.minimum(high, 1.0)
