"""Medians and tails (p50, p95, p99) under continuous watching, from counts of values: exact, for any distribution.

A value lies below the true q-quantile with chance q, whatever the distribution, so the number of values below a
candidate is binomial under the hypothesis that it is the quantile, and the beta-binomial mixture tests it. One
quantile gets a confidence sequence: all candidates not rejected. Two arms get an e-test of one common quantile: the
product of both mixtures, minimised over all candidates.

Only counts enter, so a sketch does as well as raw values: candidates are its buckets, and the true quantile lies within
the sketch's accuracy of the ends. Valid when values are independent. Requests of one user are not: pass ``effective``,
the number of independent values that they are worth; ``(sum of requests)^2 / sum of squared requests`` over users is
safe however alike a user's requests are.

Source: Howard and Ramdas, "Sequential estimation of quantiles with applications to A/B testing and best-arm
identification", Bernoulli 28(3), 2022, arXiv 1906.09712, sections 3 and 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma

from bailiwick.errors import InvalidInput
from bailiwick.statistics.beta_binomial import log_e_value, require_planned
from bailiwick.statistics.effect import require_finite, require_level
from bailiwick.statistics.normal_mixture import mixture_precision

Floats = NDArray[np.float64]

_HALVINGS = 45


@dataclass(frozen=True, slots=True, eq=False)
class Empirical:
    """How many values of an arm fell where.

    Args:
        values: ascending and distinct, shape ``(n,)``; for a sketch the values that stand for its buckets.
        counts: of each, shape ``(n,)``, not negative.
        effective: how many independent values they are worth; None where each is one.
    """

    values: Floats
    counts: Floats
    effective: float | None = None

    def __post_init__(self) -> None:
        fits = len(self.values) == len(self.counts) and bool(np.isfinite(self.values).all())
        if not fits or (np.diff(self.values) <= 0).any() or not (np.isfinite(self.counts) & (self.counts >= 0)).all():
            raise InvalidInput(
                "an empirical distribution needs ascending finite values, and a count of at least 0 for each",
                what="values",
                remedy="leave out values that were not measured",
            )
        if self.effective is not None:
            require_finite(self.effective, "effective", least=0.0)

    @classmethod
    def of(cls, values: ArrayLike, effective: float | None = None) -> Empirical:
        """The counts of raw values, in any order."""
        numbers, counts = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
        return cls(numbers, counts.astype(np.float64), effective)

    @property
    def size(self) -> float:
        """How many independent values there are."""
        total = float(self.counts.sum())
        return total if self.effective is None else min(total, self.effective)


@dataclass(frozen=True, slots=True)
class QuantileComparison:
    """One look at a quantile of two arms.

    Args:
        control: its empirical quantile; NaN without values.
        treatment: likewise.
        low: lower end of the interval of treatment less control, at all times together.
        high: upper end.
        ratio_low: lower end of treatment over control; None where the control's interval reaches zero.
        ratio_high: upper end, likewise.
        e_value: against one common quantile.
        p_value: of this look; carry the smallest.
    """

    control: float
    treatment: float
    low: float
    high: float
    ratio_low: float | None
    ratio_high: float | None
    e_value: float
    p_value: float


def quantile_interval(arm: Empirical, q: float, planned: float, level: float = 0.95) -> tuple[float, float]:
    """Lower and upper end of the confidence sequence of a quantile; infinite where the data leave an end open.

    >>> quantile_interval(Empirical.of(range(1_000)), 0.5, planned=1_000)
    (452.0, 547.0)

    Args:
        arm: values so far.
        q: between 0 and 1, such as 0.95.
        planned: number of values near which the interval is tightest; frozen before the first look.
        level: confidence at all times together.

    Raises:
        InvalidInput: q or level outside 0 to 1, or a plan of no value.
    """
    _require_plan(q, planned, level)
    if not arm.size:
        return -math.inf, math.inf
    at_most, below = _shares(arm)
    # the quantile is above x when too few values are at or below x, and below x when too many are below it
    threshold, mode = -math.log(1 - level), _mode(arm.size, q, planned, 1 - level)
    too_few = (at_most < mode) & (_log_e(at_most, arm.size, q, planned, 1 - level) > threshold)
    too_many = (below > mode) & (_log_e(below, arm.size, q, planned, 1 - level) > threshold)
    low = float(arm.values[too_few.sum()]) if too_few.any() else -math.inf
    high = float(arm.values[too_many.argmax() - 1]) if too_many.any() else math.inf
    return low, high


def compare_quantiles(
    control: Empirical, treatment: Empirical, q: float, planned: float, level: float = 0.95
) -> QuantileComparison:
    """One look at a quantile of two arms.

    >>> look = compare_quantiles(Empirical.of(range(1_000)), Empirical.of(range(100, 1_100)), 0.5, planned=100)
    >>> round(look.p_value, 7), look.control, look.treatment
    (0.0054947, 500.0, 600.0)

    Args:
        control: values so far.
        treatment: values so far.
        q: between 0 and 1, such as 0.95.
        planned: values of one arm near which the test is most powerful; frozen before the first look.
        level: confidence at all times together; each arm's interval has half of the error.

    Raises:
        InvalidInput: q or level outside 0 to 1, or a plan of no value.
    """
    _require_plan(q, planned, level)
    half = 1 - (1 - level) / 2
    low_c, high_c = quantile_interval(control, q, planned, half)
    low_t, high_t = quantile_interval(treatment, q, planned, half)
    log_e = _common(control, treatment, q, planned, 1 - level) if control.size and treatment.size else 0.0
    return QuantileComparison(
        control=_quantile(control, q),
        treatment=_quantile(treatment, q),
        low=low_t - high_c,
        high=high_t - low_c,
        ratio_low=low_t / high_c if low_c > 0 and low_t > 0 else None,
        ratio_high=high_t / low_c if low_c > 0 and low_t > 0 and math.isfinite(high_t) else None,
        e_value=math.exp(min(log_e, 700.0)),
        p_value=min(1.0, math.exp(-log_e)),
    )


def _common(control: Empirical, treatment: Empirical, q: float, planned: float, alpha: float) -> float:
    """Smallest evidence over all values that both quantiles might be, natural logarithm."""
    candidates = np.union1d(control.values, treatment.values)
    whole = np.zeros(len(candidates))
    for arm in (control, treatment):
        at_most, below = _shares(arm)
        # shares at the candidates; between two of them nothing smaller can be found
        right = np.searchsorted(arm.values, candidates, side="right")
        left = np.searchsorted(arm.values, candidates, side="left")
        share_at_most = np.concatenate([[0.0], at_most])[right]
        share_below = np.concatenate([below, [1.0]])[left]
        # any share between the two is consistent with the candidate; the one that says least counts
        least = np.clip(_mode(arm.size, q, planned, alpha), share_below, share_at_most)
        whole += _log_e(least, arm.size, q, planned, alpha)
    return float(whole.min())


def _log_e(shares: Floats, size: float, q: float, planned: float, alpha: float) -> Floats:
    return log_e_value(shares * size, size, q, planned, alpha)


def _shares(arm: Empirical) -> tuple[Floats, Floats]:
    """Of values at most, and below, each value."""
    total = arm.counts.sum()
    upto = np.cumsum(arm.counts)
    return upto / total, (upto - arm.counts) / total


def _mode(size: float, q: float, planned: float, alpha: float) -> float:
    """The share below a candidate that says least against it: nearly q, where the mixture's slope is zero."""
    r = max(mixture_precision(planned, alpha) - 1, 1e-3)
    a, b, target = r * q, r * (1 - q), math.log(q / (1 - q))
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if float(digamma(a + middle * size)) - float(digamma(b + (1 - middle) * size)) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _quantile(arm: Empirical, q: float) -> float:
    if not arm.counts.sum():
        return math.nan
    return float(arm.values[min(int(np.searchsorted(_shares(arm)[0], q, side="right")), len(arm.values) - 1)])


def _require_plan(q: float, planned: float, level: float) -> None:
    require_level(level)
    require_planned(planned)
    if not 0 < q < 1:
        raise InvalidInput(
            f"a quantile is between 0 and 1, got {q!r}", what="q", requested=q, remedy="give 0.95 for p95"
        )
