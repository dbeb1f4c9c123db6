"""Ranks, adjusted p-values, guardrails and quantiles beside scipy and statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_ind

from bailiwick.errors import InvalidInput
from bailiwick.metrics.sketch import Sketch
from bailiwick.statistics import multiple_testing
from bailiwick.statistics.effect import Alternative
from bailiwick.statistics.mann_whitney import _nth_difference, mann_whitney
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.non_inferiority import equivalence, non_inferiority
from bailiwick.statistics.quantile_difference import quantile_difference, quantile_estimate, quantile_of
from bailiwick.statistics.welch import ArmEstimate, estimate_arm, welch

SIDES = {Alternative.TWO_SIDED: "two-sided", Alternative.GREATER: "greater", Alternative.LESS: "less"}


@pytest.mark.parametrize("alternative", Alternative)
@pytest.mark.parametrize(("n", "m"), [(2, 3), (3, 12), (8, 8), (20, 31)])
def test_mann_whitney__no_ties__exact_as_scipy_and_dual_to_its_interval(
    n: int, m: int, alternative: Alternative
) -> None:
    generator = np.random.default_rng(n + m)
    for shift in (0.0, 0.8, -1.5):
        control, treatment = generator.normal(size=n), generator.normal(shift, size=m)
        expected = stats.mannwhitneyu(treatment, control, alternative=SIDES[alternative], method="exact")
        found = mann_whitney(control, treatment, 0.9, alternative)
        assert found.exact
        assert found.statistic == expected.statistic
        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
        assert (found.p_value < 0.1) == (found.low > 0 or found.high < 0)


@pytest.mark.parametrize("alternative", Alternative)
def test_mann_whitney__ties__normal_approximation_as_scipy(alternative: Alternative) -> None:
    generator = np.random.default_rng(1)
    control, treatment = generator.poisson(3, 200), generator.poisson(3.4, 150)
    expected = stats.mannwhitneyu(treatment, control, alternative=SIDES[alternative], method="asymptotic")
    found = mann_whitney(control, treatment, alternative=alternative)
    assert not found.exact
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_mann_whitney__ties_in_small_arms__all_deals_counted() -> None:
    control, treatment = [1, 2, 2, 3, 5], [2, 4, 4, 5, 5, 6]
    expected = stats.mannwhitneyu(treatment, control, method=stats.PermutationMethod(n_resamples=10_000))
    assert mann_whitney(control, treatment).p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_mann_whitney__large_arms__shift_is_the_median_of_all_differences() -> None:
    generator = np.random.default_rng(2)
    control, treatment = generator.exponential(size=600), generator.exponential(size=700) + 0.2
    found = mann_whitney(control, treatment)
    differences = np.sort((treatment[:, None] - control[None, :]).ravel())
    assert found.shift == pytest.approx(float(np.median(differences)), rel=1e-12)
    assert found.low == pytest.approx(differences[np.abs(differences - found.low).argmin()], rel=1e-12)
    assert found.low < 0.2 < found.high


def test_mann_whitney__all_values_alike__tells_nothing() -> None:
    assert mann_whitney([1.0] * 50, [1.0] * 40).p_value == 1.0
    assert mann_whitney([1.0] * 5, [1.0] * 4).p_value == 1.0


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [[1.0], [2.0]]])
def test_mann_whitney__values_that_are_no_list_of_numbers__refused(values: list[float]) -> None:
    with pytest.raises(InvalidInput, match="finite"):
        mann_whitney([1.0, 2.0], values)


@pytest.mark.parametrize(
    ("own", "peer"),
    [
        ("bonferroni", "bonferroni"),
        ("holm", "holm"),
        ("hochberg", "simes-hochberg"),
        ("benjamini_hochberg", "fdr_bh"),
        ("benjamini_yekutieli", "fdr_by"),
    ],
)
def test_adjusted_p_values__equal_statsmodels(own: str, peer: str) -> None:
    generator = np.random.default_rng(3)
    for given in ([0.03], [0.5, 0.5, 0.5], [0.0, 1.0, 0.02], generator.beta(0.3, 1, 60), generator.random(7).round(1)):
        found = getattr(multiple_testing, own)(given)
        assert found == pytest.approx(multipletests(given, method=peer)[1], rel=1e-9)


@pytest.mark.parametrize("p_values", [[0.1, math.nan], [-0.1], [1.1], [[0.1], [0.2]]])
def test_adjusted_p_values__not_probabilities__refused(p_values: list[float]) -> None:
    with pytest.raises(InvalidInput, match="p-values"):
        multiple_testing.holm(p_values)


def test_equivalence__equals_statsmodels_tost() -> None:
    generator = np.random.default_rng(4)
    control, treatment = generator.normal(10, 2, 200), generator.normal(10.1, 3, 150)
    for margin in (0.2, 0.6, 2.0):
        expected = ttost_ind(treatment, control, -margin, margin, usevar="unequal")[0]
        found = equivalence(estimate_arm(UnitMoments.of(control)), estimate_arm(UnitMoments.of(treatment)), margin)
        assert found.p_value == pytest.approx(expected, rel=1e-9)
        assert found.holds == (-margin < found.effect.low and found.effect.high < margin)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("higher_is_better", [True, False])
def test_non_inferiority__relative_margin__agrees_with_the_interval_of_the_lift(
    sign: int, higher_is_better: bool
) -> None:
    generator = np.random.default_rng(5)
    verdicts = set()
    for _ in range(200):
        control = ArmEstimate(sign * 10.0, 0.01, 300)
        treatment = ArmEstimate(sign * 10.0 + generator.normal(0, 0.6), 0.02, 200)
        found = non_inferiority(control, treatment, 0.05, relative=True, higher_is_better=higher_is_better)
        low, high = found.effect.lift_low, found.effect.lift_high
        assert low is not None
        assert high is not None
        assert found.holds == (low > -0.05 if higher_is_better else high < 0.05)
        verdicts.add(found.holds)
    assert verdicts == {True, False}


def test_non_inferiority__absolute_margin__is_the_shifted_one_sided_test() -> None:
    generator = np.random.default_rng(6)
    control, treatment = generator.normal(0, 1, 60), generator.normal(-0.1, 2, 80)
    expected = stats.ttest_ind(treatment + 0.5, control, equal_var=False, alternative="greater").pvalue
    found = non_inferiority(estimate_arm(UnitMoments.of(control)), estimate_arm(UnitMoments.of(treatment)), 0.5)
    assert found.p_value == pytest.approx(expected, rel=1e-9)


def test_guardrails__nothing_known__do_not_hold() -> None:
    nothing = estimate_arm(UnitMoments())
    assert not non_inferiority(nothing, nothing, 0.1).holds
    assert not equivalence(nothing, nothing, 0.1).holds


@pytest.mark.parametrize("margin", [-0.1, math.nan, math.inf])
def test_guardrails__impossible_margin__refused(margin: float) -> None:
    arm = ArmEstimate(1.0, 0.1, 10)
    with pytest.raises(InvalidInput, match="margin"):
        non_inferiority(arm, arm, margin)
    with pytest.raises(InvalidInput, match="margin"):
        equivalence(arm, arm, 0.0)


def test_quantile__raw_values_and_sketch__tell_the_same() -> None:
    generator = np.random.default_rng(7)
    values = generator.lognormal(5, 0.8, 20_000)
    raw = quantile_estimate(quantile_of(values), 20_000, 0.95)
    sketched = quantile_estimate(Sketch.of(values).quantile, 20_000, 0.95)
    assert sketched.mean == pytest.approx(raw.mean, rel=0.01)
    assert sketched.variance**0.5 == pytest.approx(raw.variance**0.5, rel=0.5)
    true_density = stats.lognorm.pdf(math.exp(5 + 0.8 * 1.6448536), 0.8, scale=math.exp(5))
    assert raw.variance**0.5 == pytest.approx(math.sqrt(0.95 * 0.05 / 20_000) / true_density, rel=0.3)


def test_quantile__slower_tail__found_with_a_lift() -> None:
    generator = np.random.default_rng(8)
    arms = [quantile_estimate(quantile_of(generator.lognormal(mean, 0.5, 5_000)), 5_000, 0.95) for mean in (5, 5.2)]
    found = quantile_difference(*arms)
    assert found.rejects
    assert found.lift_low is not None
    assert found.lift_high is not None
    assert found.lift_low < math.exp(0.2) - 1 < found.lift_high


def test_quantile__too_few_values_in_the_tail__cannot_tell() -> None:
    arm = quantile_estimate(quantile_of(np.arange(400.0)), 400, 0.95)
    assert math.isnan(arm.variance)
    assert not quantile_difference(arm, arm).known
    assert math.isnan(quantile_estimate(lambda _: math.nan, 0, 0.5).mean)


def test_moments__same_lift_by_any_path__welch_is_what_estimates_give() -> None:
    control, treatment = UnitMoments.of([1.0, 3.0, 2.0]), UnitMoments.of([4.0, 3.0, 6.0])
    assert welch(control, treatment).difference == estimate_arm(treatment).mean - estimate_arm(control).mean


@pytest.mark.parametrize("tied", [False, True])
def test_mann_whitney__large_arms__every_order_statistic_as_if_all_differences_were_listed(tied: bool) -> None:
    generator = np.random.default_rng(9)
    base, other = np.sort(generator.lognormal(0, 2, 700)), np.sort(generator.lognormal(0.1, 2, 900))
    if tied:
        base, other = base.round(0), other.round(0)
    differences = np.sort((other[:, None] - base[None, :]).ravel())
    for place in (0, 1, 70_000, 314_999, 500_000, len(differences) - 1):
        assert _nth_difference(base, other, place) == pytest.approx(differences[place], rel=1e-12, abs=1e-12)
