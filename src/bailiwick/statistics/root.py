"""Where a function of one number crosses zero."""

from __future__ import annotations

from collections.abc import Callable


def find_root(function: Callable[[float], float], low: float, high: float, relative: float = 1e-14) -> float:
    """The zero of a continuous function between two ends at which it differs in sign.

    Chandrupatla's method: inverse quadratic interpolation where that is safe, else bisection; about ten calls.
    Source: Chandrupatla, "A new hybrid quadratic/bisection algorithm for finding the zero of a nonlinear function
    without using derivatives", Advances in Engineering Software 28, 1997.

    >>> round(find_root(lambda x: x * x - 2, 0.0, 2.0), 12)
    1.414213562373

    Args:
        function: continuous between the ends.
        low: one end.
        high: the other.
        relative: width, relative to the root, at which to stop.

    Returns:
        The root; the end with the smaller value where the ends do not differ in sign.
    """
    b, a = low, high
    value_b, value_a = function(b), function(a)
    if value_a * value_b > 0:
        return a if abs(value_a) < abs(value_b) else b
    c, value_c, step = a, value_a, 0.5
    best = a
    for _ in range(200):
        at = a + step * (b - a)
        value = function(at)
        if (value > 0) == (value_a > 0):
            c, value_c = a, value_a
        else:
            c, b, value_c, value_b = b, a, value_b, value_a
        a, value_a = at, value
        best, smallest = (b, abs(value_b)) if abs(value_b) < abs(value_a) else (a, abs(value_a))
        tolerance = (relative * abs(best) + 1e-300) / max(abs(b - a), 1e-300)
        if tolerance > 0.5 or smallest == 0.0:
            break
        step = 0.5
        # a quadratic through the three points, where it is monotone between them
        place, height = (a - b) / (c - b), (value_a - value_b) / (value_c - value_b)
        if 1 - (1 - place) ** 0.5 < height < place**0.5:
            step = value_a / (value_b - value_a) * value_c / (value_b - value_c) + (c - a) / (b - a) * value_a / (
                value_c - value_a
            ) * value_b / (value_c - value_b)
        step = min(max(step, tolerance), 1 - tolerance)
    return best
