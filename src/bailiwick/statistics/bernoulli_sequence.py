"""Rates of yes-or-no outcomes under continuous watching: exact, at any number of trials and any rate.

One rate gets a confidence sequence: all rates that the beta-binomial mixture has not rejected. Two rates get an
e-test: the mixtures of both arms against a common rate, multiplied, and minimised over the common rate; since one of
these rates is the true one, the minimum never says more than the truth would. The interval of their difference holds
every difference that the same test does not reject.

Valid when: trials are independent (one per unit). For rare errors of a canary `bailiwick.statistics.error_counts` is
sharper, as it uses the known shares; for many events `bailiwick.statistics.confidence_sequence` is.

Source: Howard, Ramdas, McAuliffe, Sekhon, Annals of Statistics 49(2), 2021, arXiv 1810.08240.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bailiwick.errors import InvalidInput
from bailiwick.statistics.beta_binomial import log_e_value, require_planned
from bailiwick.statistics.effect import require_level

_HALVINGS = 45
_GRID = 200
_CLOSER = 50
_ENDS = np.concatenate([[0.0], np.geomspace(1e-12, 0.5, 300)])


@dataclass(frozen=True, slots=True)
class RateComparison:
    """One look at two rates.

    Args:
        difference: treatment less control; NaN before both have a trial.
        low: lower end of the difference's interval, at all times together.
        high: upper end.
        e_value: against equal rates.
        p_value: always valid for this look; carry the smallest.
    """

    difference: float
    low: float
    high: float
    e_value: float
    p_value: float


def rate_interval(successes: float, trials: float, level: float = 0.95, planned: float = 1_000) -> tuple[float, float]:
    """Lower and upper end of the confidence sequence of a rate at this number of trials.

    >>> low, high = rate_interval(700, 1_000, planned=100)
    >>> round(low, 4), round(high, 4)
    (0.6516, 0.7459)

    Args:
        successes: at most ``trials``.
        trials: independent, so far.
        level: confidence at all times together.
        planned: number of trials at which the interval is tightest; frozen before the first look.

    Raises:
        InvalidInput: more successes than trials, a negative number, a level outside 0 to 1, or a plan of no trial.
    """
    _require_counts(successes, trials)
    _require_plan(level, planned)
    if not trials:
        return 0.0, 1.0
    threshold, share = -math.log(1 - level), successes / trials

    def log_e(rate: float) -> float:
        return float(log_e_value(successes, trials, rate, planned, 1 - level))

    low = _bisect(log_e, share, 1e-12, threshold)
    high = _bisect(log_e, share, 1 - 1e-12, threshold)
    return (0.0 if low <= 1e-12 else low), (1.0 if high >= 1 - 1e-12 else high)


def log_common_rate(
    control: tuple[float, float], treatment: tuple[float, float], planned: float = 1_000, alpha: float = 0.05
) -> float:
    """Logarithm of the e-value of `compare_rates` against one common rate, without the interval: 50 times cheaper.

    >>> round(log_common_rate((3, 400), (30, 400), planned=400), 2)
    9.49
    """
    _require_counts(*control)
    _require_counts(*treatment)
    _require_plan(1 - alpha, planned)
    return _least(control, treatment, 0.0, planned, alpha) if control[1] and treatment[1] else 0.0


def log_difference(
    control: tuple[float, float],
    treatment: tuple[float, float],
    difference: float,
    planned: float = 1_000,
    alpha: float = 0.05,
) -> float:
    """Logarithm of the e-value against one difference of the rates, treatment less control.

    Above ``log(1 / alpha)`` at any look, and an estimate on the good side, rule out every difference beyond it: exact
    at any rate, where a normal approximation would wait for events that a harmless treatment never shows.

    >>> log_difference((0, 200), (0, 200), 0.05) > math.log(20)
    True

    Args:
        control: successes and trials.
        treatment: successes and trials.
        difference: between -1 and 1.
        planned: trials of one arm near which the test is most powerful; frozen before the first look.
        alpha: that the mixture is tuned for.

    Raises:
        InvalidInput: more successes than trials, or a negative number.
    """
    _require_counts(*control)
    _require_counts(*treatment)
    return _least(control, treatment, difference, planned, alpha) if control[1] and treatment[1] else 0.0


def compare_rates(
    control: tuple[float, float], treatment: tuple[float, float], level: float = 0.95, planned: float = 1_000
) -> RateComparison:
    """One look at two rates.

    >>> look = compare_rates((3, 400), (30, 400), planned=400)
    >>> round(look.difference, 4), look.low > 0, look.p_value < 0.001
    (0.0675, True, True)

    Args:
        control: successes and trials.
        treatment: successes and trials.
        level: confidence at all times together.
        planned: trials of one arm near which the test is most powerful; frozen before the first look.

    Raises:
        InvalidInput: more successes than trials, a negative number, a level outside 0 to 1, or a plan of no trial.
    """
    _require_counts(*control)
    _require_counts(*treatment)
    _require_plan(level, planned)
    if not control[1] or not treatment[1]:
        return RateComparison(math.nan, -1.0, 1.0, 1.0, 1.0)
    estimate = treatment[0] / treatment[1] - control[0] / control[1]

    def log_e(difference: float) -> float:
        return _least(control, treatment, difference, planned, 1 - level)

    threshold = -math.log(1 - level)

    none = log_e(0.0)
    return RateComparison(
        difference=estimate,
        low=_bisect(log_e, estimate, -1 + 1e-9, threshold),
        high=_bisect(log_e, estimate, 1 - 1e-9, threshold),
        e_value=math.exp(min(none, 700.0)),
        p_value=min(1.0, math.exp(-none)),
    )


def _least(
    control: tuple[float, float], treatment: tuple[float, float], difference: float, planned: float, alpha: float
) -> float:
    """Smallest product of both arms' e-values over the control's rate, natural logarithm.

    All rates that the difference allows are tried: a missed one would be evidence that is none. The grid is fine near
    the two estimates, where the minimum mostly lies, and near both ends of what is allowed, where it lies at few
    trials or when nearly all or none succeeded; then it closes in on its best point.
    """
    edge = 1e-12
    least_rate, most_rate = max(edge, edge - difference), min(1 - edge, 1 - edge - difference)
    estimates = np.clip([control[0] / control[1], treatment[0] / treatment[1] - difference], least_rate, most_rate)
    whole = most_rate - least_rate
    near = np.linspace(estimates.min(), estimates.max(), _GRID)
    rates = np.unique(np.concatenate([near, least_rate + whole * _ENDS, most_rate - whole * _ENDS]))
    best = math.inf
    for _ in range(4):
        logs = log_e_value(*control, rates, planned, alpha) + log_e_value(
            *treatment, np.minimum(rates + difference, 1 - edge), planned, alpha
        )
        place = int(np.nanargmin(logs))
        best = min(best, float(logs[place]))
        rates = np.linspace(rates[max(0, place - 1)], rates[min(len(rates) - 1, place + 1)], _CLOSER)
    return best


def _bisect(log_e: Callable[[float], float], inside: float, outside: float, threshold: float) -> float:
    """Where the evidence crosses the threshold between a value that is not rejected and one that may be."""
    if log_e(outside) <= threshold:
        return outside
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if log_e(middle) > threshold:
            outside = middle
        else:
            inside = middle
    return outside


def _require_counts(successes: float, trials: float) -> None:
    if not 0 <= successes <= trials < math.inf:
        raise InvalidInput(
            f"{successes!r} successes in {trials!r} trials cannot be", what="successes", allowed=f"0 to {trials!r}"
        )


def _require_plan(level: float, planned: float) -> None:
    require_level(level)
    require_planned(planned)
