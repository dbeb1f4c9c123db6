"""The rank test of two arms, where raw values exist: robust against outliers, exact where arms are small.

It asks whether values of one arm tend to be larger. *Superiority* is the chance that a treated value exceeds a control
value, ties counted half; the *shift* is the Hodges-Lehmann estimate, the median of all differences between the arms.
The interval of the shift holds the shifts that the test does not reject; it supposes that the arms differ by a shift
only, and counts as if no values were tied where it is exact.

Exact: all ways to deal the ranks to the arms, ties as they are, counted by the shift algorithm. Else the normal
approximation with correction for ties and continuity, good from about eight units per arm.

Sources: Mann, Whitney, Annals of Mathematical Statistics 18, 1947; Streitberg, Röhmel, "Exact distributions for
permutation and rank tests", Statistical Software Newsletter 12, 1986; Hodges, Lehmann, Annals of Mathematical
Statistics 34, 1963; Hollander, Wolfe, Chicken, "Nonparametric Statistical Methods", 2014, 4.1 to 4.3 (interval).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import Alternative, require_confidence

Floats = NDArray[np.float64]

_MOST_EXACT = 60
_FEW_DIFFERENCES = 20_000


@dataclass(frozen=True, slots=True)
class RankEffect:
    """Treatment against control, by ranks.

    Args:
        statistic: Mann and Whitney's U of the treatment: pairs in which it is larger, ties half.
        superiority: U over the number of pairs, 0 to 1; one half where neither tends to be larger.
        shift: Hodges-Lehmann estimate, in the metric's unit.
        low: lower end of the interval of the shift; infinite where the arms are too small for the level.
        high: upper end.
        p_value: of neither tending to be larger.
        level: confidence of the interval.
        alternative: what was looked for.
        exact: whether all deals of the ranks were counted.
    """

    statistic: float
    superiority: float
    shift: float
    low: float
    high: float
    p_value: float
    level: float
    alternative: Alternative
    exact: bool


def mann_whitney(
    control: ArrayLike,
    treatment: ArrayLike,
    level: float = 0.95,
    alternative: Alternative = Alternative.TWO_SIDED,
    exact: bool | None = None,
) -> RankEffect:
    """The test, with superiority and shift.

    >>> found = mann_whitney([17, 16, 20, 15], [19, 22, 16, 29, 24])
    >>> found.statistic, found.shift, round(found.p_value, 4), found.exact
    (16.5, 4.5, 0.127, True)

    Args:
        control: values, shape ``(n,)``.
        treatment: values, shape ``(m,)``.
        level: confidence of the interval.
        alternative: what is looked for.
        exact: whether to count all deals; None does so up to sixty values.

    Raises:
        InvalidInput: an arm is empty, or a value is not finite.
    """
    require_confidence(level)
    base, other = _values(control, "control"), _values(treatment, "treatment")
    n, m = len(base), len(other)
    exactly = n + m <= _MOST_EXACT if exact is None else exact
    doubled, ties = _doubled_ranks(np.concatenate([base, other]))
    # U from the doubled rank sum of the treatment; all in halves, hence whole numbers until the end
    statistic = (int(doubled[n:].sum()) - m * (m + 1)) / 2
    if exactly:
        p_value = _exact_p_value(_exact_chances(doubled, m), statistic, alternative)
        inside = _exact_rank(n, m, level, alternative)
    else:
        error = math.sqrt(n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1))))
        p_value = _normal_p_value(statistic - n * m / 2, error, alternative)
        inside = _normal_rank(n * m, error, level, alternative)
    base.sort()
    other.sort()
    pairs = n * m
    middle = (_nth_difference(base, other, (pairs - 1) // 2) + _nth_difference(base, other, pairs // 2)) / 2
    lower = alternative is not Alternative.LESS and inside >= 0
    upper = alternative is not Alternative.GREATER and inside >= 0
    return RankEffect(
        statistic=statistic,
        superiority=statistic / pairs,
        shift=middle,
        low=_nth_difference(base, other, inside) if lower else -math.inf,
        high=_nth_difference(base, other, pairs - 1 - inside) if upper else math.inf,
        p_value=p_value,
        level=level,
        alternative=alternative,
        exact=exactly,
    )


def _values(values: ArrayLike, what: str) -> Floats:
    given = np.array(values, dtype=np.float64)
    if given.ndim != 1 or not len(given) or not np.isfinite(given).all():
        raise InvalidInput(
            f"values of the {what} are not a list of finite numbers",
            what=what,
            requested=f"shape {given.shape}",
            allowed="at least one finite number, in one dimension",
            remedy="leave out observations that were not measured",
        )
    return given


def _doubled_ranks(values: Floats) -> tuple[NDArray[np.int64], float]:
    """Twice the mean rank of each value, and the sum of ``t^3 - t`` over groups of t equal ones."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    doubled = 2 * last - counts + 1
    sizes = counts.astype(np.float64)
    return doubled[places].astype(np.int64), float((sizes**3 - sizes).sum())


