from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from bailiwick.errors import InvalidInput
from bailiwick.statistics.bayesian import LiftPrior, compare_arms, prior_sensitivity, rank_arms
from bailiwick.statistics.bayesian_shares import BetaBelief, rank_shares
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.regression_adjustment import regression_adjusted
from bailiwick.statistics.stratification import inverse_variance, post_stratified

FLAT = LiftPrior(0.0, math.inf)


def _sample(units: float, total: float, square: float) -> UnitMoments:
    return UnitMoments(units, total, units, 0.0, total_total=square, count_count=units, total_count=total)


CONTROL, TREATMENT = _sample(10, 100, 1002.25), _sample(10, 105, 1111.5)


def test_compare__flat_prior__gbstats_risk() -> None:
    """growthbook/growthbook (MIT), packages/stats/tests/bayesian/test_tests.py: test_bayesian_gaussian_ab_test."""
    found = compare_arms(CONTROL, TREATMENT, FLAT)
    assert found.loss_of_control == pytest.approx(0.51256, abs=5e-6)
    assert found.loss_of_treatment == pytest.approx(0.01256, abs=5e-6)
    assert found.lift == pytest.approx(0.05)
    assert found.probability_better == pytest.approx(float(ndtr(0.5 / math.sqrt(0.125))))


def test_compare__flat_prior__is_the_ordinary_interval() -> None:
    found = compare_arms(CONTROL, TREATMENT, FLAT)
    assert (found.low, found.high) == (
        pytest.approx(0.5 - 1.959963985 * math.sqrt(0.125)),
        pytest.approx(0.5 + 1.959963985 * math.sqrt(0.125)),
    )


def test_compare__prior__precisions_add() -> None:
    """Gelman et al., "Bayesian data analysis", equations 2.11 and 2.12, on the difference."""
    found = compare_arms(CONTROL, TREATMENT, LiftPrior(0.02, 0.05))
    precision = 1 / 0.125 + 1 / 0.5**2
    mean = (0.5 / 0.125 + 0.2 / 0.5**2) / precision
    assert found.difference == pytest.approx(mean)
    assert found.high - found.difference == pytest.approx(1.959963985 / math.sqrt(precision))


def test_compare__smaller_is_better__mirrors() -> None:
    up, down = compare_arms(CONTROL, TREATMENT), compare_arms(CONTROL, TREATMENT, larger_is_better=False)
    assert down.probability_better == pytest.approx(1 - up.probability_better)
    assert (down.loss_of_treatment, down.loss_of_control) == (up.loss_of_control, up.loss_of_treatment)
    assert (down.low, down.high) == (up.low, up.high)


def test_compare__negative_control__lift_has_the_sign_of_the_difference() -> None:
    worse = compare_arms(UnitMoments.of([-9.0, -10.0, -11.0] * 9), UnitMoments.of([-8.0, -9.0, -10.0] * 9))
    assert worse.difference > 0
    assert worse.lift is not None
    assert worse.lift > 0


@pytest.mark.parametrize("empty", [UnitMoments(), UnitMoments.of([1.0]), UnitMoments.of([2.0, 2.0])])
def test_compare__nothing_to_tell__knows_nothing(empty: UnitMoments) -> None:
    found = compare_arms(empty, empty)
    assert found.probability_better == 0.5
    assert (found.low, found.high) == (-math.inf, math.inf)
    assert [each.probability_best for each in rank_arms([empty, empty])] == [0.5, 0.5]


def test_compare__control_of_zero__only_the_data_count() -> None:
    found = compare_arms(UnitMoments.of([-1.0, 1.0] * 20), UnitMoments.of([-0.5, 1.5] * 20))
    assert found.lift is None
    assert found.difference == 0.5


def test_sensitivity__weak_evidence__hangs_on_the_prior() -> None:
    generator = np.random.default_rng(4)
    weak = prior_sensitivity(
        UnitMoments.of(generator.normal(10, 8, 300)), UnitMoments.of(generator.normal(11.5, 8, 300))
    )
    assert weak.sceptical.probability_better < weak.default.probability_better < weak.wide.probability_better
    assert not weak.robust()
    strong = prior_sensitivity(
        UnitMoments.of(generator.normal(10, 1, 900)), UnitMoments.of(generator.normal(11, 1, 900))
    )
    assert strong.robust()


