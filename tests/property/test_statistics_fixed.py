"""What must hold of the fixed-horizon tests for any data at all."""

from __future__ import annotations

import math
from dataclasses import astuple
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bailiwick.statistics.effect import Alternative, Effect
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.multiple_testing import benjamini_hochberg, bonferroni, hochberg, holm
from bailiwick.statistics.proportions import Share, score_test, z_test
from bailiwick.statistics.welch import ArmEstimate, compare_estimates, welch

VALUES = st.lists(
    st.floats(-1e3, 1e3, allow_subnormal=False).map(lambda value: round(value, 3)), min_size=2, max_size=30
)
COUNTS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=2, max_size=20)
SIDES = st.sampled_from(list(Alternative))
LEVELS = st.sampled_from([0.5, 0.8, 0.95, 0.999])
SHARES = st.integers(0, 400).flatmap(lambda n: st.builds(Share, st.integers(0, n), st.just(n)))
ESTIMATES = st.builds(
    ArmEstimate,
    st.floats(-1e6, 1e6),
    st.floats(1e-9, 1e9),
    st.floats(2, 1e7),
)


def check_agreement(effect: Effect, slack: float = 1e-9) -> None:
    """Interval of difference, interval of lift and p-value tell the same story."""
    assert 0.0 <= effect.p_value <= 1.0
    if not effect.known:
        return
    if effect.lift is not None:
        assert math.copysign(1, effect.lift) == math.copysign(1, effect.difference) or effect.lift == 0
    # at the very border rounding decides
    assume(abs(effect.p_value - (1 - effect.level)) > slack)
    assert effect.low <= effect.difference + 1e-9 * abs(effect.difference)
    assert effect.high >= effect.difference - 1e-9 * abs(effect.difference)
    assert effect.rejects == (effect.low > 0 or effect.high < 0)
    if effect.lift_low is not None and effect.lift_high is not None:
        assert effect.rejects == (effect.lift_low > 0 or effect.lift_high < 0)
        if effect.rejects:
            assert (effect.lift_low > 0) == (effect.low > 0)


@given(ESTIMATES, ESTIMATES, LEVELS, SIDES)
@settings(max_examples=400)
def test_estimates__any__difference_lift_and_p_value_agree(
    control: ArmEstimate, treatment: ArmEstimate, level: float, side: Alternative
) -> None:
    check_agreement(compare_estimates(control, treatment, level, side))


@given(VALUES, VALUES, LEVELS, SIDES)
def test_welch__any_values__difference_lift_and_p_value_agree(
    control: list[float], treatment: list[float], level: float, side: Alternative
) -> None:
    check_agreement(welch(UnitMoments.of(control), UnitMoments.of(treatment), level, side))


@given(SHARES, SHARES, LEVELS, SIDES, st.booleans())
@settings(max_examples=200)
def test_score__any_counts__difference_lift_and_p_value_agree(
    control: Share, treatment: Share, level: float, side: Alternative, corrected: bool
) -> None:
    check_agreement(score_test(control, treatment, level, side, corrected))
    check_agreement(z_test(control, treatment, level, side))


@given(SHARES, SHARES)
def test_score__successes_and_failures_exchanged__difference_turns_around(control: Share, treatment: Share) -> None:
    assume(control.trials and treatment.trials)
    found = score_test(control, treatment)
    turned = score_test(
        Share(control.trials - control.successes, control.trials),
        Share(treatment.trials - treatment.successes, treatment.trials),
    )
    assert turned.p_value == pytest.approx(found.p_value, rel=1e-9, abs=1e-300)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-9)


@given(COUNTS, COUNTS)
def test_moments__added__are_those_of_all_units(one: list[tuple[int, int]], two: list[tuple[int, int]]) -> None:
    (totals, counts), (more, others) = zip(*one, strict=True), zip(*two, strict=True)
    added = UnitMoments.of(totals, counts) + UnitMoments.of(more, others)
    assert astuple(added) == astuple(UnitMoments.of([*totals, *more], [*counts, *others]))


@given(VALUES, VALUES, st.sampled_from([0.001, 0.5, 3.0, 1e6]))
def test_welch__unit_of_measure_changed__only_the_difference_scales(
    control: list[float], treatment: list[float], factor: float
) -> None:
    plain = welch(UnitMoments.of(control), UnitMoments.of(treatment))
    scaled = welch(UnitMoments.of(np.array(control) * factor), UnitMoments.of(np.array(treatment) * factor))
    assume(plain.known and plain.standard_error > 1e-4)
    assert scaled.p_value == pytest.approx(plain.p_value, rel=1e-5, abs=1e-12)
    assert scaled.low == pytest.approx(factor * plain.low, rel=1e-5, abs=1e-6 * factor)


@given(VALUES, VALUES, st.sampled_from([-50.0, 1.0, 1000.0]))
def test_welch__constant_added_to_both__difference_stays(
    control: list[float], treatment: list[float], shift: float
) -> None:
    plain = welch(UnitMoments.of(control), UnitMoments.of(treatment))
    shifted = welch(UnitMoments.of(np.array(control) + shift), UnitMoments.of(np.array(treatment) + shift))
    assume(plain.known and plain.standard_error > 0.1)
    assert shifted.p_value == pytest.approx(plain.p_value, rel=1e-4, abs=1e-9)
    assert (shifted.low, shifted.high) == pytest.approx((plain.low, plain.high), rel=1e-4, abs=1e-4)


@given(VALUES, VALUES)
def test_welch__arms_exchanged__difference_turns_around(control: list[float], treatment: list[float]) -> None:
    one = welch(UnitMoments.of(control), UnitMoments.of(treatment))
    other = welch(UnitMoments.of(treatment), UnitMoments.of(control))
    assert other.p_value == pytest.approx(one.p_value, rel=1e-12)
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), rel=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_p_values__any_family__in_their_order_and_never_smaller(p_values: list[float]) -> None:
    given_values = np.array(p_values)
    by_rule = [benjamini_hochberg(p_values), hochberg(p_values), holm(p_values), bonferroni(p_values)]
    assert (by_rule[0] >= given_values - 1e-15).all()
    for smaller, larger in pairwise(by_rule):
        assert (smaller <= larger + 1e-15).all()
    order = np.argsort(given_values, kind="stable")
    assert all((np.diff(adjusted[order]) >= -1e-15).all() for adjusted in by_rule)
