"""What a client lets an answer cost and take, where an ensemble can choose. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bailiwick.errors import InvalidInput
from bailiwick.models.ensemble.selection import MAX_COST, MAX_LATENCY, NO_LIMITS, Limits

_COST, _LATENCY = MAX_COST.encode(), MAX_LATENCY.encode()
MOST = 1e12
"""The largest limit that a header may state."""

_LONGEST = 24


def limits_of(headers: Mapping[bytes, bytes]) -> Limits:
    """The limits of ``x-bailiwick-max-cost`` and ``x-bailiwick-max-latency-ms``.

    >>> limits_of({b"x-bailiwick-max-cost": b"0.5"})
    Limits(max_cost=0.5, max_latency_ms=None)

    Raises:
        InvalidInput: one is not a number from 0 on.
    """
    cost, latency = headers.get(_COST), headers.get(_LATENCY)
    if cost is None and latency is None:
        return NO_LIMITS
    return Limits(_number(MAX_COST, cost), _number(MAX_LATENCY, latency))


def _number(name: str, given: bytes | None) -> float | None:
    if given is None:
        return None
    try:
        value = float(given) if len(given) <= _LONGEST else math.nan
    except ValueError:
        value = math.nan
    if not 0 <= value <= MOST:
        raise InvalidInput(
            f"{name!r} is not a number", what=name, requested=given[:50].decode("ascii", "replace"), allowed="0 or more"
        )
    return value
