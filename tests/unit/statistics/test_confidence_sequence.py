from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.errors import InvalidInput
from bailiwick.statistics.confidence_sequence import Tuning, Watch, compare
from bailiwick.statistics.effect import Alternative
from bailiwick.statistics.guardrail import GuardrailWatch, Margin, guard
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.normal_mixture import (
    bound,
    bound_above,
    log_e_value,
    log_e_value_above,
    mixture_precision,
)
from bailiwick.statistics.score import Support, combine
from benchmarks.simulations.watching import ArmSums, watched


def test_normal_mixture__published_values__equal() -> None:
    """confseq, test/uniform_boundaries_unittest.cpp: computed there by a reference implementation in R, to 1e-5."""
    both, one = mixture_precision(100, 0.05), mixture_precision(100, 0.05, one_sided=True)
    assert both == pytest.approx(12.60056, abs=1e-5)
    assert log_e_value(10, 100, both) == pytest.approx(-0.6510052, abs=1e-7)
    assert bound(100, 0.05, both) == pytest.approx(30.35209, abs=1e-5)
    assert log_e_value_above(10, 100, one) == pytest.approx(-0.06502391, abs=1e-7)
    assert bound_above(100, 0.05, one) == pytest.approx(27.66071, abs=1e-5)


@pytest.mark.parametrize("v", [1e-6, 0.1, 1.0, 50.0, 1e4, 1e9])
@pytest.mark.parametrize("alpha", [0.5, 0.05, 1e-6])
def test_bound_above__any_variance__is_where_the_evidence_suffices(v: float, alpha: float) -> None:
    assert log_e_value_above(bound_above(v, alpha, 7.0), v, 7.0) == pytest.approx(-math.log(alpha), abs=1e-9)


def test_normal_mixture__brownian_motion__keeps_the_expectation_of_one() -> None:
    """Integrated over the normal distribution of the score, the e-value has mean one: it is a martingale."""
    v = 30.0
    s = np.linspace(-200, 200, 400_001)
    weights = np.exp(-s * s / (2 * v)) / math.sqrt(2 * math.pi * v) * (s[1] - s[0])
    assert (weights * np.exp(log_e_value(s, v, 5.0))).sum() == pytest.approx(1, abs=1e-9)
    assert (weights * np.exp(log_e_value_above(s, v, 5.0))).sum() == pytest.approx(1, abs=1e-9)


def _arms(seed: int, units: int = 2_000, lift: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    treated = generator.random(units) < 0.4
    return treated, generator.gamma(4, 0.5 * (1 + lift * treated), units)


@pytest.mark.parametrize("support", [Support.REAL, Support.NON_NEGATIVE])
def test_compare__history_replayed__equals_the_simulated_process(support: Support) -> None:
    treated, values = _arms(1)
    arms = ArmSums.of(~treated[None], values[None], None), ArmSums.of(treated[None], values[None], None)
    process = watched(*arms, support, 5_000)
    expected = process.log_e_values(0.05)[0]
    state, tuning = Watch(), Tuning(5_000, support=support)
    for n in range(300, 2_001):
        first, now = treated[:n], values[:n]
        if n % 100 and process.counted[0, max(0, n - 2)]:
            continue  # the clock needs every look only until the mixture is frozen, and information grows
        look = compare([UnitMoments.of(now[~first])], [UnitMoments.of(now[first])], tuning, state)
        state = look.state
        if not look.inconclusive and process.counted[0, n - 1]:
            assert state.planned_information == pytest.approx(process.planned_information[0])
            if state.information == pytest.approx(process.clock[0, n - 1], rel=1e-12):
                assert math.log(look.e_value) == pytest.approx(expected[n - 1], abs=1e-9)
    assert math.log(look.e_value) == pytest.approx(expected[-1], abs=1e-2)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    lift=st.floats(-0.3, 0.3),
    sign=st.sampled_from([1, -1]),
    alternative=st.sampled_from(list(Alternative)),
)
def test_compare__any_data__difference_lift_and_p_value_agree(
    seed: int, lift: float, sign: int, alternative: Alternative
) -> None:
    treated, values = _arms(seed, 1_200, lift)
    values = sign * values
    look = compare(
        [UnitMoments.of(values[~treated])], [UnitMoments.of(values[treated])], Tuning(2_000, alternative=alternative)
    )
    effect = look.effect
    excluded = effect.low > 0 or effect.high < 0
    assert effect.rejects == excluded
    assert effect.lift is not None and np.sign(effect.lift) == np.sign(effect.difference)
    if effect.lift_low is not None or effect.lift_high is not None:
        lift_low, lift_high = effect.lift_low or 0.0, effect.lift_high or 0.0
        assert ((effect.lift_low is not None and lift_low > 0) or (effect.lift_high is not None and lift_high < 0)) == (
            excluded
        )


