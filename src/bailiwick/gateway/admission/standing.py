"""From what is left of a limit to whether a request has to wait, and what its client is told. Pure.

What is left is the level of a bucket (see `bucket.py`) for limits per minute, else a number of requests or tokens.
"""

from __future__ import annotations

from collections.abc import Callable

from bailiwick.gateway.admission.bucket import wait_ms, whole
from bailiwick.gateway.admission.model import Standing
from bailiwick.governance.access.model import Kind, Limit

IN_FLIGHT_WAIT_MS = 1_000
"""When to ask again while too many requests are in flight: nobody knows when one ends."""

_REQUESTS, _TOKENS, _IN_FLIGHT = Kind.REQUESTS, Kind.TOKENS, Kind.IN_FLIGHT


def is_bucket(limit: Limit) -> bool:
    """Whether it is a limit per minute."""
    return limit.kind is _REQUESTS or limit.kind is _TOKENS


def wait_of(limit: Limit, need: int, left: int, to_midnight_ms: Callable[[], int]) -> int:
    """Milliseconds until the limit lets a request in that needs so much of it; 0: now.

    >>> kinds = (Kind.REQUESTS, Kind.IN_FLIGHT, Kind.BUDGET)
    >>> [wait_of(Limit("n", kind, 60, "k"), 1, 0, lambda: 86_400_000) for kind in kinds]
    [1000, 1000, 86400000]
    """
    if is_bucket(limit):
        return wait_ms(left, need, limit.most)
    if left >= need:
        return 0
    return IN_FLIGHT_WAIT_MS if limit.kind is _IN_FLIGHT else to_midnight_ms()


def standing_of(limit: Limit, left: int, wait: int, to_midnight_ms: Callable[[], int]) -> Standing:
    """What the client is told of a limit.

    >>> standing_of(Limit("n", Kind.REQUESTS, 60, "k"), 59 * 60_000, 0, lambda: 5)[1:]
    (59, 1000, 0)
    """
    if is_bucket(limit):
        return Standing(limit, whole(left), wait_ms(left, limit.most, limit.most), wait)
    return Standing(limit, left, 0 if limit.kind is _IN_FLIGHT else to_midnight_ms(), wait)