def _exact_chances(doubled: NDArray[np.int64], m: int) -> Floats:
    """``P(2 U = u)`` for every u, given that every choice of m of the ranks is as likely."""
    total = int(doubled.sum())
    # ways[k, s]: choices of k ranks with doubled sum s, halved at every rank, so that nothing overflows
    ways = np.zeros((m + 1, total + 1))
    ways[0, 0] = 1.0
    for rank in doubled:
        ways[1:, rank:] += ways[:-1, : total + 1 - rank].copy()
        ways /= 2.0
    row = ways[m][m * (m + 1) :]
    return np.asarray(row / row.sum())


def _exact_p_value(chances: Floats, statistic: float, alternative: Alternative) -> float:
    at = round(2 * statistic)
    below, above = float(chances[: at + 1].sum()), float(chances[at:].sum())
    if alternative is Alternative.GREATER:
        return min(1.0, above)
    if alternative is Alternative.LESS:
        return min(1.0, below)
    return min(1.0, 2 * min(below, above))


def _exact_rank(n: int, m: int, level: float, alternative: Alternative) -> int:
    """How many differences lie outside each end of the interval; -1 where there are too few for the level."""
    tail = (1 - level) / (2 if alternative is Alternative.TWO_SIDED else 1)
    cumulative = np.cumsum(_exact_chances(2 * np.arange(1, n + m + 1), m)[::2])
    # the largest c with P(U <= c) < tail: c differences on the wrong side of zero are still rejected
    return int(np.searchsorted(cumulative, tail, side="left")) - 1


def _normal_rank(pairs: int, error: float, level: float, alternative: Alternative) -> int:
    z = float(ndtri(0.5 + level / 2 if alternative is Alternative.TWO_SIDED else level))
    return math.ceil(pairs / 2 - 0.5 - z * error) - 1


def _normal_p_value(excess: float, error: float, alternative: Alternative) -> float:
    if error == 0:
        return 1.0
    if alternative is Alternative.TWO_SIDED:
        return min(1.0, 2 * float(ndtr(-(abs(excess) - 0.5) / error)))
    return float(ndtr(-((excess if alternative is Alternative.GREATER else -excess) - 0.5) / error))


def _nth_difference(base: Floats, other: Floats, place: int) -> float:
    """The difference ``other - base`` that ``place`` others precede, of sorted arms, without listing all of them.

    A bracket is narrowed by interpolation, counting by binary search, until few differences are left in it; those are
    listed.
    """
    if len(base) * len(other) <= 250_000:
        return float(np.partition((other[:, None] - base[None, :]).ravel(), place)[place])
    low, high = math.nextafter(float(other[0] - base[-1]), -math.inf), float(other[-1] - base[0])
    # of each control value how many treated ones differ by no more than the ends of the bracket
    below, upto = np.zeros(len(base), np.intp), np.full(len(base), len(other), np.intp)
    for step in range(200):
        before, inside = int(below.sum()), int((upto - below).sum())
        if inside <= _FEW_DIFFERENCES:
            starts, sizes = np.repeat(below, upto - below), upto - below
            within = np.arange(inside) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            return float(np.partition(other[starts + within] - np.repeat(base, sizes), place - before)[place - before])
        # every third step halves, so that a lopsided bracket shrinks too
        share = 0.5 if step % 3 == 2 else (place - before + 0.5) / inside
        middle = low + (high - low) * share
        if not low < middle < high:
            break
        counted = np.searchsorted(other, base + middle, side="right")
        if int(counted.sum()) > place:
            high, upto = middle, counted
        else:
            low, below = middle, counted
    return high
