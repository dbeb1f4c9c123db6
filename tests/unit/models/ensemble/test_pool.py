from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bailiwick.models.ensemble.pool import log_pool, pool, present_weights
from bailiwick.models.ensemble.spec import LABELS, Strategy

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(2, 5))


@st.composite
def said(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(SHAPES)
    raw = draw(arrays.arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0])))
    raw = raw + 1e-3
    weights = draw(arrays.arrays(np.float64, (shape[0],), elements=st.sampled_from([0.0, 0.5, 1.0, 2.0])))
    weights[0] = 1.0
    return raw / raw.sum(axis=2, keepdims=True), weights


@pytest.mark.parametrize("strategy", sorted(LABELS))
@settings(max_examples=60, deadline=None)
@given(case=said(), order=st.randoms(use_true_random=False))
def test_pool__members_in_another_order__the_same_bits(strategy: Strategy, case: tuple, order) -> None:  # type: ignore[no-untyped-def, type-arg]
    probabilities, weights = case
    places = list(range(len(weights)))
    order.shuffle(places)
    first, second = pool(strategy, probabilities, weights), pool(strategy, probabilities[places], weights[places])
    assert (first == second).all()
    assert np.allclose(first.sum(axis=1), 1)
    assert (first >= 0).all()


@pytest.mark.parametrize("strategy", sorted(LABELS))
def test_pool__everybody_agrees__so_does_the_pool(strategy: Strategy) -> None:
    same = np.tile([[0.1, 0.7, 0.2]], (4, 1, 1))
    assert pool(strategy, same, np.ones(4)).argmax() == 1


def test_majority__two_unsure_against_one_sure__the_majority_wins_and_the_vote_does_not() -> None:
    probabilities = np.array([[[0.51, 0.49]], [[0.51, 0.49]], [[0.01, 0.99]]])
    assert pool(Strategy.MAJORITY, probabilities, np.ones(3)).argmax() == 0
    assert pool(Strategy.VOTE, probabilities, np.array([0.9, 0.9, 1.0])).argmax() == 1


def test_majority__a_tie__goes_to_the_more_probable_label() -> None:
    probabilities = np.array([[[0.6, 0.4, 0.0]], [[0.1, 0.9, 0.0]]])
    assert pool(Strategy.MAJORITY, probabilities, np.ones(2)).argmax() == 1


def test_pool__a_member_without_weight_or_abstaining__changes_nothing() -> None:
    two = np.array([[[0.6, 0.4]], [[0.7, 0.3]]])
    for strategy in LABELS:
        alone = pool(strategy, two, np.ones(2))
        muted = pool(strategy, np.concatenate([two, [[[0.0, 1.0]]]]), np.array([1.0, 1.0, 0.0]))
        silent = pool(strategy, np.concatenate([two, np.zeros((1, 1, 2))]), np.ones(3))
        assert np.allclose(alone, muted, atol=1e-6), strategy
        assert np.allclose(alone, silent, atol=1e-6), strategy


def test_log_pool__weights_that_sum_to_one_over_equal_members__keeps_their_confidence() -> None:
    same = np.tile([[0.2, 0.8]], (3, 1, 1))
    assert np.allclose(log_pool(same, np.full(3, 1 / 3)), [[0.2, 0.8]])


def test_present_weights__members_missing__the_rest_count_as_much_as_all() -> None:
    weights = np.array([0.2, 0.3, 0.5])
    kept = present_weights(weights, np.array([True, False, True]))
    assert kept.sum() == pytest.approx(1.0)
    assert present_weights(np.array([0.0, 1.0]), np.array([True, False])).tolist() == [1.0]
