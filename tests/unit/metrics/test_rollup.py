from __future__ import annotations

import math

import numpy as np
import pytest

from bailiwick.errors import InvalidInput
from bailiwick.metrics.rollup import Rollup
from bailiwick.metrics.sketch import Sketch


def test_rollup__known_values__exact_moments() -> None:
    values = np.random.default_rng(1).lognormal(3, 1, 10_000)
    rollup = Rollup.of(values)
    assert rollup.mean == pytest.approx(float(np.mean(values)))
    assert rollup.variance == pytest.approx(float(np.var(values, ddof=1)))
    assert rollup.quantile(0.95) == pytest.approx(float(np.quantile(values, 0.95, method="lower")), rel=0.01)


def test_rollup__empty__nothing_known_and_neutral_in_sums() -> None:
    empty = Rollup.of([])
    assert math.isnan(empty.mean)
    assert math.isnan(empty.quantile(0.5))
    both = empty + Rollup.of([2.0, 4.0])
    assert (both.count, both.mean, both.minimum, both.maximum) == (2, 3.0, 2.0, 4.0)


def test_rollup__single_value__quantiles_are_it() -> None:
    rollup = Rollup.of([7.3])
    assert [rollup.quantile(q) for q in (0, 0.5, 1)] == [7.3, 7.3, 7.3]
    assert math.isnan(rollup.variance)


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_quantile__not_a_quantile__refused(q: float) -> None:
    with pytest.raises(InvalidInput):
        Sketch.of([1.0]).quantile(q)


def test_sketch__negative_zero_positive__in_order() -> None:
    sketch = Sketch.of([-100.0, -1.0, 0.0, 1.0, 100.0])
    assert [round(sketch.quantile(q)) for q in (0, 0.25, 0.5, 0.75, 1)] == [-100, -1, 0, 1, 100]


def test_sketch__largest_floats__no_overflow() -> None:
    assert math.isfinite(Sketch.of([1.7976931348623157e308]).quantile(0.5))


def test_sketch__a_minute_of_latencies__few_bytes() -> None:
    latencies = np.random.default_rng(2).lognormal(3, 0.5, 3600)
    assert len(Sketch.of(latencies).to_bytes()) < 600


@pytest.mark.parametrize("stored", [b"", b"\x01", b"\x02\0\0\0\0", b"\x01\x05\0\0\0rubbish", b"\x01\xff\xff\xff\xff"])
def test_from_bytes__damaged__refused(stored: bytes) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        Sketch.from_bytes(stored)


def test_from_bytes__cut_short__refused() -> None:
    stored = Sketch.of(range(1, 500)).to_bytes()
    with pytest.raises(InvalidInput):
        Sketch.from_bytes(stored[:-20])
