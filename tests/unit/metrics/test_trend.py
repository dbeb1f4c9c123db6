from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bailiwick.metrics.trend import Direction, trend


def test_trend__noisy_line__slope_and_interval_of_scipy() -> None:
    rng = np.random.default_rng(5)
    days = np.arange(40) / 24
    values = 3 * days + rng.normal(0, 0.5, 40)
    found = trend(days, values)
    slope, _, low, high = stats.theilslopes(values, days, 0.95)
    assert found.direction is Direction.RISING
    assert found.slope == pytest.approx(slope, rel=1e-12)
    assert found.low == pytest.approx(low, rel=0.02)
    assert found.high == pytest.approx(high, rel=0.02)


def test_trend__p_value__that_of_mann_and_kendall_worked_by_hand() -> None:
    # of 28 pairs one is tied and 27 rise
    found = trend(range(8), [1, 2, 2, 3, 4, 5, 6, 7])
    z = (27 - 1) / np.sqrt((8 * 7 * 21 - 2 * 1 * 9) / 18)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(z), rel=1e-12)


def test_trend__no_trend__says_rising_or_falling_as_seldom_as_promised() -> None:
    rng = np.random.default_rng(11)
    days = np.arange(30)
    wrong = sum(trend(days, rng.lognormal(0, 1, 30)).direction is not Direction.STEADY for _ in range(1_000))
    assert wrong <= 75  # 50 expected, standard deviation 7


def test_trend__mirrored__falls_by_as_much() -> None:
    values = [3.0, 4.0, 3.5, 5.0, 5.5, 6.5, 6.0, 8.0, 9.0]
    up, down = trend(range(9), values), trend(range(9), [-value for value in values])
    assert (up.direction, down.direction) == (Direction.RISING, Direction.FALLING)
    assert down.slope == pytest.approx(-up.slope)
    assert (up.relative or 0) == pytest.approx(-(down.relative or 0))


@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 7])
def test_trend__too_few_points__inconclusive_with_the_reason(values: list[float]) -> None:
    found = trend(range(len(values)), values)
    assert (found.direction, found.slope) == (Direction.INCONCLUSIVE, None)
    assert "too few" in found.reason


def test_trend__constant__steady() -> None:
    found = trend(range(10), [0.0] * 10)
    assert (found.direction, found.slope, found.relative, found.p_value) == (Direction.STEADY, 0, None, 1)
