"""The quick version of the simulations of bandits, covariates, strata, beliefs and off-policy values.

`benchmarks/simulations/adaptive.py` runs the full one. Bounds leave three standard errors of the fewer repetitions.
"""

from __future__ import annotations

import pytest

from bailiwick.statistics.doubly_robust import Batch, effect_of_batches
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.score import BurnIn
from benchmarks.simulations import adaptive


def test_bandit__simulated_on_arrays__is_what_the_analysis_says_of_the_same_history() -> None:
    looks: list[adaptive.Look] = []
    adaptive.thompson_runs(0.05, repetitions=2, arms=3, batches=12, observe=looks.append)
    batches: list[Batch] = []
    for look in looks:
        arms = [
            UnitMoments(n, total, n, 0.0, total_total=square, count_count=n, total_count=total)
            for n, total, square in zip(look.units[1], look.totals[1], look.squares[1], strict=True)
        ]
        batches.append(Batch(tuple(look.allocation[1]), tuple(arms)))
        found = effect_of_batches(batches, 0, 1, planned_units=1200, burn_in=BurnIn(units=1))
        assert found.difference == pytest.approx(look.difference[1], rel=1e-9)
        assert found.high - found.difference == pytest.approx(look.half_width[1], rel=1e-9)


@pytest.mark.parametrize("share", [None, 0.1, 0.02])
def test_bandit__default_floor_watched_at_every_batch__ever_misses_at_most_as_promised(share: float | None) -> None:
    found = adaptive.thompson_runs(0.1, repetitions=2000, share=share)
    assert found.ours_ever <= 5.4
    assert found.plain_ever > found.ours_ever


def test_bandit__small_floor__plain_interval_misses_twice_as_often_as_it_says() -> None:
    found = adaptive.thompson_runs(0.01, repetitions=2000)
    assert found.plain_at_end > 8.0
    assert found.plain_ever > 20.0
    assert found.ours_ever <= 5.4


def test_bandit__four_arms__ever_misses_at_most_as_promised() -> None:
    found = adaptive.thompson_runs(0.1, repetitions=300, arms=4, batches=50, batch=200)
    assert found.ours_ever <= 5.4 + 1.5


@pytest.mark.parametrize("ratio", [False, True])
def test_covariates__correlation_of_seven_tenths__half_the_variance_and_true_coverage(ratio: bool) -> None:
    found = adaptive.covariate_runs(1000, ratio=ratio)
    assert found.variance_gone == pytest.approx(49, abs=1.5)
    assert 92.9 <= found.coverage <= 97.1


def test_strata__ramp_with_a_worsening_mix__covers_where_pooling_never_does() -> None:
    stratified, pooled = adaptive.strata_runs(500)
    assert stratified >= 92.0
    assert pooled < 5.0


def test_beliefs__truth_drawn_from_the_prior__come_true() -> None:
    two, four, shares = adaptive.belief_runs(1500, 2), adaptive.belief_runs(300, 4), adaptive.share_runs(800, 3)
    assert two.error < 3.0
    assert 93.3 <= two.credible <= 96.7
    assert 0.8 < two.loss < 1.2
    assert four.error < 5.0
    assert shares.error < 3.0
    assert 0.8 < shares.loss < 1.2


def test_off_policy__wrong_reward_model__every_interval_covers_but_the_models_own() -> None:
    found = adaptive.off_policy_runs(800)
    assert found["bernstein"] >= 99.0
    for name in ("normal", "self_normalised", "doubly_robust"):
        assert 92.3 <= found[name] <= 97.5, name
    assert found["model_alone"] < 5.0


def test_off_policy__watched__the_anytime_interval_keeps_its_word_and_the_normal_one_does_not() -> None:
    anytime, normal = adaptive.off_policy_watched(300)
    assert anytime <= 5.4
    assert normal > 12.0
