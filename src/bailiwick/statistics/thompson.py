"""Thompson sampling in batches: traffic follows the probability to be best, and never leaves an arm without any.

Each batch is allocated with fixed, known probabilities, which are what is logged as the propensity of each request:
estimates made from adaptively collected data (`bailiwick.statistics.doubly_robust`) need them, and need them not to be
small. The floor is additive, ``floor + (1 - arms * floor) * share``, so that it changes no arm's rank. Here the shares
are computed by quadrature, not drawn: the same posteriors always give the same weights.

Sources: Thompson, "On the likelihood that one unknown probability exceeds another", Biometrika 1933; Russo, "Simple
Bayesian algorithms for best-arm identification", Operations Research 2020 (top-two sampling); Hadad, Hirshberg, Zhan,
Wager, Athey, "Confidence intervals for policy evaluation in adaptive experiments", PNAS 2021 (why a floor).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bailiwick.errors import InvalidInput

Floats = NDArray[np.float64]

SLOTS = 10_000
"""Slots of a traffic plan; a weight of one is a basis point."""
DEFAULT_FLOOR = 0.1
"""Smallest share of an arm while its effect is to be estimated."""


def default_floor(arms: int) -> float:
    """`DEFAULT_FLOOR`, or half of an equal share where there are more than five arms.

    >>> default_floor(2), default_floor(10)
    (0.1, 0.05)
    """
    return min(DEFAULT_FLOOR, 0.5 / arms)


def with_floor(shares: ArrayLike, floor: float) -> Floats:
    """``floor + (1 - arms * floor) * share``, for shares on the last axis that sum to 1.

    >>> with_floor([0.9, 0.1, 0.0], 0.1).round(3).tolist()
    [0.73, 0.17, 0.1]

    Raises:
        InvalidInput: a floor below zero, or so high that it leaves nothing to allocate; shares that are none.
    """
    share = np.asarray(shares, dtype=np.float64)
    arms = share.shape[-1]
    if not 0 <= floor * arms <= 1:
        raise InvalidInput(
            f"a floor of {floor!r} for each of {arms} arms cannot be kept",
            what="floor",
            requested=floor,
            allowed=f"0 to {1 / arms:g}",
            remedy="lower the floor or take arms out",
        )
    if not (np.isfinite(share).all() and (share >= 0).all() and np.allclose(share.sum(axis=-1), 1.0, atol=1e-6)):
        raise InvalidInput("shares must not be negative and must sum to 1", what="shares", requested=share.tolist())
    return np.asarray(floor + (1 - arms * floor) * share)


def top_two(probabilities: ArrayLike, leader: float = 0.5) -> Floats:
    """Shares that find the best arm sooner, at the cost of sending more traffic to its strongest rival.

    A batch of top-two Thompson sampling in expectation: with probability ``leader`` the arm drawn as best is played,
    otherwise the first other arm drawn as best after it.

    >>> top_two([0.8, 0.15, 0.05]).round(3).tolist()
    [0.492, 0.379, 0.129]

    Args:
        probabilities: to be best, on the last axis.
        leader: share of the first arm drawn, above 0 up to 1; 1 is plain Thompson sampling.

    Raises:
        InvalidInput: a leader's share outside that.
    """
    if not 0 < leader <= 1:
        raise InvalidInput(f"leader {leader!r} is not a share", what="leader", requested=leader, allowed="0 to 1")
    p = np.asarray(probabilities, dtype=np.float64)
    # p_j / (1 - p_j) of the arm that wins alone is unbounded; its rivals then share the rest in equal parts
    p = np.clip(p, 1e-9, None) / np.clip(p, 1e-9, None).sum(axis=-1, keepdims=True)
    odds = p / (1 - p)
    return np.asarray(p * (leader + (1 - leader) * (odds.sum(axis=-1, keepdims=True) - odds)))


def whole_weights(shares: ArrayLike, floor: float = 0.0, slots: int = SLOTS) -> tuple[int, ...]:
    """Integer weights that sum to ``slots``, none below the floor, by the method of largest remainders.

    >>> whole_weights([1 / 3, 1 / 3, 1 / 3])
    (3334, 3333, 3333)
    >>> whole_weights(with_floor([1.0, 0.0], 0.1), floor=0.1)
    (9000, 1000)

    Args:
        shares: of one allocation, after the floor, summing to 1.
        floor: what `with_floor` was given.
        slots: what the weights shall sum to.

    Raises:
        InvalidInput: more arms than slots at this floor, or shares that are none.
    """
    share = with_floor(shares, 0.0)
    least = math.ceil(floor * slots - 1e-9)
    spare = slots - least * len(share)
    if spare < 0:
        raise InvalidInput(f"{len(share)} arms of at least {least} slots do not fit", what="floor", requested=floor)
    above = np.maximum(share * slots - least, 0.0)
    exact = above * (spare / above.sum()) if above.sum() > 0 else np.full(len(share), spare / len(share))
    whole = np.floor(exact + 1e-9).astype(np.int64)
    first = np.argsort(-(exact - whole), kind="stable")[: spare - int(whole.sum())]
    whole[first] += 1
    return tuple(int(weight) + least for weight in whole)


def allocate(
    probabilities: ArrayLike, floor: float | None = None, *, leader: float = 1.0, slots: int = SLOTS
) -> tuple[int, ...]:
    """The weights of the next batch, from probabilities to be best.

    >>> allocate([0.2, 0.7, 0.1])
    (2400, 5900, 1700)

    Args:
        probabilities: to be best, such as `rank_arms` or `rank_shares` tell; they sum to 1.
        floor: smallest share of an arm; `default_floor` where left out.
        leader: 1 for Thompson sampling, 0.5 for `top_two`.
        slots: of the traffic plan.

    Raises:
        InvalidInput: as `with_floor` and `top_two` say.
    """
    share = np.asarray(probabilities, dtype=np.float64)
    if share.ndim != 1 or len(share) < 2:
        raise InvalidInput("an allocation needs two arms or more", what="probabilities", requested=share.shape)
    kept = default_floor(len(share)) if floor is None else floor
    chosen = share if leader == 1.0 else top_two(share, leader)
    return whole_weights(with_floor(chosen, kept), kept, slots)