def test_compare__looks_follow__p_falls_and_interval_shrinks_only() -> None:
    treated, values = _arms(3, 4_000, 0.1)
    state, tuning, before = Watch(), Tuning(4_000), (1.0, -math.inf, math.inf)
    for n in range(600, 4_001, 50):
        now = treated[:n]
        look = compare([UnitMoments.of(values[:n][~now])], [UnitMoments.of(values[:n][now])], tuning, state)
        after = look.effect.p_value, look.effect.low, look.effect.high
        assert after[0] <= before[0] and after[1] >= before[1] and after[2] <= before[2]
        before, state = after, look.state
    assert look.effect.rejects and not state.moved


def test_compare__effect_reverses__said_and_interval_kept() -> None:
    state, tuning = Watch(), Tuning(10_000)
    zero = UnitMoments.of([-1.0, 1.0] * 500)
    for shift in (1.0, -1.0):
        state = compare([zero], [UnitMoments.of(np.array([-1.0, 1.0] * 500) + shift)], tuning, state).state
    assert state.moved and state.low > 0


def test_combine__shares_change_with_the_day__epochs_are_compared_within() -> None:
    """Simpson's paradox: no effect on either day, but the good day is mostly treated."""
    generator = np.random.default_rng(4)
    good, bad = generator.normal(5, 1, 3_000), generator.normal(1, 1, 3_000)
    control = [UnitMoments.of(bad[:2_500]), UnitMoments.of(good[:500])]
    treatment = [UnitMoments.of(bad[2_500:]), UnitMoments.of(good[500:])]
    assert not compare(control, treatment, Tuning(6_000)).effect.rejects
    pooled = sum(treatment, UnitMoments()).mean - sum(control, UnitMoments()).mean
    assert pooled > 2 and abs(combine(control, treatment).difference) < 0.1


def test_combine__covariate__sharpens_without_moving_the_truth() -> None:
    generator = np.random.default_rng(5)
    before = generator.normal(0, 2, 4_000)
    after = before + generator.normal(0, 1, 4_000)
    after[2_000:] += 0.3
    with_it = combine(
        [UnitMoments.of(after[:2_000], covariates=before[:2_000])],
        [UnitMoments.of(after[2_000:], covariates=before[2_000:])],
    )
    without = combine([UnitMoments.of(after[:2_000])], [UnitMoments.of(after[2_000:])])
    assert with_it.information / without.information == pytest.approx(5, rel=0.1)
    assert with_it.difference == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize(
    ("values", "support", "needed"),
    [
        ([1.0, 2.0] * 50, Support.REAL, "200 independent units"),
        ([0.0] * 990 + [1.0] * 10, Support.BINARY, "25 events"),
        ([1.0] * 990 + [0.0] * 10, Support.BINARY, "25 failures"),
        ([0.01] * 900 + [1e6], Support.NON_NEGATIVE, "25 events"),
        ([3.0] * 900, Support.REAL, "do not vary"),
    ],
)
def test_compare__too_little_seen__says_what_is_missing(values: list[float], support: Support, needed: str) -> None:
    arm = UnitMoments.of(values)
    look = compare([arm], [arm], Tuning(10_000, support=support))
    assert look.inconclusive and needed in (look.reason or "")
    assert look.effect.p_value == 1 and look.e_value == 1 and look.state == Watch()


def test_compare__few_users_send_nearly_all__waits_for_more_users() -> None:
    counts = np.array([10_000.0] * 5 + [1.0] * 995)
    arm = UnitMoments.of(counts * 0.5, counts)
    assert "independent units" in (compare([arm], [arm], Tuning(2_000)).reason or "")


