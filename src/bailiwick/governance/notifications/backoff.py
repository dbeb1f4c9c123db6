"""When a delivery that failed is tried again. Pure."""

from __future__ import annotations

from datetime import timedelta
from random import Random

ATTEMPTS = 10
"""Then a delivery is given up: after about 17 hours."""

_FIRST_S = 5.0
_FACTOR = 4.0
_MOST_S = 4 * 3600.0


def pause_after(attempts: int, rng: Random) -> timedelta | None:
    """How long to wait after so many failed attempts; None: give up.

    The pauses grow fourfold from 5 seconds to 4 hours, each between half and all of that, at random, so that what
    failed together is not repeated together ("equal jitter", Brooker, Exponential Backoff And Jitter, AWS 2015).

    >>> [round(pause_after(attempts, Random(1)).total_seconds()) for attempts in (1, 2, 3)]
    [3, 11, 45]
    >>> pause_after(10, Random(1)) is None
    True
    """
    if attempts >= ATTEMPTS:
        return None
    whole = min(_MOST_S, _FIRST_S * _FACTOR ** (attempts - 1))
    return timedelta(seconds=whole * rng.uniform(0.5, 1.0))
