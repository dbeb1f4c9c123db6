"""Welch's test beside scipy, statsmodels and published numbers; what happens at the edges."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import Alternative
from bailiwick.statistics.fieller import fieller_interval
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.welch import ArmEstimate, compare_estimates, estimate_arm, estimate_arms, welch, welch_many

SIDES = {Alternative.TWO_SIDED: "two-sided", Alternative.GREATER: "greater", Alternative.LESS: "less"}


def from_summary(mean: float, deviation: float, units: int) -> UnitMoments:
    squares = (units - 1) * deviation**2 + units * mean**2
    return UnitMoments(units, units * mean, units, 0.0, squares, units, 0.0, units * mean, 0.0, 0.0)


@pytest.mark.parametrize("alternative", Alternative)
@pytest.mark.parametrize(
    ("n", "m", "shift", "scale"), [(2, 2, 0.5, 1), (5, 40, 1, 9), (300, 20, -0.3, 0.1), (4000, 4000, 0.05, 3)]
)
def test_welch__random_arms__equals_scipy(alternative: Alternative, n: int, m: int, shift: float, scale: float) -> None:
    generator = np.random.default_rng(n * m)
    control, treatment = generator.normal(3, 1, n), generator.normal(3 + shift, scale, m)
    found = welch(UnitMoments.of(control), UnitMoments.of(treatment), 0.9, alternative)
    expected = stats.ttest_ind(treatment, control, equal_var=False, alternative=SIDES[alternative])
    interval = expected.confidence_interval(0.9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.degrees_of_freedom == pytest.approx(expected.df, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_welch__two_sided__equals_statsmodels() -> None:
    generator = np.random.default_rng(5)
    control, treatment = generator.exponential(2, 500), generator.exponential(2.3, 700)
    found = welch(UnitMoments.of(control), UnitMoments.of(treatment))
    peer = CompareMeans(DescrStatsW(treatment), DescrStatsW(control))
    assert found.p_value == pytest.approx(peer.ttest_ind(usevar="unequal")[1], rel=1e-9)
    assert (found.low, found.high) == pytest.approx(peer.tconfint_diff(usevar="unequal"), rel=1e-9)


def test_welch__growthbook_golden_numbers__reproduced() -> None:
    """gbstats, packages/stats/tests/frequentist/test_tests.py: absolute difference, five digits published."""
    found = welch(from_summary(0.41, 3.9, 3407), from_summary(0.7, 6.2, 3461))
    assert round(found.difference, 5) == 0.29
    assert (round(found.low, 5), round(found.high, 5)) == (0.04538, 0.53462)
    assert round(found.p_value, 5) == 0.02016
    # the lift has the same p-value here; by the delta method gbstats gives 0.0619 and an interval with zero in it
    assert found.lift == pytest.approx(0.70732, abs=5e-6)
    assert found.lift_low is not None
    assert found.lift_low > 0


def test_estimate__ratio_clustered_by_unit__is_the_delta_method() -> None:
    """The variance of R = mean(total) / mean(count) from the sample covariance matrix (Deng et al. 2018, eq. 3)."""
    generator = np.random.default_rng(2)
    counts = 1 + generator.poisson(4, 600)
    totals = generator.binomial(counts, generator.beta(2, 8, 600)).astype(float)
    covariance = np.cov(totals, counts)
    ratio = totals.mean() / counts.mean()
    gradient = np.array([1, -ratio]) / counts.mean()
    found = estimate_arm(UnitMoments.of(totals, counts))
    assert found.mean == pytest.approx(ratio, rel=1e-12)
    assert found.variance == pytest.approx(gradient @ covariance @ gradient / 600, rel=1e-9)


@pytest.mark.parametrize("alternative", Alternative)
def test_welch_many__pairs__equal_one_by_one(alternative: Alternative) -> None:
    generator = np.random.default_rng(3)
    rows = [UnitMoments.of(generator.normal(mean, 2, int(generator.integers(0, 9)))) for mean in (0, 1, -1, 5) * 12]
    rows += [UnitMoments.of([0.1] * 5), UnitMoments.of([0.3] * 4)]
    matrix = np.array([[getattr(row, name) for name in UnitMoments.__slots__] for row in rows])
    many = welch_many(estimate_arms(matrix[::2]), estimate_arms(matrix[1::2]), 0.8, alternative)
    for place, (control, treatment) in enumerate(zip(rows[::2], rows[1::2], strict=True)):
        one = welch(control, treatment, 0.8, alternative)
        for name in ("p_value", "standard_error", "degrees_of_freedom", "low", "high", "lift", "lift_low", "lift_high"):
            expected = getattr(one, name)
            expected = math.nan if expected is None else expected
            assert getattr(many, name)[place] == pytest.approx(expected, rel=1e-12, nan_ok=True), name


@pytest.mark.parametrize(
    ("control", "treatment"),
    [([], [1.0, 2.0]), ([1.0], [1.0, 2.0]), ([0.1] * 10, [0.3] * 7), ([5.0, 5.0], [5.0, 5.0]), ([], [])],
)
def test_welch__nothing_to_tell_an_error_from__says_so(control: list[float], treatment: list[float]) -> None:
    """Ten times 0.1 has a variance of rounding errors; it must not become a p-value of zero."""
    found = welch(UnitMoments.of(control), UnitMoments.of(treatment))
    assert not found.known
    assert not found.rejects
    assert (found.p_value, found.low, found.high, found.lift_low) == (1.0, -math.inf, math.inf, None)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_welch__value_that_is_no_number__refused(value: float) -> None:
    with pytest.raises(InvalidInput, match="not finite"):
        welch(replace(UnitMoments.of([1.0, 2.0, 4.0]), total_total=value), UnitMoments.of([1.0, 2.0]))


def test_welch__negative_count__refused() -> None:
    with pytest.raises(InvalidInput, match="negative"):
        welch(UnitMoments.of([1.0, 2.0]) - UnitMoments.of([1.0, 2.0, 3.0]), UnitMoments.of([1.0, 2.0]))


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.1, math.nan])
def test_welch__level_that_is_no_confidence__refused(level: float) -> None:
    with pytest.raises(InvalidInput, match="level"):
        welch(UnitMoments.of([1.0, 2.0]), UnitMoments.of([1.0, 3.0]), level)


def test_fieller__negative_control__lift_has_the_sign_of_the_difference() -> None:
    """A loss that grows smaller is better: -10 to -8 is a lift of 20 %, not of -20 %."""
    found = compare_estimates(ArmEstimate(-10.0, 0.04, 100), ArmEstimate(-8.0, 0.04, 100))
    assert found.lift == pytest.approx(0.2)
    assert found.lift_low is not None
    assert found.low > 0
    assert found.lift_low > 0


def test_fieller__ends__lie_where_the_test_of_that_lift_is_undecided() -> None:
    low, high = fieller_interval(1.0, 10.0, 0.08, 0.04, -0.04, 2.0) or (math.nan, math.nan)
    for lift in (low, high):
        statistic = (1.0 - lift * 10.0) / math.sqrt(0.08 + 2 * lift * 0.04 + lift**2 * 0.04)
        assert abs(statistic) == pytest.approx(2.0, rel=1e-12)


def test_fieller__control_that_may_be_zero__has_no_interval() -> None:
    found = compare_estimates(ArmEstimate(0.1, 0.04, 100), ArmEstimate(5.0, 0.04, 100))
    assert found.rejects
    assert found.lift == pytest.approx(49)
    assert (found.lift_low, found.lift_high) == (None, None)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.9999])
def test_welch_many__many_degrees_of_freedom__quantiles_keep_their_digits(level: float) -> None:
    units = np.array([400.0, 501.0, 900.0, 1e4, 1e6, 1e9])
    arm = (np.full(6, 10.0), 1 / units, units)
    many = welch_many(arm, arm, level)
    expected = stats.t.ppf(0.5 + level / 2, 2 * units - 2) * np.sqrt(2 / units)
    assert many.high == pytest.approx(expected, rel=2e-12)
