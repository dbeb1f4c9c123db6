from __future__ import annotations

import math

import pytest

from bailiwick.errors import BudgetExhausted, InvalidInput
from bailiwick.privacy.accounting.composition import pure_epsilon_for_total
from bailiwick.privacy.accounting.filter import AdaptiveFilter
from bailiwick.privacy.accounting.plan import FixedPlan
from bailiwick.privacy.accounting.steps import ApproximateDp, Gaussian, Laplace, Mechanism, PureDp, SampledGaussian
from bailiwick.privacy.accounting.zcdp import zcdp_epsilon

DELTA = 1e-6

# 100 Laplace queries at delta 1e-6. Sources: sums, DRV10 and zCDP by hand; KOV from a 60-digit evaluation of KOV15,
# theorem 3.3; RDP and PLD from dp-accounting 0.6.0's own accountants.
GOLDEN = [
    # each, advanced, zCDP, RDP, KOV exact, PLD
    (0.01, 0.536, 0.430, 0.421, 0.392264, 0.3913),
    (0.05, 2.885, 2.419, 2.342, 2.207533, 2.1933),
    (0.1, 6.308, 5.222, 4.984, 4.774568, 4.6927),
    (0.5, 50.0, 37.42, 31.82, 33.319788, 30.4837),
    (1.0, 100.0, 100.7, 73.82, 83.530702, 71.5460),
]


@pytest.mark.parametrize(("each", "advanced", "zcdp", "rdp", "kov", "pld"), GOLDEN)
def test_fixed_plan__hundred_laplace_queries__golden_numbers(
    each: float, advanced: float, zcdp: float, rdp: float, kov: float, pld: float
) -> None:
    found = FixedPlan.of((Laplace(each), 100)).bounds(DELTA)
    assert found["naive"] == pytest.approx(100 * each)
    assert found["advanced"] == pytest.approx(advanced, abs=6e-4 if advanced < 10 else 6e-3)
    assert found["zcdp"] == pytest.approx(zcdp, abs=6e-4 if zcdp < 10 else 6e-2)
    assert found["rdp"] == pytest.approx(rdp, abs=6e-4 if rdp < 10 else 6e-3)
    assert found["kov"] == pytest.approx(kov, abs=6e-7)
    assert found["pld"] == pytest.approx(pld, abs=6e-5)


def test_fixed_plan__targets__met_by_the_noise_that_is_really_drawn() -> None:
    assert FixedPlan.of((Laplace(0.1, steps=64), 100)).epsilon(DELTA) <= 4.70
    assert AdaptiveFilter.of(0.5).epsilon(DELTA) <= 5.76


def test_fixed_plan__whole_number_noise_on_a_count__composes_like_randomised_response_not_like_laplace() -> None:
    plan = FixedPlan.of((Laplace(0.1, steps=1), 100))
    assert plan.pld(DELTA) == pytest.approx(plan.kov(DELTA), abs=1e-4)
    assert plan.pld(DELTA) > FixedPlan.of((Laplace(0.1), 100)).pld(DELTA) + 0.08


def test_fixed_plan__very_fine_grid__bounded_by_the_worst_pure_step() -> None:
    plan = FixedPlan.of((Laplace(0.1, steps=2**50), 100))
    assert plan.pld(DELTA) == pytest.approx(4.774568, abs=1e-4)


@pytest.mark.parametrize(
    ("multiplier", "count", "delta", "expected"),
    [(10, 100, 1e-6, 4.886554), (5, 50, 1e-5, 6.572970), (1, 1, 1e-5, 4.377178)],
)
def test_fixed_plan__gaussian__equals_the_closed_form(
    multiplier: float, count: int, delta: float, expected: float
) -> None:
    found = FixedPlan.of((Gaussian(multiplier), count))
    assert found.pld(delta) == pytest.approx(expected, abs=2e-4)
    assert found.pld(delta) >= expected - 1e-6
    assert found.naive(delta) == math.inf


@pytest.mark.parametrize(
    ("rate", "multiplier", "count", "rdp", "pld"),
    [(0.01, 1.0, 1000, 2.1014, 1.8282), (256 / 60000, 1.1, 14062, 2.5966, 2.3817)],
)
def test_fixed_plan__sampled_gaussian__golden_numbers_of_dp_accounting(
    rate: float, multiplier: float, count: int, rdp: float, pld: float
) -> None:
    plan = FixedPlan.of((SampledGaussian(rate, multiplier), count))
    assert plan.pld(1e-5) == pytest.approx(pld, abs=2e-3)
    assert rdp - 5e-5 <= plan.rdp(1e-5) <= rdp * 1.01  # the chord between whole orders is never below the truth
    assert plan.epsilon(1e-5) == plan.pld(1e-5)


