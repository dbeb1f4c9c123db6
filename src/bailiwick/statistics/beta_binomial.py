"""The beta-binomial mixture: how far successes may stray from a rate before it can be disbelieved, whenever one looks.

Averaging the likelihood ratio of coins around a rate against the rate itself gives a martingale, so that it ever
exceeds ``1 / alpha`` with probability at most ``alpha``, if successes are independent with that rate (or, for the rate
given by a quantile, values lie below it). No central limit theorem is involved: it holds from the first trial.

Source: Howard, Ramdas, McAuliffe, Sekhon, Annals of Statistics 49(2), 2021, arXiv 1810.08240, proposition 7
(two-sided).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, xlog1py, xlogy

from bailiwick.errors import InvalidInput
from bailiwick.statistics.normal_mixture import mixture_precision

Floats = NDArray[np.float64]


def log_e_value(
    successes: ArrayLike, trials: ArrayLike, rate: ArrayLike, planned: float, alpha: float = 0.05
) -> Floats:
    """Logarithm of the e-value against a success rate, elementwise.

    >>> round(float(log_e_value(135, 625, 0.2, 625)), 7)
    -0.6941012

    Args:
        successes: how many of the trials succeeded; need not be whole.
        trials: how many there were.
        rate: under the hypothesis, strictly between 0 and 1.
        planned: number of trials near which the test is most powerful; frozen before the first look.
        alpha: error for which it is.
    """
    yes, n, p = (np.asarray(value, dtype=np.float64) for value in (successes, trials, rate))
    spread = p * (1 - p)
    # the prior's concentration is r / spread, so that its variance matches the normal mixture's near the plan
    r = np.maximum(mixture_precision(planned, alpha) * spread - spread, 1e-3 * spread)
    a, b = r / (1 - p), r / p
    return np.asarray(betaln(a + yes, b + n - yes) - betaln(a, b) - xlogy(yes, p) - xlog1py(n - yes, -p))


def require_planned(planned: float) -> float:
    """The planned number of trials itself, where it is finite and above 0.

    Raises:
        InvalidInput: it is not.
    """
    if not 0 < planned < math.inf:
        raise InvalidInput(
            f"a plan of {planned!r} trials is none",
            what="planned",
            requested=repr(planned),
            allowed="a finite number above 0",
            remedy="give the number of trials near which the test shall be most powerful",
        )
    return planned
