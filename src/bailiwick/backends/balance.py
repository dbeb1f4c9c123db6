"""Which replica takes a call: the less loaded of two drawn by weight. Pure.

Load is peak-EWMA latency times calls under way (Finagle, https://twitter.github.io/finagle/guide/Clients.html): the
average jumps up to a slow answer at once and comes down slowly, so that a replica that has begun to be slow is avoided
before it has answered many. Two random choices are nearly as good as comparing all, and do not send everybody to the
same replica (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

MEMORY_S = 10.0
"""After this time an old latency counts a third."""

_UNKNOWN_S = 1.0
_LEAST_S = 1e-6


@dataclass(frozen=True, slots=True)
class Latency:
    """A peak-sensitive average of latencies, as it stood at a time; both in seconds."""

    value_s: float = 0.0
    at_s: float = 0.0


def observed(latency: Latency, sample_s: float, now_s: float) -> Latency:
    """The average after one more answer.

    >>> observed(Latency(0.1, 0.0), 0.5, 0.0)
    Latency(value_s=0.5, at_s=0.0)
    """
    if sample_s >= latency.value_s:
        return Latency(sample_s, now_s)
    kept = math.exp(-max(0.0, now_s - latency.at_s) / MEMORY_S)
    return Latency(latency.value_s * kept + sample_s * (1.0 - kept), max(now_s, latency.at_s))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A replica that may be chosen.

    Args:
        latency: of its answers.
        under_way: calls that it has not answered yet.
        weight: how much it can bear beside the others, above 0.
        failures: in a row until now. Each counts as a call under way, or who fails fast would look idle and get all.
    """

    latency: Latency
    under_way: int
    weight: float = 1.0
    failures: int = 0


def load(candidate: Candidate, now_s: float) -> float:
    """How loaded a replica is: the seconds of work before it, over its weight.

    The latency fades while nothing new is known, so that a replica that was slow once is tried again. One that has
    never answered counts as slow as soon as it was sent a call: it gets one call, not all of them.
    """
    before = candidate.under_way + candidate.failures
    known = candidate.latency
    seconds = known.value_s * math.exp(-max(0.0, now_s - known.at_s) / MEMORY_S)
    if known.value_s == 0.0 and before:
        seconds = _UNKNOWN_S
    return max(seconds, _LEAST_S) * (before + 1) / candidate.weight


def chosen(candidates: Sequence[Candidate], now_s: float, rng: Random) -> int:
    """The index of the candidate that takes the next call; there must be at least one."""
    if len(candidates) == 1:
        return 0
    weights = [candidate.weight for candidate in candidates]
    first = rng.choices(range(len(candidates)), weights)[0]
    weights[first] = 0.0
    second = rng.choices(range(len(candidates)), weights)[0]
    return first if load(candidates[first], now_s) <= load(candidates[second], now_s) else second
