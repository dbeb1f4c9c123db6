"""How much two data sets can be told apart by a release: a lower bound on epsilon from its outputs.

An attacker picks a threshold and says "the unit was there" above it. Whatever the threshold, an (epsilon, delta)
release has ``true positives <= exp(epsilon) * false positives + delta``, and the same with the roles exchanged
(Kairouz, Oh and Viswanath 2015). The threshold is chosen on a tenth of the outputs and judged on the rest, with exact
confidence bounds (Clopper and Pearson 1934), so a bound above the claim refutes the claim at the stated confidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

Floats = NDArray[np.float64]

USUAL_CONFIDENCE = 0.95
CERTAIN = 1 - 1e-6
"""For suites that run often: at this confidence one true claim in a million is called false."""


_CHOOSING = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an audit found.

    Args:
        claimed: epsilon.
        lower_bound: the release does not have an epsilon below it, at the given confidence.
        delta: the claim's delta.
        confidence: that the bound holds.
        outputs: how many outputs, of both sides, the attack saw.
    """

    claimed: float
    lower_bound: float
    delta: float
    confidence: float
    outputs: int

    @property
    def refuted(self) -> bool:
        """Whether the claim cannot be true."""
        return self.lower_bound > self.claimed


def audit(
    without: ArrayLike,
    with_unit: ArrayLike,
    claimed: float,
    *,
    delta: float = 0.0,
    confidence: float = USUAL_CONFIDENCE,
) -> Verdict:
    """Judge a claim by outputs on two neighbouring data sets.

    The power, with 30,000 outputs a side and a claim of 1 at 95 % confidence: a true epsilon of 1.05 is caught in 98 of
    100 audits of a count. `majority` makes a verdict of several that can be relied on in both directions.

    Args:
        without: numbers, one per run, on the data set without the unit; higher must speak for the unit.
        with_unit: the same on the data set with it.
        claimed: epsilon.
        delta: of the claim.
        confidence: that the bound holds.

    Raises:
        ValueError: fewer than 100 outputs on a side.
    """
    left, right = np.asarray(without, float), np.asarray(with_unit, float)
    if min(len(left), len(right)) < 100:
        raise ValueError("an audit needs at least 100 outputs on each side")
    # Either side may be the likelier one, above a threshold or below it. The choosing outputs pick one of the four, so
    # that the whole error probability is left for judging it. They are spread out, so that a drift hits both parts.
    ways = ((left, right), (-left, -right), (right, left), (-right, -left))
    found = [_best_threshold(false[::_CHOOSING], true[::_CHOOSING], delta) for false, true in ways]
    way = int(np.argmax([bound for bound, _ in found]))
    threshold = found[way][1]
    judging = np.arange(max(len(left), len(right))) % _CHOOSING != 0
    false, true = (part[judging[: len(part)]] for part in ways[way])
    bound = epsilon_bound(
        int((true >= threshold).sum()),
        len(true),
        int((false >= threshold).sum()),
        len(false),
        delta=delta,
        confidence=confidence,
    )
    return Verdict(claimed, bound, delta, confidence, len(left) + len(right))


def majority(verdicts: Sequence[Verdict]) -> bool:
    """Whether most of several independent audits refute the claim.

    Of seven at 95 % confidence with the power of `audit`, a true claim is refuted at most twice in 10,000 times (once
    in ten million at the measured rate of false alarms, 0.7 %), and one 5 % too low passes once in a million.
    """
    return sum(verdict.refuted for verdict in verdicts) * 2 > len(verdicts)


def epsilon_bound(hits: int, true_runs: int, alarms: int, false_runs: int, *, delta: float, confidence: float) -> float:
    """The least epsilon that hits and false alarms allow, at the confidence.

    >>> round(epsilon_bound(900, 1000, 100, 1000, delta=0.0, confidence=0.95), 2)
    1.99
    """
    error = (1 - confidence) / 2
    lowest = share_at_least(hits, true_runs, error)
    highest = 1 - share_at_least(false_runs - alarms, false_runs, error)
    if lowest <= delta:
        return 0.0
    return max(0.0, math.log((lowest - delta) / highest))


def share_at_least(successes: int, trials: int, error: float) -> float:
    """The exact lower confidence bound of a share (Clopper and Pearson 1934)."""
    return float(betaincinv(successes, trials - successes + 1, error)) if successes else 0.0


def _best_threshold(false: Floats, true: Floats, delta: float) -> tuple[float, float]:
    """The threshold with the highest bound on these outputs, and that bound."""
    candidates = np.unique(np.quantile(np.concatenate([false, true]), np.linspace(0, 1, 401), method="nearest"))
    hits = len(true) - np.searchsorted(np.sort(true), candidates)
    alarms = len(false) - np.searchsorted(np.sort(false), candidates)
    bounds = [
        epsilon_bound(int(h), len(true), int(a), len(false), delta=delta, confidence=0.95)
        for h, a in zip(hits, alarms, strict=True)
    ]
    best = int(np.argmax(bounds))
    # Half way to the next lower candidate the split of these outputs is the same. At the candidate itself, the least
    # output that spoke for the unit, it would miss every later one that is a little less.
    return bounds[best], float(candidates[max(best - 1, 0)] + candidates[best]) / 2
