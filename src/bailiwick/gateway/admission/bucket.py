"""Token buckets in whole numbers, so that no rounding lets anything through. Pure.

A bucket of a limit of ``most`` a minute holds at most ``most`` and fills evenly. Its level is counted in 1/60,000, so
that it rises by exactly ``most`` every millisecond. In t minutes no more than ``most + most * t`` is taken.
A level may be negative: what turns out to have cost more than was taken is a debt, which is paid off first.
Source: J. Turner, "New directions in communications", IEEE Communications Magazine 24 (1986): the leaky bucket.
"""

from __future__ import annotations

SCALE = 60_000
"""Levels per token, and milliseconds per minute."""


def refilled(level: int, passed_ms: int, most: int) -> int:
    """The level after some time. Time that goes backwards, or a limit that was lowered, gives nothing away.

    >>> refilled(0, 1_000, 60), refilled(0, 3_600_000, 60) // SCALE, refilled(0, -5, 60)
    (60000, 60, 0)
    """
    return min(most * SCALE, level + max(0, passed_ms) * most)


def wait_ms(level: int, need: int, most: int) -> int:
    """Milliseconds until the bucket holds what is needed; 0: it does.

    >>> wait_ms(0, 1, 60), wait_ms(SCALE, 1, 60), wait_ms(-SCALE, 1, 7)
    (1000, 0, 17143)
    """
    return max(0, -((level - need * SCALE) // most))


def whole(level: int) -> int:
    """What can be taken at once; a debt is negative, and rounded up to whole tokens.

    >>> whole(2 * SCALE - 1), whole(-1)
    (1, -1)
    """
    return level // SCALE
