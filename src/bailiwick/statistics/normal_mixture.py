"""The normal mixture: how large a normal process must grow before it can be believed, whenever one looks.

Let ``s`` be a process that behaves like Brownian motion at time ``v`` (a score, and its variance). Averaging the
likelihood ratio against no drift over normally distributed drifts gives a process that is never negative, starts at 1
and has no upward trend, an *e-process*: by Ville's inequality it ever exceeds ``1 / alpha`` with probability at most
``alpha``. Its logarithm tells how strong the evidence is; the bound tells where the process must be for it to exceed.

Sources: Robbins, "Statistical methods related to the law of the iterated logarithm", Annals of Mathematical Statistics
41(5), 1970; Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
Annals of Statistics 49(2), 2021, arXiv 1810.08240, propositions 5 and 6. All functions work on arrays, elementwise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr

Floats = NDArray[np.float64]

_STEPS = 6


def mixture_precision(planned: float, alpha: float, *, one_sided: bool = False) -> float:
    """The precision ``rho`` that makes the bound tightest near the variance ``planned``, in units of the variance.

    >>> round(mixture_precision(100, 0.05), 5)
    12.60056
    """
    log_threshold = math.log(1 / (2 * alpha if one_sided else alpha))
    return planned / (2 * log_threshold + math.log1p(2 * log_threshold))


def log_e_value(s: ArrayLike, v: ArrayLike, rho: ArrayLike) -> Floats:
    """Logarithm of the e-process against a process without drift, looking for drift of either sign.

    >>> round(float(log_e_value(10, 100, mixture_precision(100, 0.05))), 7)
    -0.6510052
    """
    score, variance, precision = (np.asarray(value, dtype=np.float64) for value in (s, v, rho))
    whole = variance + precision
    return np.asarray(0.5 * np.log(precision / whole) + score * score / (2 * whole))


def log_e_value_above(s: ArrayLike, v: ArrayLike, rho: ArrayLike) -> Floats:
    """Logarithm of the e-process against a process without upward drift, looking for upward drift.

    >>> round(float(log_e_value_above(10, 100, mixture_precision(100, 0.05, one_sided=True))), 8)
    -0.06502391
    """
    score, variance, precision = (np.asarray(value, dtype=np.float64) for value in (s, v, rho))
    whole = variance + precision
    return np.asarray(
        0.5 * np.log(4 * precision / whole) + score * score / (2 * whole) + log_ndtr(score / np.sqrt(whole))
    )


def bound(v: ArrayLike, alpha: float, rho: ArrayLike) -> Floats:
    """Where ``|s|`` makes `log_e_value` equal ``log(1 / alpha)``.

    >>> round(float(bound(100, 0.05, mixture_precision(100, 0.05))), 5)
    30.35209
    """
    variance, precision = np.asarray(v, dtype=np.float64), np.asarray(rho, dtype=np.float64)
    return np.asarray(np.sqrt((variance + precision) * (np.log1p(variance / precision) - 2 * math.log(alpha))))


def bound_above(v: ArrayLike, alpha: float, rho: ArrayLike) -> Floats:
    """Where ``s`` makes `log_e_value_above` equal ``log(1 / alpha)``, by Newton's method.

    >>> round(float(bound_above(100, 0.05, mixture_precision(100, 0.05, one_sided=True))), 5)
    27.66071
    """
    variance, precision = np.asarray(v, dtype=np.float64), np.asarray(rho, dtype=np.float64)
    whole = variance + precision
    # x^2 / 2 + log Phi(x) = threshold: increasing, and nearly a parabola where it matters, so that Newton is quick
    threshold = 0.5 * np.log(whole / (4 * precision)) - math.log(alpha)
    x = np.sqrt(2 * np.maximum(threshold, 0.0)) + 1.0
    for _ in range(_STEPS):
        log_below = log_ndtr(x)
        slope = x + np.exp(-0.5 * x * x - log_below) / math.sqrt(2 * math.pi)
        x = x - (0.5 * x * x + log_below - threshold) / slope
    return np.asarray(x * np.sqrt(whole))
