from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from bailiwick.errors import InvalidInput
from bailiwick.statistics.closed_testing import closed_mean, e_benjamini_hochberg, e_holm


@pytest.mark.parametrize("hypotheses", [1, 2, 3, 5, 8])
def test_closed_mean__all_subsets__equal_the_definition(hypotheses: int) -> None:
    generator = np.random.default_rng(hypotheses)
    for _ in range(20):
        values = np.exp(generator.normal(0, 3, hypotheses))
        expected = [
            min(
                float(np.mean(values[list(group)]))
                for size in range(1, hypotheses + 1)
                for group in combinations(range(hypotheses), size)
                if k in group
            )
            for k in range(hypotheses)
        ]
        assert closed_mean(values) == pytest.approx(expected)


def test_closed_mean__against_holm_and_bonferroni__never_less() -> None:
    values = np.exp(np.random.default_rng(1).normal(1, 3, (500, 6)))
    closed, holm = closed_mean(values), e_holm(values)
    assert (closed >= holm * (1 - 1e-12)).all() and (holm >= values / 6 * (1 - 1e-12)).all()


def test_e_values__ties_and_zeros__kept_apart_from_order() -> None:
    assert closed_mean([0.0, 40.0, 40.0]).tolist() == pytest.approx([0.0, 20.0, 20.0])
    assert e_benjamini_hochberg([1.0, 1.0]).tolist() == [False, False]
    assert e_benjamini_hochberg([0.5, 400.0, 1.0]).tolist() == [False, True, False]


def test_e_benjamini_hochberg__no_effects__mean_false_share_within_alpha() -> None:
    generator = np.random.default_rng(2)
    score = generator.normal(size=(20_000, 5))
    e_values = np.exp(2 * score - 2)
    assert np.mean([e_benjamini_hochberg(row).any() for row in e_values[:5_000]]) <= 0.05


@pytest.mark.parametrize("values", [[-1.0, 2.0], [float("nan")], 3.0])
def test_closed_mean__no_e_values__refused(values: object) -> None:
    with pytest.raises(InvalidInput):
        closed_mean(values)  # type: ignore[arg-type]
