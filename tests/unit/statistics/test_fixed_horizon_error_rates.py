"""The quick version of `benchmarks/simulations/fixed_horizon.py`: error rates by simulation, within four sigma."""

from __future__ import annotations

import math

import pytest
from scipy.stats import kstest

from benchmarks.simulations import fixed_horizon
from benchmarks.simulations.populations import Population, bernoulli, populations

REPETITIONS = 1_500
FOUR_SIGMA = 4 * math.sqrt(0.05 * 0.95 / REPETITIONS)
MEANS = [population for population in populations() if population.events is None]


def check(outcome: fixed_horizon.Outcome) -> None:
    assert outcome.rejected == pytest.approx(0.05, abs=FOUR_SIGMA)
    assert outcome.covered == pytest.approx(0.95, abs=FOUR_SIGMA)
    assert outcome.lift_covered == pytest.approx(0.95, abs=FOUR_SIGMA)
    assert kstest(outcome.p_values, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("population", MEANS, ids=lambda population: population.name)
def test_welch__no_effect_and_ten_per_cent__wrong_one_time_in_twenty(population: Population) -> None:
    check(fixed_horizon.simulate_welch(population, 400, REPETITIONS, seed=11))


@pytest.mark.parametrize(("share", "units"), [(0.001, 5_000_000), (0.02, 250_000), (0.5, 20_000)])
def test_score__no_effect_and_ten_per_cent__wrong_one_time_in_twenty(share: float, units: int) -> None:
    check(fixed_horizon.simulate_score(share, units, REPETITIONS, seed=12))


def test_welch__errors_per_request_instead_of_per_user__would_be_found() -> None:
    """The simulation can fail: requests of a user are alike, and a test that forgets it rejects twice as often."""
    clustered = next(population for population in MEANS if population.name == "clustered ratio")
    control, treatment = (fixed_horizon.arms(clustered, 400, 0.0, REPETITIONS, seed) for seed in (1, 2))
    naive = [(mean, mean * (1 - mean) / (5 * units), 5 * units) for mean, _, units in (control, treatment)]
    rejected = (fixed_horizon.welch_many(naive[0], naive[1]).p_value < 0.05).mean()
    assert rejected > 0.05 + FOUR_SIGMA


def test_exact_size__large_arms__is_the_level_and_rare_events_in_unequal_arms_are_not() -> None:
    assert fixed_horizon.exact_size(250_000, 250_000, 0.02) == pytest.approx(0.05, abs=1e-4)
    assert fixed_horizon.exact_size(45_000, 5_000, 0.001, pooled=False) > 0.08
    assert fixed_horizon.exact_size(45_000, 5_000, 0.001) < 0.05


def test_fisher__rare_events__never_above_its_level() -> None:
    rates = fixed_horizon.rare_rejections(0.001, 20_000, REPETITIONS)
    assert rates["Fisher"] < 0.05
    assert rates["Fisher"] < rates["mid-p"] < 0.05 + FOUR_SIGMA


@pytest.mark.parametrize("treatments", [3, 10])
def test_dunnett__no_effect__family_wise_error_is_the_level(treatments: int) -> None:
    assert fixed_horizon.family_wise(treatments, REPETITIONS) == pytest.approx(0.05, abs=FOUR_SIGMA)


def test_guardrail__worse_by_the_margin__passes_one_time_in_twenty() -> None:
    assert fixed_horizon.guardrail_at_margin(REPETITIONS) == pytest.approx(0.05, abs=FOUR_SIGMA)


def test_tail_latency_and_ranks__no_effect__reject_one_time_in_twenty() -> None:
    assert fixed_horizon.tail_latency(REPETITIONS) == pytest.approx(0.05, abs=FOUR_SIGMA)
    assert fixed_horizon.ranks(REPETITIONS) == pytest.approx(0.05, abs=FOUR_SIGMA)


def test_populations__means_and_lifts__are_as_stated() -> None:
    generator = fixed_horizon.np.random.default_rng(3)
    for population in (*MEANS, bernoulli(0.02)):
        for lift in (0.0, 0.1):
            totals, counts = population.draw(generator, (200_000,), lift)
            assert totals.sum() / counts.sum() == pytest.approx(population.mean * (1 + lift), rel=0.03)
