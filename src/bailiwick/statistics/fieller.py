"""The interval of a relative lift that belongs to the very test of the difference.

A lift ``theta`` is in the interval when the test does not reject ``treatment - control = theta * |control|``. At
``theta = 0`` that is the test of no difference, so the interval of the lift leaves out zero exactly when that of the
difference does; the delta method's interval gives no such promise, and fails where the control is small.

Source: Fieller, "Some problems in interval estimation", JRSS B 16(2), 1954, pages 175 to 185.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def fieller_interval(
    difference: float, control: float, difference_variance: float, control_variance: float, covariance: float, t: float
) -> tuple[float, float] | None:
    """All lifts ``theta`` with ``|difference - theta |control|| <= t * its standard error``.

    >>> low, high = fieller_interval(1.0, 10.0, 0.08, 0.04, -0.04, 1.959964)
    >>> round(low, 5), round(high, 5)
    (0.04335, 0.16004)
    >>> fieller_interval(1.0, 0.1, 0.08, 0.04, -0.04, 1.959964) is None  # the control may well be zero
    True

    Args:
        difference: treatment less control.
        control: the control's estimate, of either sign.
        difference_variance: squared standard error of the difference.
        control_variance: squared standard error of the control.
        covariance: of the estimates of difference and control; minus the control's variance where the arms share no
            unit and no adjustment.
        t: quantile of the test, positive; the one-sided one for a one-sided bound.

    Returns:
        Lower and upper end; None where the control does not differ from zero at that quantile, and the set of lifts is
        therefore not an interval of finite length.
    """
    size = abs(control)
    if control < 0:
        covariance = -covariance
    square = t * t
    curvature = size * size - square * control_variance
    if not curvature > 0:
        return None
    slope = difference * size - square * covariance
    rest = difference * difference - square * difference_variance
    root = math.sqrt(max(0.0, slope * slope - curvature * rest))
    # the larger root in size first, the other by the product of roots: no cancellation, and the sign of the end nearer
    # to zero is that of rest, hence that of the test of the difference
    far = slope + math.copysign(root, slope)
    if far == 0.0:
        return 0.0, 0.0
    one, two = far / curvature, rest / far
    return (one, two) if one < two else (two, one)


def fieller_intervals(
    difference: Floats, control: Floats, difference_variance: Floats, control_variance: Floats, t: Floats
) -> tuple[Floats, Floats]:
    """`fieller_interval` of many independent pairs of arms at once, shape ``(pairs,)``; NaN where there is none."""
    size = np.abs(control)
    covariance = np.where(control < 0, control_variance, -control_variance)
    square = t * t
    curvature = size * size - square * control_variance
    slope = difference * size - square * covariance
    rest = difference * difference - square * difference_variance
    root = np.sqrt(np.maximum(0.0, slope * slope - curvature * rest))
    far = slope + np.copysign(root, slope)
    with np.errstate(divide="ignore", invalid="ignore"):
        one = np.where(curvature > 0, far / curvature, np.nan)
        two = np.where(curvature > 0, np.where(far == 0, 0.0, rest / far), np.nan)
    return np.minimum(one, two), np.maximum(one, two)
