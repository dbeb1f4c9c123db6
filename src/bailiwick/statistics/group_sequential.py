"""A fixed number of looks and a known end: group-sequential tests, the most powerful way to look more than once.

The error is spent over the looks: a spending function says how much of ``alpha`` may be gone when a share of the
planned information is in, and each look's boundary uses up what is due (Lan and DeMets). The O'Brien-Fleming-like
function spends almost nothing early and costs 1 to 3 % of the power of a single look; the Pocock-like one spends
evenly and stops earlier. Looks need not be equally spaced nor known beforehand, only the total; looking more often
than the boundaries were made for, or going on past the end, voids the guarantee: then use
`bailiwick.statistics.confidence_sequence`.

The joint distribution of the z values is that of Brownian motion at the information times; its density under the
boundary so far is carried from look to look by numerical integration (Simpson's rule on a grid of a fiftieth standard
deviation).

Sources: Lan and DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70(3), 1983; Armitage,
McPherson, Rowe, "Repeated significance tests on accumulating data", JRSS A 132(2), 1969; Jennison and Turnbull, "Group
Sequential Methods with Applications to Clinical Trials", 2000, chapters 7 and 19. Tables: R package ldbounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import require_level

Floats = NDArray[np.float64]

_FAR = 8.0
_STEP = 0.02
# Two looks nearer to each other tell the same, and a grid for the little that lies between them would be huge.
_LEAST_GAP = 5e-4


class Spending(StrEnum):
    """How the error is spent: late (O'Brien-Fleming-like) or evenly (Pocock-like)."""

    OBRIEN_FLEMING = "obrien_fleming"
    POCOCK = "pocock"


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Where to stop.

    Args:
        times: share of the planned information at each look.
        z: reject at a look when the absolute z value is at least this (two-sided), or the z value (one-sided).
        spent: error spent up to and including each look.
    """

    times: tuple[float, ...]
    z: tuple[float, ...]
    spent: tuple[float, ...]


def spent(time: float, alpha: float, spending: Spending = Spending.OBRIEN_FLEMING) -> float:
    """One-sided error that may be gone at a share of the planned information.

    >>> round(spent(0.5, 0.025), 6), round(spent(0.5, 0.025, Spending.POCOCK), 6)
    (0.001525, 0.015503)
    """
    if not time > 0:
        return 0.0
    if time >= 1:
        return alpha
    if spending is Spending.POCOCK:
        return alpha * math.log1p((math.e - 1) * time)
    return 2 * float(ndtr(float(ndtri(alpha / 2)) / math.sqrt(time)))


def boundaries(
    times: Sequence[float],
    alpha: float = 0.05,
    spending: Spending = Spending.OBRIEN_FLEMING,
    *,
    two_sided: bool = True,
) -> Boundaries:
    """The boundary of every look.

    >>> [round(z, 3) for z in boundaries([0.2, 0.4, 0.6, 0.8, 1.0]).z]
    [4.877, 3.357, 2.68, 2.29, 2.031]

    Args:
        times: information at each look as a share of the plan, rising, the last at most 1. Only looks that happened
            or will happen; adding later ones does not change the earlier boundaries.
        alpha: error over all looks together; two-sided tests spend half on each side.
        spending: how.
        two_sided: whether both directions are looked for.

    Raises:
        InvalidInput: the times do not rise from above 0 to at most 1, or alpha is not between 0 and 1.
    """
    require_level(alpha, "alpha")
    _require_times(times)
    sides = 2 if two_sided else 1
    bounds: list[float] = []
    gone: list[float] = []
    state: _Density | None = None
    used = 0.0
    for time in times:
        due = sides * spent(time, alpha / sides, spending)
        bound = _bound(state, time, max(due - used, 0.0), two_sided)
        used += _crossing(state, time, bound, two_sided)
        state = _advance(state, time, bound, two_sided)
        bounds.append(bound)
        gone.append(min(due, alpha))
    return Boundaries(tuple(times), tuple(bounds), tuple(gone))


def crossing_probability(
    times: Sequence[float], z: Sequence[float], drift: float = 0.0, *, two_sided: bool = True
) -> float:
    """Chance that some look reaches its boundary.

    >>> round(crossing_probability([0.2, 0.4, 0.6, 0.8, 1.0], [2.413] * 5), 4)  # Pocock's constant for 5 looks
    0.05

    Args:
        times: information at each look as a share of the plan.
        z: boundary at each look.
        drift: expected z value at the end: 0 for the error, ``effect / standard error at the end`` for the power.
        two_sided: whether falling below ``-z`` stops too.

    Raises:
        InvalidInput: as for `boundaries`.
    """
    _require_times(times)
    state: _Density | None = None
    total = 0.0
    for time, bound in zip(times, z, strict=True):
        total += _crossing(state, time, bound, two_sided, drift)
        state = _advance(state, time, bound, two_sided, drift)
    return total


@dataclass(frozen=True, slots=True)
class _Density:
    """Of the score (z times the root of the time) where no look has stopped, on a grid; weights include Simpson's."""

    time: float
    score: Floats
    weighted: Floats


def _crossing(state: _Density | None, time: float, bound: float, two_sided: bool, drift: float = 0.0) -> float:
    """Chance to reach the boundary at this look and not before."""
    edge = bound * math.sqrt(time)
    if state is None:
        mean, deviation, weights = drift * time, math.sqrt(time), np.ones(1)
        centre = np.array([mean])
    else:
        deviation, weights = math.sqrt(time - state.time), state.weighted
        centre = state.score + drift * (time - state.time)
    beyond = ndtr((centre - edge) / deviation)
    if two_sided:
        beyond = beyond + ndtr((-edge - centre) / deviation)
    return float(weights @ beyond)


def _advance(state: _Density | None, time: float, bound: float, two_sided: bool, drift: float = 0.0) -> _Density:
    """The density after this look, of those who go on."""
    root = math.sqrt(time)
    high = min(bound, _FAR + max(drift, 0.0)) * root
    low = -high if two_sided else -(_FAR + max(-drift, 0.0)) * root
    deviation = root if state is None else math.sqrt(time - state.time)
    intervals = 2 * max(50, math.ceil((high - low) / deviation / _STEP / 2))
    score = np.linspace(low, high, intervals + 1)
    simpson = np.full(intervals + 1, 2.0)
    simpson[1::2] = 4.0
    simpson[0] = simpson[-1] = 1.0
    simpson *= (high - low) / intervals / 3
    if state is None:
        centre, weights = np.array([drift * time]), np.ones(1)
    else:
        centre, weights = state.score + drift * (time - state.time), state.weighted
    steps = (score[:, None] - centre[None, :]) / deviation
    density = np.exp(-0.5 * steps * steps) @ weights / (deviation * math.sqrt(2 * math.pi))
    return _Density(time, score, density * simpson)


def _bound(state: _Density | None, time: float, due: float, two_sided: bool) -> float:
    """The boundary that spends what is due, by bisection; 8, which is never reached, where hardly anything is."""
    if _crossing(state, time, _FAR, two_sided) >= due:
        return _FAR
    low, high = 0.0, _FAR
    for _ in range(45):
        middle = (low + high) / 2
        if _crossing(state, time, middle, two_sided) > due:
            low = middle
        else:
            high = middle
    return high


def _require_times(times: Sequence[float]) -> None:
    rising = all(late - early >= _LEAST_GAP for early, late in pairwise(times))
    if not times or not rising or not (times[0] > 0 and times[-1] <= 1 + 1e-12):
        raise InvalidInput(
            f"information times {tuple(times)!r} do not rise from above 0 to at most 1",
            what="times",
            requested=list(times),
            allowed=f"above 0, each at least {_LEAST_GAP:g} after the one before, the last at most 1",
            remedy="give each look's information as a share of the planned total; past the plan, watch sequentially",
        )