@pytest.mark.parametrize("prior", [FLAT, LiftPrior(), LiftPrior(0.03, 0.02), LiftPrior(-0.1, 1.0)])
@pytest.mark.parametrize("larger", [True, False])
def test_rank__two_arms__agrees_with_the_comparison(prior: LiftPrior, larger: bool) -> None:
    belief = compare_arms(CONTROL, TREATMENT, prior, larger_is_better=larger)
    ranked = rank_arms([CONTROL, TREATMENT], prior, larger_is_better=larger)
    assert ranked[1].probability_best == pytest.approx(belief.probability_better, abs=1e-9)
    assert ranked[0].expected_loss == pytest.approx(belief.loss_of_control, abs=1e-9)
    assert ranked[1].expected_loss == pytest.approx(belief.loss_of_treatment, abs=1e-9)
    assert ranked[1].mean - ranked[0].mean == pytest.approx(belief.difference, abs=1e-9)


def test_rank__four_unequal_arms__simulation_from_the_joint_posterior() -> None:
    generator = np.random.default_rng(7)
    arms = [UnitMoments.of(generator.normal(mean, 8, n)) for mean, n in ((10, 50), (11, 900), (9.5, 5000), (12, 60))]
    means, variances = (np.array([getattr(arm, name) for arm in arms]) for name in ("mean", "variance_of_mean"))
    prior = np.eye(4) * (0.1 * means[0]) ** 2 / 2 + 1e6  # a common level of which next to nothing is known
    gain = prior @ np.linalg.inv(prior + np.diag(variances))
    centre, spread = gain @ means, prior - gain @ prior
    drawn = generator.multivariate_normal(centre, (spread + spread.T) / 2, 400_000)
    ranked = rank_arms(arms)
    frequency = np.bincount(drawn.argmax(axis=1), minlength=4) / len(drawn)
    assert [each.probability_best for each in ranked] == pytest.approx(frequency, abs=0.004)
    loss = (drawn.max(axis=1)[:, None] - drawn).mean(axis=0)
    assert [each.expected_loss for each in ranked] == pytest.approx(loss, abs=0.02)


def test_rank__one_arm__refused() -> None:
    with pytest.raises(InvalidInput, match="cannot be ranked"):
        rank_arms([CONTROL])
    with pytest.raises(InvalidInput, match="cannot be ranked"):
        rank_shares([BetaBelief()])


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 0.0), (0.0, -1.0), (math.nan, 0.1), (0.0, math.nan)])
def test_prior__no_distribution__refused(mean: float, deviation: float) -> None:
    with pytest.raises(InvalidInput, match="not a distribution"):
        LiftPrior(mean, deviation)


def test_beta__impossible_counts__refused() -> None:
    for successes, trials in ((3, 2), (-1, 2), (0, math.inf), (math.nan, 2)):
        with pytest.raises(InvalidInput, match="successes in"):
            BetaBelief().after(successes, trials)
    with pytest.raises(InvalidInput, match="supported"):
        BetaBelief(0.1, 1.0)


def test_rank_shares__errors__fewer_are_better() -> None:
    ranked = rank_shares([BetaBelief().after(2, 100), BetaBelief().after(10, 100)], larger_is_better=False)
    mirrored = rank_shares([BetaBelief().after(98, 100), BetaBelief().after(90, 100)])
    assert ranked[0].probability_best == pytest.approx(mirrored[0].probability_best)
    assert ranked[0].probability_best > 0.98


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_moments__not_finite__refused_everywhere(value: float) -> None:
    good, bad = UnitMoments.of([1.0, 2.0]), UnitMoments(2, value, 2, 0, total_total=value, count_count=2, total_count=2)
    for analysis in (
        lambda: compare_arms(good, bad),
        lambda: rank_arms([good, bad]),
        lambda: regression_adjusted([good, bad]),
        lambda: post_stratified([[good, bad]]),
        lambda: inverse_variance([[good, bad]]),
    ):
        with pytest.raises(InvalidInput, match="finite"):
            analysis()
