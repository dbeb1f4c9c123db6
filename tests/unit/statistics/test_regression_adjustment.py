from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.errors import InvalidInput
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.regression_adjustment import regression_adjusted


def _arm(generator: np.random.Generator, units: int, lift: float) -> tuple[np.ndarray, np.ndarray]:
    before = generator.normal(5.0, 2.0, units)
    return before, 0.8 * before + generator.normal(lift, 1.0, units)


def test_adjusted__means__are_the_coefficients_of_analysis_of_covariance() -> None:
    generator = np.random.default_rng(1)
    (before_a, after_a), (before_b, after_b) = _arm(generator, 300, 0.0), _arm(generator, 200, 0.5)
    made = regression_adjusted(
        [UnitMoments.of(after_a, covariates=before_a), UnitMoments.of(after_b, covariates=before_b)]
    )
    design = np.column_stack([np.ones(500), np.r_[np.zeros(300), np.ones(200)], np.r_[before_a, before_b]])
    expected = np.linalg.lstsq(design, np.r_[after_a, after_b], rcond=None)[0]
    assert made.slope == pytest.approx(expected[2], rel=1e-10)
    assert made.arms[1].mean - made.arms[0].mean == pytest.approx(expected[1], rel=1e-10)
    assert made.centre == pytest.approx(np.r_[before_a, before_b].mean())


def test_adjusted__moments__equal_those_of_units_adjusted_one_by_one() -> None:
    generator = np.random.default_rng(2)
    counts = 1.0 + generator.poisson(3, 400)
    before = generator.normal(2.0, 1.0, 400) * counts
    totals = before + generator.normal(0, 1, 400) * counts
    halves = [slice(0, 200), slice(200, 400)]
    made = regression_adjusted([UnitMoments.of(totals[half], counts[half], before[half]) for half in halves])
    for arm, half in zip(made.arms, halves, strict=True):
        centred = before[half] - made.centre
        by_hand = UnitMoments.of(totals[half] - made.slope * centred, counts[half], centred)
        assert arm.mean == pytest.approx(by_hand.mean, rel=1e-10)
        assert arm.standard_error == pytest.approx(by_hand.standard_error, rel=1e-9)
        assert arm.total_covariate == pytest.approx(by_hand.total_covariate, rel=1e-8)
        assert arm.count_covariate == pytest.approx(by_hand.count_covariate, abs=1e-6)


def test_adjusted__gbstats_stratum__has_its_theta_weighted_by_units() -> None:
    """Sums from gbstats' test_post_strat.py (MIT), last stratum; the slope is recomputed, pooled over units."""
    control = UnitMoments(
        160, 6539.348445231273, 160, 823.2824168385916, 274981.98909352464, 160, 4389.893995072177,
        6539.348445231273, 34727.84795433773, 823.2824168385916,
    )  # fmt: skip
    treatment = UnitMoments(
        162, 7431.953259880505, 162, 832.356528363269, 349244.6690736718, 162, 4439.253146704266,
        7431.953259880505, 39332.667494781235, 832.356528363269,
    )  # fmt: skip
    made = regression_adjusted([control, treatment])
    products = [arm.total_covariate - arm.total * arm.covariate / arm.units for arm in (control, treatment)]
    spreads = [arm.covariate_covariate - arm.covariate**2 / arm.units for arm in (control, treatment)]
    assert made.slope == pytest.approx(sum(products) / sum(spreads), rel=1e-10)
    shift = made.slope * (treatment.covariate / 162 - control.covariate / 160)
    assert made.arms[1].mean - made.arms[0].mean == pytest.approx(treatment.mean - control.mean - shift, rel=1e-12)
    assert min(made.variance_reduction) > 0.9


def test_adjusted__no_spread_of_the_covariate__changes_nothing() -> None:
    for covariates in (None, [7.7] * 5):
        arm = UnitMoments.of([1.0, 2.0, 3.0, 4.0, 5.0], covariates=covariates)
        made = regression_adjusted([arm, arm])
        assert made.slope == 0.0
        assert made.arms[0].mean == arm.mean
        assert made.arms[0].standard_error == arm.standard_error
        assert made.variance_reduction == (0.0, 0.0)


def test_adjusted__empty_arms__stay_empty() -> None:
    assert regression_adjusted([UnitMoments(), UnitMoments()]).arms == (UnitMoments(), UnitMoments())
    with pytest.raises(InvalidInput, match="no arm"):
        regression_adjusted([])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(-50, 50), st.floats(0.01, 100))
def test_adjusted__covariate_in_another_unit__same_estimate(seed: int, shift: float, scale: float) -> None:
    generator = np.random.default_rng(seed)
    arms = [_arm(generator, 60, 0.0) for _ in range(3)]
    plain = regression_adjusted([UnitMoments.of(after, covariates=before) for before, after in arms])
    other = regression_adjusted([UnitMoments.of(after, covariates=before * scale + shift) for before, after in arms])
    for one, two in zip(plain.arms, other.arms, strict=True):
        assert two.mean == pytest.approx(one.mean, rel=1e-6, abs=1e-9)
        assert two.standard_error == pytest.approx(one.standard_error, rel=1e-5)
