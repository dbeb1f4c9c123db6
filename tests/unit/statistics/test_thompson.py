from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.errors import InvalidInput
from bailiwick.statistics.thompson import allocate, default_floor, top_two, whole_weights, with_floor

probabilities = st.lists(st.floats(0, 1), min_size=2, max_size=12).filter(lambda drawn: sum(drawn) > 0.01)


@given(probabilities, st.floats(0, 1))
def test_allocate__any_probabilities__sums_and_keeps_the_floor_and_the_ranks(drawn: list[float], part: float) -> None:
    shares = [each / sum(drawn) for each in drawn]
    floor = part / len(shares) * 0.99
    weights = allocate(shares, floor)
    assert sum(weights) == 10_000
    assert min(weights) >= math.floor(floor * 10_000)
    order = np.argsort(shares, kind="stable")
    ranked = [weights[position] for position in order]
    assert all(later >= earlier - 1 for earlier, later in pairwise(ranked))
    assert allocate(shares, floor) == weights


@given(probabilities)
def test_whole_weights__any_shares__within_one_slot_of_the_exact_share(drawn: list[float]) -> None:
    shares = [each / sum(drawn) for each in drawn]
    for weight, share in zip(whole_weights(shares), shares, strict=True):
        assert abs(weight - 10_000 * share) < 1 + 1e-6


def test_allocate__certain_winner__the_others_keep_the_floor() -> None:
    assert allocate([0.0, 1.0, 0.0]) == (1000, 8000, 1000)
    assert allocate([1.0] + [0.0] * 9) == (5500, *[500] * 9)
    assert default_floor(10) == 0.05


def test_top_two__drawn_as_described__same_frequencies() -> None:
    generator = np.random.default_rng(8)
    p = np.array([0.6, 0.3, 0.1])
    first = generator.choice(3, 200_000, p=p)
    played = first.copy()
    rival = generator.random(len(first)) < 0.5
    for k in range(3):
        mine = rival & (first == k)
        played[mine] = generator.choice(np.delete(np.arange(3), k), mine.sum(), p=np.delete(p, k) / (1 - p[k]))
    assert top_two(p) == pytest.approx(np.bincount(played) / len(played), abs=0.005)
    assert top_two(p, leader=1.0) == pytest.approx(p)
    assert top_two([1.0, 0.0, 0.0]) == pytest.approx([0.5, 0.25, 0.25], abs=1e-6)


@pytest.mark.parametrize("floor", [-0.1, 0.6, math.nan])
def test_floor__that_cannot_be_kept__refused(floor: float) -> None:
    with pytest.raises(InvalidInput, match="floor"):
        with_floor([0.5, 0.5], floor)


@pytest.mark.parametrize("shares", [[0.5, 0.6], [1.5, -0.5], [math.nan, 1.0]])
def test_shares__that_are_none__refused(shares: list[float]) -> None:
    with pytest.raises(InvalidInput, match="sum to 1"):
        allocate(shares)
    with pytest.raises(InvalidInput, match="two arms"):
        allocate([1.0])
    with pytest.raises(InvalidInput, match="leader"):
        top_two([0.5, 0.5], leader=0.0)
