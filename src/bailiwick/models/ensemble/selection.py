"""Which one member is asked for a query: the best within limits, and why. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bailiwick.errors import InvalidInput

MAX_COST = "x-bailiwick-max-cost"
MAX_LATENCY = "x-bailiwick-max-latency-ms"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one answer may cost and take; None: no limit. Latency in milliseconds.

    Raises:
        InvalidInput: a limit is no number from 0 on.
    """

    max_cost: float | None = None
    max_latency_ms: float | None = None

    def __post_init__(self) -> None:
        for name, limit in ((MAX_COST, self.max_cost), (MAX_LATENCY, self.max_latency_ms)):
            if limit is not None and not limit >= 0:  # what is not a number would exclude nobody
                raise InvalidInput(f"{name} is {limit!r}", what=name, requested=repr(limit), allowed="0 or more")


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A member, for one query.

    Args:
        quality: the probability that it is right.
        cost: of this query.
        latency_ms: its slow answers (p95); None: not known, which no limit excludes.
        available: it is not benched.
    """

    name: str
    quality: float
    cost: float = 0.0
    latency_ms: float | None = None
    available: bool = True


def ranked(candidates: Sequence[Candidate], limits: Limits, cost_weight: float) -> list[int]:
    """Positions of the members that may be asked, best first: whoever fails gives way to the next.

    Best is ``quality - cost_weight * cost``; of equals the cheaper, then the one that is named first. Benched members
    come last, and are asked only when everybody else has failed.

    Raises:
        InvalidInput: no member is within the limits.

    >>> small, large = Candidate("small", 0.8, cost=1.0), Candidate("large", 0.9, cost=10.0)
    >>> ranked([small, large], NO_LIMITS, 0.0), ranked([small, large], NO_LIMITS, 0.05)
    ([1, 0], [0, 1])
    >>> ranked([small, large], Limits(max_cost=5.0), 0.0)
    [0]
    """
    allowed = [index for index, each in enumerate(candidates) if why_excluded(each, limits) is None]
    if not allowed:
        raise _nobody(candidates, limits)

    def order(index: int) -> tuple[bool, float, float, int]:
        each = candidates[index]
        return (not each.available, -(each.quality - cost_weight * each.cost), each.cost, index)

    return sorted(allowed, key=order)


def why_excluded(candidate: Candidate, limits: Limits) -> str | None:
    """Which limit a member breaks, in words; None: none."""
    if limits.max_cost is not None and candidate.cost > limits.max_cost:
        return f"would cost {candidate.cost:.4g}, more than {limits.max_cost:.4g}"
    slow = candidate.latency_ms
    if limits.max_latency_ms is not None and slow is not None and slow > limits.max_latency_ms:
        return f"takes {slow:.4g} ms (p95), more than {limits.max_latency_ms:.4g}"
    return None


def _nobody(candidates: Sequence[Candidate], limits: Limits) -> InvalidInput:
    if limits.max_cost is not None and all(each.cost > limits.max_cost for each in candidates):
        cheapest = min(each.cost for each in candidates)
        return InvalidInput(
            f"no member costs as little as {limits.max_cost:g}",
            what=MAX_COST,
            requested=limits.max_cost,
            allowed=f"at least {cheapest:.6g}",
            remedy=f"raise {MAX_COST}",
        )
    quickest = min((each.latency_ms for each in candidates if each.latency_ms is not None), default=math.inf)
    return InvalidInput(
        "no member is within the limits on cost and latency",
        what=MAX_LATENCY if limits.max_latency_ms is not None else MAX_COST,
        requested=limits.max_latency_ms if limits.max_latency_ms is not None else limits.max_cost,
        allowed=f"the quickest takes {quickest:.6g} ms (p95)",
        remedy="raise the limits",
    )