def test_fixed_plan__mixed_steps__one_joint_figure_below_the_blocks_added_up() -> None:
    laplace, training = (Laplace(0.05), 100), (SampledGaussian(0.01, 1.0), 1000)
    queries = (Gaussian(40), 50)
    joint = FixedPlan.of(laplace, training, queries).pld(1e-5)
    assert joint == pytest.approx(2.843, abs=5e-3)
    assert joint < sum(FixedPlan.of(part).pld(1e-5 / 3) for part in (laplace, training, queries))


def test_fixed_plan__fixed_orders__a_bad_one_is_fatal() -> None:
    plan = FixedPlan.of((Laplace(0.05), 100), (SampledGaussian(0.01, 1.0), 1000), (Gaussian(40), 50))
    assert plan.rdp(1e-5, order=6) == pytest.approx(3.168, abs=2e-3)
    assert plan.rdp(1e-5, order=8) == pytest.approx(3.195, abs=2e-3)
    assert plan.rdp(1e-5, order=16) > 1000
    assert plan.rdp(1e-5) <= plan.rdp(1e-5, order=6)


def test_fixed_plan__steps_with_delta__spend_it() -> None:
    plan = FixedPlan.of((ApproximateDp(0.1, 1e-8), 10), (PureDp(0.1), 10))
    assert plan.naive(1e-6) == pytest.approx(2.0)
    assert plan.naive(1e-8) == math.inf
    assert plan.kov(1e-6) <= 2.0
    assert plan.pld(1e-6) <= 2.0 + 1e-3
    assert plan.zcdp(1e-6) == math.inf


def test_kov__unequal_steps__theorem_3_5() -> None:
    equal = FixedPlan.of((PureDp(0.1), 100)).kov(DELTA)
    nearly = FixedPlan.of((PureDp(0.1), 99), (PureDp(0.1000001), 1)).kov(DELTA)
    assert nearly == pytest.approx(5.756, abs=6e-4)
    assert equal < nearly


def test_adaptive_filter__over_ask__refused_and_smaller_steps_still_fit() -> None:
    kept = AdaptiveFilter.of(0.01)
    with pytest.raises(BudgetExhausted) as refused:
        kept.after(PureDp(0.2))
    assert refused.value.allowed == 0.01
    assert kept.after(PureDp(0.1)).left_nano == 5_000_000
    with pytest.raises(BudgetExhausted):
        kept.after(ApproximateDp(0.001, 1e-9))


@pytest.mark.parametrize(("epsilon", "delta"), [(0.1, 1e-6), (1.0, 1e-5), (8.0, 1e-4)])
def test_adaptive_filter__for_an_epsilon__is_the_largest(epsilon: float, delta: float) -> None:
    kept = AdaptiveFilter.for_epsilon(epsilon, delta)
    assert kept.epsilon(delta) <= epsilon
    assert zcdp_epsilon((kept.cap_nano + 2) / 1e9, delta) > epsilon - 1e-6


@pytest.mark.parametrize("count", [1, 2, 10, 100])
@pytest.mark.parametrize("epsilon", [0.1, 1.0, 5.0])
def test_share_of_a_total__steps_together__stay_within_it(epsilon: float, count: int) -> None:
    each = pure_epsilon_for_total(epsilon, DELTA, count)
    assert each >= epsilon / count
    assert FixedPlan.of((PureDp(each), count)).kov(DELTA) <= epsilon * (1 + 1e-12)


@pytest.mark.parametrize(
    "step",
    [
        PureDp(0.0),
        PureDp(-1.0),
        PureDp(math.nan),
        PureDp(math.inf),
        PureDp(5e-324),
        Laplace(0.1, steps=0),
        Gaussian(0.0),
        Gaussian(math.nan),
        SampledGaussian(0.0, 1.0),
        SampledGaussian(1.5, 1.0),
        ApproximateDp(0.1, 0.0),
        ApproximateDp(0.1, 1.0),
        ApproximateDp(0.1, math.nan),
    ],
)
def test_plan_and_filter__senseless_amount__refused(step: Mechanism) -> None:
    with pytest.raises(InvalidInput):
        FixedPlan.of((step, 1))
    with pytest.raises(InvalidInput):
        AdaptiveFilter.of(1.0).after(step)
