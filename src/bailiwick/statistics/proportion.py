"""Intervals for a share of successes."""

from __future__ import annotations

import math

from scipy.special import ndtri


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a share; good for small counts and for shares near 0 or 1.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927.

    >>> low, high = wilson_interval(90, 100)
    >>> round(low, 4), round(high, 4)
    (0.8256, 0.9448)

    Returns:
        Lower and upper bound; ``(0.0, 1.0)`` when there was no trial.
    """
    if trials == 0:
        return 0.0, 1.0
    z = float(ndtri(0.5 + level / 2))
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    # Rounding must not push a bound past the share itself.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))
