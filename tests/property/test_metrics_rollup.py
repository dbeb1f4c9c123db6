"""Rollups and sketches: merging loses nothing, quantiles are within 1 %."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.metrics.rollup import Rollup
from bailiwick.metrics.sketch import RELATIVE_ACCURACY, Sketch

numbers = st.one_of(
    st.floats(-1e100, 1e100, allow_nan=False, allow_subnormal=False),
    st.floats(0.01, 10_000),
    st.sampled_from([0.0, -0.0, 1.0, -1.0]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=200), st.floats(0, 1))
def test_quantile__any_values__within_one_percent_of_the_true_one(values: list[float], q: float) -> None:
    true = sorted(values)[math.floor(q * (len(values) - 1))]
    assert Sketch.of(values).quantile(q) == pytest.approx(true, rel=RELATIVE_ACCURACY * (1 + 1e-9), abs=0)
    assert Rollup.of(values).quantile(q) == pytest.approx(true, rel=RELATIVE_ACCURACY * (1 + 1e-9), abs=0)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(numbers, max_size=50), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_merged__any_split_in_any_order__same_as_all_at_once(parts: list[list[float]], random: object) -> None:
    whole = Rollup.of([value for part in parts for value in part])
    random.shuffle(parts)  # type: ignore[attr-defined]
    merged = Rollup.merged(Rollup.of(part) for part in parts)
    assert np.array_equal(merged.sketch.buckets, whole.sketch.buckets)
    assert np.array_equal(merged.sketch.counts, whole.sketch.counts)
    assert (merged.count, merged.minimum, merged.maximum) == (whole.count, whole.minimum, whole.maximum)
    size = sum(abs(value) for part in parts for value in part)
    assert merged.total == pytest.approx(whole.total, rel=1e-9, abs=1e-9 * size)
    assert merged.squares == pytest.approx(whole.squares, rel=1e-9)


@settings(max_examples=200, deadline=None)
@given(st.lists(numbers, max_size=200))
def test_bytes__there_and_back__same_sketch(values: list[float]) -> None:
    sketch = Sketch.of(values)
    again = Sketch.from_bytes(sketch.to_bytes())
    assert np.array_equal(again.buckets, sketch.buckets)
    assert np.array_equal(again.counts, sketch.counts)
