from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest

from bailiwick.errors import InvalidInput
from bailiwick.statistics.calibration import (
    expected_calibration_error,
    fit_temperature,
    log_loss,
    reliability_bins,
    softmax,
)
from bailiwick.statistics.paired import compare_paired
from bailiwick.statistics.proportions import wilson_interval


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (3, 7), (2854, 3080)])
def test_wilson__counts__equal_scipy(successes: int, trials: int) -> None:
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high))


def test_wilson__no_trials__knows_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (3, 9), (40, 41), (12, 2)])
def test_paired__p_value__is_the_exact_sign_test(b: int, c: int) -> None:
    expected = binomtest(b, b + c).pvalue if b + c else 1.0
    assert compare_paired(100, b, c).p_value == pytest.approx(expected)


@pytest.mark.parametrize(("n", "b", "c"), [(50, 12, 2), (100, 2, 12), (57, 0, 3), (3000, 40, 25)])
def test_paired__interval__ends_where_the_score_test_rejects(n: int, b: int, c: int) -> None:
    """The restricted maximum-likelihood estimate is found numerically here, in closed form there."""

    def statistic(delta: float) -> float:
        # second right only: p12 = p21 + delta; first right only: p21
        def loss(p21: float) -> float:
            p12 = p21 + delta
            rest = 1 - p12 - p21
            return -(c * np.log(p12) + b * np.log(p21) + (n - b - c) * np.log(rest))

        low = max(0.0, -delta) + 1e-12
        p21 = minimize_scalar(loss, bounds=(low, (1 - delta) / 2 - 1e-12), method="bounded", options={"xatol": 1e-12}).x
        return float((c - b - n * delta) / np.sqrt(n * (2 * p21 + delta - delta**2)))

    made = compare_paired(n, b, c)
    assert abs(statistic(made.low)) == pytest.approx(1.959964, abs=2e-3)
    assert abs(statistic(made.high)) == pytest.approx(1.959964, abs=2e-3)
    assert made.low < made.difference < made.high


def test_paired__impossible_counts__refused() -> None:
    for counts in ((3, 2, 2), (0, 0, 0), (10, -1, 2)):
        with pytest.raises(InvalidInput, match="differing"):
            compare_paired(*counts)
    with pytest.raises(InvalidInput, match="level"):
        compare_paired(10, 1, 2, level=95)


@pytest.mark.parametrize(("successes", "trials", "level"), [(5, 3, 0.95), (-1, 3, 0.95), (1, 3, 95.0)])
def test_wilson__impossible_input__refused(successes: int, trials: int, level: float) -> None:
    with pytest.raises(InvalidInput):
        wilson_interval(successes, trials, level)


def test_temperature__overconfident_scores__recovered() -> None:
    generator = np.random.default_rng(1)
    scores = generator.normal(size=(4_000, 5)) * 2
    truth = np.array([generator.choice(5, p=row) for row in softmax(scores)])
    assert fit_temperature(scores * 3, truth) == pytest.approx(3, rel=0.1)
    before, after = softmax(scores * 3), softmax(scores * 3 / fit_temperature(scores * 3, truth))
    assert log_loss(after, truth) < log_loss(before, truth)
    errors = [
        expected_calibration_error(reliability_bins(p.max(axis=1), p.argmax(axis=1) == truth)) for p in (before, after)
    ]
    assert errors[1] < errors[0] / 3


def test_reliability__confidence_at_the_ends__falls_in_the_outer_bands() -> None:
    bins = reliability_bins(np.array([0.0, 1.0, 0.1, 0.10001]), np.array([True, True, False, False]))
    assert [(band.lower, band.count) for band in bins] == [(0.0, 2), (0.1, 1), (0.9, 1)]