def test_compare__heavy_user_after_a_verdict__verdict_stands() -> None:
    control, treatment = UnitMoments.of([0.0, 1.0] * 500), UnitMoments.of([0.5, 1.5] * 500)
    tuning = Tuning(2_000)
    won = compare([control], [treatment], tuning)
    flooded = control + UnitMoments.of([5e5], [1e6])
    later = compare([flooded], [treatment], tuning, won.state)
    assert later.inconclusive and later.effect.rejects and later.state == won.state


@pytest.mark.parametrize(
    "make",
    [
        lambda: Tuning(planned_units=0),
        lambda: Tuning(planned_units=math.nan),
        lambda: Tuning(1_000, level=95),
        lambda: compare([UnitMoments()], [], Tuning(1_000)),
        lambda: compare([UnitMoments.of([1.0, math.nan])], [UnitMoments.of([1.0])], Tuning(1_000)),
        lambda: Margin(-0.1),
    ],
)
def test_compare__impossible_input__refused_with_a_remedy(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInput) as refused:
        make()
    assert refused.value.remedy


def test_guard__worse_than_the_margin__harmed_and_direction_matters() -> None:
    generator = np.random.default_rng(6)
    control, slower = UnitMoments.of(generator.gamma(9, 10, 3_000)), UnitMoments.of(generator.gamma(9, 12, 3_000))
    tuning = Tuning(6_000, support=Support.NON_NEGATIVE)
    latency = guard([control], [slower], tuning, Margin(0.05, higher_is_better=False))
    revenue = guard([control], [slower], tuning, Margin(0.05, higher_is_better=True))
    assert latency.harmed and not latency.holds and latency.high < 0
    assert revenue.holds and not revenue.harmed and revenue.low > 0


def test_guard__within_the_margin__holds_on_either_scale() -> None:
    generator = np.random.default_rng(7)
    control, same = UnitMoments.of(generator.normal(100, 20, 5_000)), UnitMoments.of(generator.normal(99.5, 20, 5_000))
    for margin in (Margin(0.05), Margin(5.0, relative=False)):
        look = guard([control], [same], Tuning(10_000), margin)
        assert look.holds and not look.harmed and look.low > 0


def test_guard__burn_in__remembers_nothing() -> None:
    look = guard([UnitMoments.of([1.0])], [UnitMoments.of([1.0])], Tuning(100), Margin(0.1))
    assert look.reason and look.state == GuardrailWatch() and not look.harmed and not look.holds


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e6 + 0.1])
def test_compare__values_that_never_vary__rounding_is_no_spread(value: float) -> None:
    look = compare([UnitMoments.of([value] * 997)], [UnitMoments.of([value] * 1_003)], Tuning(2_000))
    assert look.reason == "the values of the two arms do not vary"
    assert (look.e_value, look.effect.p_value) == (1.0, 1.0)


@pytest.mark.parametrize("scale", [1e100, 1e-100])
def test_compare__values_beyond_floats__refused(scale: float) -> None:
    arms = [[UnitMoments.of(np.array([1.0, 2.0] * 300) * scale)] for _ in "ab"]
    with pytest.raises(InvalidInput, match="beyond what can be reckoned"):
        compare(arms[0], arms[1], Tuning(2_000))


@pytest.mark.parametrize("scale", [1e50, 1.0, 1e-50])
def test_compare__another_unit__same_verdict(scale: float) -> None:
    treated, values = _arms(8, 2_000, 0.2)
    look = compare([UnitMoments.of(values[~treated] * scale)], [UnitMoments.of(values[treated] * scale)], Tuning(2_000))
    assert look.effect.lift == pytest.approx(0.2, abs=0.06)
    assert look.effect.rejects


def test_guard__margin_of_everything_and_no_spread__says_so() -> None:
    control, flat = UnitMoments.of([1.0, 2.0] * 300), UnitMoments.of([1.0] * 600)
    look = guard([control], [flat], Tuning(1_000), Margin(1.0))
    assert look.reason is None or "vary" in look.reason
    assert not look.harmed
