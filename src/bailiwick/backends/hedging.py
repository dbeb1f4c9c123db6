"""After how long a call is sent to a second replica: the 95th percentile of the latest latencies. Pure.

Dean and Barroso, The Tail at Scale, Communications of the ACM 56(2), 2013: a second copy after the 95th percentile
costs about 5 % more calls and removes most of the tail.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

KEPT = 256
LEAST_KNOWN = 20
QUANTILE = 0.95


class RecentLatencies:
    """The latest latencies in seconds, sorted."""

    def __init__(self) -> None:
        self._order: deque[float] = deque()
        self._sorted: list[float] = []

    def add(self, seconds: float) -> None:
        """One more; the oldest of 256 is forgotten."""
        if len(self._order) == KEPT:
            del self._sorted[bisect_left(self._sorted, self._order.popleft())]
        self._order.append(seconds)
        insort(self._sorted, seconds)

    @property
    def hedge_after_s(self) -> float | None:
        """Their 95th percentile (nearest rank), or None while fewer than 20 are known.

        >>> latencies = RecentLatencies()
        >>> for each in range(100):
        ...     latencies.add(each / 100)
        >>> latencies.hedge_after_s
        0.95
        """
        known = len(self._sorted)
        return self._sorted[min(known - 1, int(known * QUANTILE))] if known >= LEAST_KNOWN else None
