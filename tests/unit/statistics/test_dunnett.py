"""Dunnett's test beside his tables, R's multcomp, scipy, and the t test it becomes with one treatment."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.special import ndtr, stdtr

from bailiwick.errors import InvalidInput
from bailiwick.statistics.dunnett import dunnett, dunnett_probability, dunnett_quantile
from bailiwick.statistics.effect import Alternative
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.welch import welch

HALF = math.sqrt(0.5)
# Dunnett 1955, table 1a (one-sided, 0.05): degrees of freedom, then 2 to 9 treatments. Computed by hand in their day:
# a few entries differ from the exact value by one in the last digit.
ONE_SIDED = {
    5: (2.44, 2.68, 2.85, 2.98, 3.08, 3.16, 3.24, 3.30),
    10: (2.15, 2.34, 2.47, 2.56, 2.64, 2.70, 2.76, 2.81),
    20: (2.03, 2.19, 2.30, 2.39, 2.46, 2.51, 2.56, 2.60),
    60: (1.95, 2.10, 2.21, 2.28, 2.35, 2.39, 2.44, 2.48),
    math.inf: (1.92, 2.06, 2.16, 2.23, 2.29, 2.34, 2.38, 2.42),
}
# R's multcomp (glht) on two published data sets, as scipy's test_multicomp.py quotes them.
BLOOD = ([7.40, 8.50, 7.20, 8.24, 9.84, 8.32], [[9.76, 8.80, 7.68, 9.36], [12.80, 9.68, 12.16, 9.20, 10.55]])
FABRIC = ([55, 47, 48], [[55, 64, 64], [55, 49, 52], [50, 44, 41]])
PUBLISHED = [
    (BLOOD, Alternative.TWO_SIDED, [0.620102, 0.0058254], [-1.256412, 0.839627], [2.556412, 4.416373]),
    (BLOOD, Alternative.GREATER, [0.3249776, 0.0029139], [-0.9588591188156, 1.1187563667543], [math.inf] * 2),
    (BLOOD, Alternative.LESS, [0.91676, 0.99984], [-math.inf] * 2, [2.2588591188156, 4.1372436332457]),
    (FABRIC, Alternative.TWO_SIDED, [0.036407, 0.896539, 0.409295], [0.753, -8.247, -15.247], [21.247, 12.247, 5.247]),
    (FABRIC, Alternative.GREATER, [0.018277, 0.521109, 0.981892], [2.402368, -6.597632, -13.597632], [math.inf] * 3),
]  # fmt: skip


@pytest.mark.parametrize("freedom", ONE_SIDED)
def test_quantile__dunnett_1955_one_sided__at_the_digits_published(freedom: float) -> None:
    found = [dunnett_quantile(0.95, [HALF] * arms, freedom, two_sided=False) for arms in range(2, 10)]
    assert found == pytest.approx(ONE_SIDED[freedom], abs=0.0125)
    assert np.abs(np.round(found, 2) - ONE_SIDED[freedom]).mean() < 0.005


@pytest.mark.parametrize(("arms", "freedom"), [(2, 10), (3, 10), (4, 10), (3, 20), (4, 60), (9, 6), (5, math.inf)])
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_quantile__two_sided__equals_adaptive_integration(arms: int, freedom: float, level: float) -> None:
    """Dunnett's 1964 table, computed anew: scipy's adaptive quadrature over the chi and the normal part."""
    bound = dunnett_quantile(level, [HALF] * arms, freedom)

    def given(scale: float) -> float:
        def inside(z: float) -> float:
            both = ndtr(math.sqrt(2) * bound * scale - z) - ndtr(-math.sqrt(2) * bound * scale - z)
            return float(both**arms * math.exp(-z * z / 2) / math.sqrt(2 * math.pi))

        return float(quad(inside, -9, 9, epsabs=1e-11, limit=200)[0])

    if freedom == math.inf:
        found = given(1.0)
    else:
        chi = stats.chi(freedom, scale=1 / math.sqrt(freedom))
        found = float(quad(lambda s: given(s) * chi.pdf(s), 0, chi.ppf(1 - 1e-13), epsabs=1e-10, limit=200)[0])
    assert found == pytest.approx(level, abs=1e-8)


def test_quantile__two_sided__as_r_has_it() -> None:
    """MCPMod's critVal(CM, n=4, alpha=0.025), three treatments, 12 degrees of freedom: randomised, three digits.

    Quoted by the statistics wiki of the MRC Cognition and Brain Sciences Unit (FAQ/dunR).
    """
    assert dunnett_quantile(0.95, [HALF] * 3, 12) == pytest.approx(2.6860, abs=5e-3)


@pytest.mark.parametrize(("data", "alternative", "p_values", "lows", "highs"), PUBLISHED)
def test_dunnett__published_data__agrees_with_multcomp(
    data: tuple[list[float], list[list[float]]],
    alternative: Alternative,
    p_values: list[float],
    lows: list[float],
    highs: list[float],
) -> None:
    """Its own numbers come from a randomised integration, good to some 3e-4 of a p-value and 3e-3 errors of a limit."""
    found = dunnett(UnitMoments.of(data[0]), [UnitMoments.of(arm) for arm in data[1]], 0.95, alternative, pooled=True)
    assert [effect.p_value for effect in found] == pytest.approx(p_values, abs=3e-4)
    assert [effect.low for effect in found] == pytest.approx(lows, abs=3e-3 * found[0].standard_error)
    assert [effect.high for effect in found] == pytest.approx(highs, abs=3e-3 * found[0].standard_error)


def test_dunnett__random_arms__equals_scipy() -> None:
    generator = np.random.default_rng(4)
    control, arms = generator.normal(size=40), [generator.normal(0.4, 1, size) for size in (30, 40, 55)]
    expected = stats.dunnett(*arms, control=control, rng=np.random.default_rng(1))
    found = dunnett(UnitMoments.of(control), [UnitMoments.of(arm) for arm in arms], pooled=True)
    assert [effect.p_value for effect in found] == pytest.approx(expected.pvalue, abs=2e-4)


@pytest.mark.parametrize("freedom", [1, 3.7, 30, 61.3, 1e4, math.inf])
@pytest.mark.parametrize("loading", [0.0, 0.3, HALF, 0.95, 0.995])
def test_probability__one_statistic__is_the_t_distribution(freedom: float, loading: float) -> None:
    for bound in (0.1, 1.0, 2.5, 6.0):
        expected = 1 - 2 * (ndtr(-bound) if freedom == math.inf else stdtr(freedom, -bound))
        assert dunnett_probability(bound, [loading], freedom) == pytest.approx(expected, abs=1e-12)


def test_probability__independent_statistics__is_the_product() -> None:
    assert dunnett_probability(1.7, [0.0] * 5) == pytest.approx((1 - 2 * ndtr(-1.7)) ** 5, abs=1e-13)


def test_probability__unequal_loadings__equals_the_multivariate_normal() -> None:
    loadings = np.array([0.2, 0.6, 0.9])
    covariance = np.outer(loadings, loadings)
    np.fill_diagonal(covariance, 1)
    expected = stats.multivariate_normal(cov=covariance).cdf([1.3] * 3, rng=np.random.default_rng(0))
    assert dunnett_probability(1.3, loadings, two_sided=False) == pytest.approx(expected, abs=2e-5)


def test_dunnett__one_treatment__is_welch() -> None:
    generator = np.random.default_rng(6)
    control, arm = UnitMoments.of(generator.normal(size=12)), UnitMoments.of(generator.normal(1, 3, size=30))
    (found,), single = dunnett(control, [arm]), welch(control, arm)
    assert found.p_value == pytest.approx(single.p_value, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((single.low, single.high), rel=1e-9)


def test_dunnett__p_values__between_single_and_bonferroni_and_dual_to_intervals() -> None:
    generator = np.random.default_rng(8)
    for _ in range(8):
        control = UnitMoments.of(generator.normal(1, 1, 25))
        arms = [UnitMoments.of(generator.normal(1.6, deviation, 25)) for deviation in (0.5, 1, 2)]
        for effect, arm in zip(dunnett(control, arms), arms, strict=True):
            single = welch(control, arm).p_value
            assert single <= effect.p_value <= 3 * single + 1e-12
            assert effect.rejects == (effect.low > 0 or effect.high < 0)
            if effect.lift_low is not None and effect.lift_high is not None:
                assert effect.rejects == (effect.lift_low > 0 or effect.lift_high < 0)


def test_dunnett__arm_without_values__leaves_the_others_their_answer() -> None:
    control, arm = UnitMoments.of([1.0, 2.0, 3.0, 4.0]), UnitMoments.of([3.0, 4.0, 6.0, 7.0])
    empty, full = dunnett(control, [UnitMoments(), arm])
    assert not empty.known
    assert full.p_value == pytest.approx(welch(control, arm).p_value, abs=1e-12)


def test_dunnett__no_treatment__refused() -> None:
    with pytest.raises(InvalidInput, match="no treatment"):
        dunnett(UnitMoments.of([1.0, 2.0]), [])
