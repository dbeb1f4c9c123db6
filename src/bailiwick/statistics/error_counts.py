"""Errors, time-outs and crashes of a treatment against its control: exact, from the first event on, at any rate.

Means of rare events are far from normal until dozens have happened, and by then a broken canary has done its harm. So
look at the events alone. If a unit is treated with chance ``w`` and the treatment changes nothing, then each unit that
errs is a treated one with chance ``w``, whatever the rate of errors and however it changes over the day. If errors are
``r`` times as likely in the treatment, the chance is ``w r / (w r + 1 - w)``. The labels of the events are coin flips:
a beta mixture of coins against the coin of the hypothesis is a martingale, and its e-value ever exceeds ``1 / alpha``
with probability at most ``alpha``: exact, no burn-in.

Count units that erred at least once, within the window in which they were watched: a user's second error is no second
coin. Where the unit is the request, that is the number of errors. Epochs have their own ``w``; their e-values multiply.

Sources: Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022, arXiv 2011.03567,
section 4 (Poisson counts conditioned on their sum); Robbins 1970 (beta mixture).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincc, betaln, logsumexp

from bailiwick.errors import InvalidInput

Floats = NDArray[np.float64]

_UNDERFLOW = 1e-280
_RELATIVE_ERRORS = (3.0, 1.0, 0.3)
"""Of the rarer label's share: standard deviations that the mixed alternatives expect; gross errors, and small ones."""


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Events in one epoch.

    Args:
        control: units of the control that erred.
        treatment: units of the treatment that erred.
        share: of the treatment among the units of both arms, by the epoch's weights; 0.01 for a 1 % canary.
    """

    control: int
    treatment: int
    share: float

    def __post_init__(self) -> None:
        if not (0 <= self.control < math.inf and 0 <= self.treatment < math.inf and 0 < self.share < 1):
            raise InvalidInput(
                f"{self.control!r} and {self.treatment!r} events at a share of {self.share!r} cannot be",
                what="error counts",
                allowed="counts of at least 0, and a share between 0 and 1",
                remedy="give the treatment's weight over that of both arms as the share",
            )


@dataclass(frozen=True, slots=True)
class ErrorVerdict:
    """One look at the errors of a treatment.

    Args:
        worse_e_value: evidence that errors are more than ``1 + margin`` times as likely in the treatment.
        fine_e_value: evidence that they are less likely than that.
        worse_p_value: always valid.
        fine_p_value: always valid.
        ratio: estimated ratio of the rates, treatment over control, with half an event added to each.
        log_worse: largest seen, natural logarithm; give both to the next look.
        log_fine: likewise.
    """

    worse_e_value: float
    fine_e_value: float
    worse_p_value: float
    fine_p_value: float
    ratio: float
    log_worse: float
    log_fine: float


def log_e_value_more(control: ArrayLike, treatment: ArrayLike, share: float, ratio: float = 1.0) -> Floats:
    """Logarithm of the e-value against "errors are at most ``ratio`` times as likely in the treatment".

    >>> round(math.exp(float(log_e_value_more(2, 12, 0.5))), 1)
    12.6

    Args:
        control: events in the control, any shape.
        treatment: events in the treatment, same shape.
        share: chance of a unit of both arms to be treated.
        ratio: of the rates, under the hypothesis.
    """
    return _log_one_sided(np.asarray(treatment, np.float64), np.asarray(control, np.float64), _coin(share, ratio))


def log_e_value_fewer(control: ArrayLike, treatment: ArrayLike, share: float, ratio: float = 1.0) -> Floats:
    """Logarithm of the e-value against "errors are at least ``ratio`` times as likely in the treatment"."""
    return _log_one_sided(np.asarray(control, np.float64), np.asarray(treatment, np.float64), 1 - _coin(share, ratio))


def compare_errors(
    epochs: Sequence[ErrorCounts], margin: float = 0.0, log_worse: float = 0.0, log_fine: float = 0.0
) -> ErrorVerdict:
    """One look at the errors of a treatment against its control.

    >>> look = compare_errors([ErrorCounts(control=20, treatment=8, share=0.01)])
    >>> round(look.ratio, 1), look.worse_p_value < 0.001
    (41.0, True)

    Args:
        epochs: events per epoch of weights.
        margin: how much more likely errors may be; 0.1 allows 10 % more.
        log_worse: what the previous look returned.
        log_fine: likewise.

    Raises:
        InvalidInput: the margin is not a number of at least 0.
    """
    if not 0 <= margin < math.inf:
        raise InvalidInput(
            f"margin {margin!r} is not a share of at least 0", what="margin", requested=repr(margin), remedy="give 0.1"
        )
    worse = sum(float(log_e_value_more(e.control, e.treatment, e.share, 1 + margin)) for e in epochs)
    fine = sum(float(log_e_value_fewer(e.control, e.treatment, e.share, 1 + margin)) for e in epochs)
    treated = 0.5 + sum(epoch.treatment for epoch in epochs)
    # what the control's events would be, had it had the treatment's share of units
    expected = sum((epoch.control + 0.5 / len(epochs)) * epoch.share / (1 - epoch.share) for epoch in epochs)
    log_worse, log_fine = max(log_worse, worse), max(log_fine, fine)
    return ErrorVerdict(
        worse_e_value=math.exp(min(worse, 700.0)),
        fine_e_value=math.exp(min(fine, 700.0)),
        worse_p_value=math.exp(-log_worse),
        fine_p_value=math.exp(-log_fine),
        ratio=treated / expected if expected else math.nan,
        log_worse=log_worse,
        log_fine=log_fine,
    )


def _coin(share: float, ratio: float) -> float:
    return share * ratio / (share * ratio + 1 - share)


def _log_one_sided(heads: Floats, tails: Floats, coin: float) -> Floats:
    """Beta mixture of the coins above ``coin`` against ``coin``; for any smaller coin it falls, hence one-sided."""
    rarer = min(coin, 1 - coin)
    parts = []
    for error in _RELATIVE_ERRORS:
        # of a beta distributed share w the relative variance is (1 - w) / w / (concentration + 1)
        concentration = (1 - rarer) / rarer / (error * error)
        a, b = concentration * coin, concentration * (1 - coin)
        mass = _log_mass_above(a + heads, b + tails, coin) - math.log(float(betaincc(a, b, coin)))
        parts.append(betaln(a + heads, b + tails) - betaln(a, b) + mass)
    mixed = logsumexp(np.stack(parts), axis=0) - math.log(len(parts))
    return np.asarray(mixed - heads * math.log(coin) - tails * math.log1p(-coin))


def _log_mass_above(a: Floats, b: Floats, coin: float) -> Floats:
    """Logarithm of the chance that a Beta(a, b) lies above the coin; never more than it, also where that underflows.

    There the first factor of the hypergeometric series is taken (DLMF 8.17.8), whose further terms are at least those
    of a geometric series in ``1 - coin``. Less evidence than there is keeps an e-value valid; more would not.
    """
    mass = betaincc(a, b, coin)
    least = a * math.log(coin) + b * math.log1p(-coin) - np.log(b) - betaln(a, b) - math.log(coin)
    return np.asarray(np.where(mass > _UNDERFLOW, np.log(np.maximum(mass, _UNDERFLOW)), least))
