"""Sample ratio mismatch: do the arms hold the shares of units that they were meant to?

Where they do not, units are lost in one arm only (crashes, time-outs, filters), and every other number of the
experiment compares different people. The usual chi-square test at 0.001, looked at daily, gives 2 to 5 % false alarms;
this e-test may be looked at after every unit.

The counts of an epoch are multinomial with the epoch's weights under no mismatch. The e-value is the Bayes factor of
Dirichlet distributed shares around the weights against the weights themselves; it is a martingale under no mismatch,
so it ever exceeds ``1 / alpha`` with probability at most ``alpha``: exact, at any time. How far the shares may lie
from the weights is not known beforehand, and one concentration is deaf to small mismatches or to rare arms (99/1), so
the e-value is the mean over concentrations that expect relative errors of the smallest share from 30 % down to 1 %.

Units must be assigned independently: count the units, not their requests. Weights differ between epochs: each has its
own e-value, and the experiment's is their weighted mean, weights 2/3, 2/9, 2/27, ... (an epoch not yet begun counts
1), again a martingale.

Source: Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022, arXiv 2011.03567.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, logsumexp

from bailiwick.errors import InvalidInput

Floats = NDArray[np.float64]

RELATIVE_ERRORS = (0.3, 0.1, 0.03, 0.01)
"""Of the smallest share: what the mixed alternatives expect, as a standard deviation."""

_FIRST = 2 / 3


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Whether units are missing.

    Args:
        e_value: of the whole experiment; carry the largest seen as `log_e_value`.
        epoch_e_values: of each epoch, to find when it began.
        p_value: always valid: one over the largest e-value so far.
        deviation: the largest relative error of an arm's share, over all epochs; 0.04 for 52 instead of 50 %.
        mismatch: the p-value is below ``alpha`` and the deviation at least the smallest that matters.
        log_e_value: the largest seen, natural logarithm; give it to the next look.
    """

    e_value: float
    epoch_e_values: tuple[float, ...]
    p_value: float
    deviation: float
    mismatch: bool
    log_e_value: float


def log_multinomial_e_value(counts: ArrayLike, weights: ArrayLike) -> Floats:
    """Logarithm of the e-value of counts against weights.

    >>> round(float(log_multinomial_e_value([4_800, 5_200], [1, 1])), 2)
    5.34

    Args:
        counts: shape ``(..., arms)``, units in each arm.
        weights: shape ``(arms,)``, positive, of any sum.

    Returns:
        Shape ``(...)``.
    """
    observed = np.asarray(counts, dtype=np.float64)
    shares = np.asarray(weights, dtype=np.float64)
    shares = shares / shares.sum()
    total = observed.sum(axis=-1)
    likelihood = (observed * np.log(shares)).sum(axis=-1)
    parts = []
    for error in RELATIVE_ERRORS:
        # of a Dirichlet share w the relative variance is (1 - w) / w / (concentration + 1)
        smallest = float(shares.min())
        concentration = (1 - smallest) / smallest / (error * error)
        prior = concentration * shares
        parts.append(
            (gammaln(prior + observed) - gammaln(prior)).sum(axis=-1)
            - gammaln(concentration + total)
            + gammaln(concentration)
            - likelihood
        )
    return np.asarray(logsumexp(np.stack(parts), axis=0) - math.log(len(RELATIVE_ERRORS)))


def sample_ratio(
    epochs: Sequence[tuple[Sequence[int], Sequence[float]]],
    *,
    alpha: float = 0.001,
    least_deviation: float = 0.01,
    log_e_value: float = 0.0,
) -> SampleRatio:
    """One look at the units of an experiment.

    >>> sample_ratio([((5_020, 4_980), (1, 1))]).mismatch
    False
    >>> look = sample_ratio([((9_600, 10_400), (1, 1))])
    >>> look.mismatch, round(look.deviation, 3)
    (True, 0.04)

    Args:
        epochs: per epoch the units of each arm and their weights, of any sum; an arm without weight must be left out.
        alpha: chance of a false alarm, ever.
        least_deviation: relative error of a share below which an alarm would be true and useless.
        log_e_value: what the previous look returned.

    Raises:
        InvalidInput: counts and weights do not fit, a count is negative, or a weight is not positive.
    """
    for counts, weights in epochs:
        _require_fitting(counts, weights)
    logs = [float(log_multinomial_e_value(counts, weights)) for counts, weights in epochs]
    shares = [_FIRST * (1 - _FIRST) ** number for number in range(len(logs))]
    rest = max(1 - sum(shares), 1e-300)
    whole = float(logsumexp([*logs, 0.0], b=[*shares, rest]))
    largest = max(log_e_value, whole, 0.0)
    deviation = max((_deviation(counts, weights) for counts, weights in epochs), default=0.0)
    return SampleRatio(
        e_value=_exp(whole),
        epoch_e_values=tuple(_exp(value) for value in logs),
        p_value=math.exp(-largest),
        deviation=deviation,
        mismatch=largest >= -math.log(alpha) and deviation >= least_deviation,
        log_e_value=largest,
    )


def _deviation(counts: Sequence[int], weights: Sequence[float]) -> float:
    total, whole = sum(counts), sum(weights)
    if not total:
        return 0.0
    return max(abs(count / total * whole / weight - 1) for count, weight in zip(counts, weights, strict=True))


def _require_fitting(counts: Sequence[int], weights: Sequence[float]) -> None:
    fits = len(counts) == len(weights) >= 2
    if not fits or not all(w > 0 and math.isfinite(w) for w in weights) or not all(0 <= c < math.inf for c in counts):
        raise InvalidInput(
            f"units {tuple(counts)!r} do not fit the weights {tuple(weights)!r}",
            what="epochs",
            allowed="two or more arms, each with a count of at least 0 and a positive weight",
            remedy="leave out the arms that had no weight in the epoch",
        )


def _exp(log_e: float) -> float:
    return math.exp(min(log_e, 700.0))
