from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import betaln, ndtr
from scipy.stats import beta

from bailiwick.errors import InvalidInput
from bailiwick.statistics.best_of import best_of_betas, best_of_normals


def _miller(a: tuple[int, int], b: tuple[int, int]) -> float:
    """P(B > A), Evan Miller's closed form for whole parameters ("Formulas for Bayesian A/B testing", 2015)."""
    i = np.arange(b[0])
    return float(np.exp(betaln(a[0] + i, b[1] + a[1]) - np.log(b[1] + i) - betaln(1 + i, b[1]) - betaln(*a)).sum())


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((50, 52), (52, 50)),
        ((1, 1), (1, 1)),
        ((3, 1000), (7, 1200)),
        ((121, 81), (101, 101)),
        ((5000, 95000), (5200, 94800)),
        ((1001, 1), (1000, 1)),
        ((2, 2), (90_000, 110_000)),
    ],
)
def test_best_of_betas__two_arms__millers_closed_form(a: tuple[int, int], b: tuple[int, int]) -> None:
    found = best_of_betas([a[0], b[0]], [a[1], b[1]])
    assert found.probability[1] == pytest.approx(_miller(a, b), abs=1e-9)


def test_best_of_betas__known_by_hand__exact() -> None:
    # for A ~ Beta(2, 1) and B ~ Beta(1, 2): P(B > A) = 1/6; uniform shares: E max of three is 3/4
    assert best_of_betas([2, 1], [1, 2]).probability[1] == pytest.approx(1 / 6, abs=1e-12)
    three = best_of_betas([1, 1, 1], [1, 1, 1])
    assert three.probability == pytest.approx([1 / 3] * 3)
    assert three.expected_loss == pytest.approx([0.25] * 3)
    jeffreys = best_of_betas([0.5, 0.5], [0.5, 0.5])  # E |X - Y| / 2 of two arcsine variables is 2 / pi^2
    assert jeffreys.expected_loss == pytest.approx([2 / np.pi**2] * 2, abs=1e-9)


@pytest.mark.parametrize(
    ("alphas", "betas", "risk"),
    [
        # growthbook/growthbook (MIT), packages/stats/tests/bayesian/test_tests.py, five digits: "risk" of keeping A, B
        ([50, 52], [52, 50], [0.03872, 0.01912]),
        ([49, 151], [51, 149], [0.03025, 0.01692]),
    ],
)
def test_best_of_betas__expected_loss__gbstats(alphas: list[int], betas: list[int], risk: list[float]) -> None:
    found = best_of_betas(alphas, betas)
    assert found.expected_loss == pytest.approx(risk, abs=5e-6)


def test_best_of_betas__four_arms__adaptive_integration() -> None:
    arms = [(3, 40), (30, 300), (9, 60), (2, 9)]
    frozen = [beta(*each) for each in arms]
    found = best_of_betas(*zip(*arms, strict=True))
    for k, mine in enumerate(frozen):
        others = [each for j, each in enumerate(frozen) if j != k]
        expected = quad(lambda x: mine.pdf(x) * np.prod([o.cdf(x) for o in others]), 0, 1, epsabs=1e-12, limit=200)[0]  # noqa: B023
        assert found.probability[k] == pytest.approx(expected, abs=1e-9)


def test_best_of_normals__arms_of_very_different_precision__adaptive_integration() -> None:
    means, spreads = np.array([0.0, 0.01, -0.02, 0.005]), np.array([0.1, 1e-4, 0.05, 1e-6])
    found = best_of_normals(means, spreads)
    assert found.probability.sum() == pytest.approx(1.0)

    def largest(x: float) -> float:
        return 1 - float(np.prod(ndtr((x - means) / spreads)))

    # E max = c + integral over x > c of P(max > x) - integral over x < c of P(max <= x)
    cuts = [0.0099, 0.01, 0.0101]
    above = quad(largest, 0.01, 1.0, points=[0.0101, 0.0105], limit=500, epsabs=1e-13)[0]
    below = quad(lambda x: 1 - largest(x), -1.0, 0.01, points=[0.0049999, 0.00500001, *cuts[:1]], limit=500)[0]
    assert found.expected_loss == pytest.approx(0.01 + above - below - means, abs=1e-8)


def test_best_of_normals__two_arms_in_closed_form__agree_with_the_quadrature_of_three() -> None:
    two = best_of_normals([1.0, 1.3], [0.2, 0.4])
    three = best_of_normals([1.0, 1.3, -50.0], [0.2, 0.4, 0.1])
    assert three.probability[:2] == pytest.approx(two.probability, abs=1e-10)
    assert three.expected_loss[:2] == pytest.approx(two.expected_loss, abs=1e-9)


def test_best_of_normals__many_at_once__as_one_by_one() -> None:
    generator = np.random.default_rng(5)
    means, spreads = generator.normal(size=(7, 5)), generator.uniform(0.1, 2, (7, 5))
    together = best_of_normals(means, spreads)
    for row in range(7):
        alone = best_of_normals(means[row], spreads[row])
        assert together.probability[row] == pytest.approx(alone.probability, rel=1e-12)
        assert together.expected_loss[row] == pytest.approx(alone.expected_loss, rel=1e-12)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.001, 10)), min_size=2, max_size=8), st.floats(-100, 100))
def test_best_of_normals__any_arms__sum_to_one_and_do_not_mind_the_origin(
    arms: list[tuple[float, float]], origin: float
) -> None:
    means, spreads = (np.array(each) for each in zip(*arms, strict=True))
    found, moved = best_of_normals(means, spreads), best_of_normals(means + origin, spreads)
    assert found.probability.sum() == pytest.approx(1.0)
    assert (found.expected_loss >= 0).all()
    assert moved.probability == pytest.approx(found.probability, abs=1e-8)
    assert moved.expected_loss == pytest.approx(found.expected_loss, abs=1e-7)


@pytest.mark.parametrize(("means", "spreads"), [([0.0], [1.0]), ([0.0, 1.0], [1.0, 0.0]), ([0.0, np.nan], [1.0, 1.0])])
def test_best_of__no_distributions__refused(means: list[float], spreads: list[float]) -> None:
    with pytest.raises(InvalidInput, match="two arms or more"):
        best_of_normals(means, spreads)
    with pytest.raises(InvalidInput, match="two arms or more"):
        best_of_betas(means, spreads)
