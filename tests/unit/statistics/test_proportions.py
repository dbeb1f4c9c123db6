"""Tests of two shares beside scipy, statsmodels, brute force, and Newcombe's published table."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest
from statsmodels.stats.proportion import test_proportions_2indep as two_shares

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import Alternative
from bailiwick.statistics.exact_proportions import barnard_exact, boschloo_exact, fisher_exact, mid_p_exact
from bailiwick.statistics.proportions import Share, chi_square, newcombe_interval, score_test, z_test

SIDES = {Alternative.TWO_SIDED: "two-sided", Alternative.GREATER: "greater", Alternative.LESS: "less"}
PAIRS = [(Share(10, 100), Share(22, 100)), (Share(3, 2000), Share(11, 1500)), (Share(480, 800), Share(70, 90))]
SMALL = [
    (Share(7, 12), Share(8, 8)),
    (Share(0, 5), Share(3, 6)),
    (Share(2, 30), Share(9, 25)),
    (Share(4, 4), Share(3, 3)),
    (Share(11, 17), Share(4, 29)),
]


def likelihood_score(control: Share, treatment: Share, difference: float) -> float:
    """The score statistic with the restricted estimate found numerically."""

    def loss(share: float) -> float:
        terms = (
            (control.successes, share),
            (control.trials - control.successes, 1 - share),
            (treatment.successes, share + difference),
            (treatment.trials - treatment.successes, 1 - share - difference),
        )
        return -sum(count * math.log(chance) for count, chance in terms if count)

    bounds = (max(0.0, -difference) + 1e-14, min(1.0, 1 - difference) - 1e-14)
    share = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-13}).x
    other = share + difference
    variance = share * (1 - share) / control.trials + other * (1 - other) / treatment.trials
    return float((treatment.value - control.value - difference) / math.sqrt(variance))


@pytest.mark.parametrize(("control", "treatment"), PAIRS)
def test_score__interval_of_the_difference__ends_where_the_score_test_rejects(control: Share, treatment: Share) -> None:
    found = score_test(control, treatment)
    assert likelihood_score(control, treatment, found.low) == pytest.approx(1.959964, abs=1e-6)
    assert likelihood_score(control, treatment, found.high) == pytest.approx(-1.959964, abs=1e-6)


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize(("control", "treatment"), PAIRS)
def test_score__equals_statsmodels(control: Share, treatment: Share, corrected: bool) -> None:
    """Its score limits of the difference are not where its own likelihood rejects; brute force above stands in."""
    counts = (treatment.successes, treatment.trials, control.successes, control.trials)
    found = score_test(control, treatment, corrected=corrected)
    low, high = confint_proportions_2indep(*counts, method="score", compare="ratio", correction=corrected)
    assert (found.lift_low, found.lift_high) == pytest.approx((low - 1, high - 1), rel=1e-7)
    expected = two_shares(*counts, method="score", compare="diff", correction=corrected).pvalue
    assert found.p_value == pytest.approx(expected, rel=1e-9)
    assert newcombe_interval(control, treatment) == pytest.approx(
        confint_proportions_2indep(*counts, method="newcomb", compare="diff"), rel=1e-9
    )


def test_intervals__newcombes_first_example__equal_statsmodels_and_brute_force() -> None:
    """56 of 70 against 48 of 80 (Newcombe 1998): Wald and Newcombe by statsmodels, score intervals by likelihood."""
    control, treatment = Share(48, 80), Share(56, 70)
    counts = (56, 70, 48, 80)
    wald = z_test(control, treatment)
    assert (wald.low, wald.high) == pytest.approx(confint_proportions_2indep(*counts, method="wald"), rel=1e-9)
    expected = confint_proportions_2indep(*counts, method="newcomb")
    assert newcombe_interval(control, treatment) == pytest.approx(expected, rel=1e-9)
    for corrected, factor in ((False, 1.0), (True, math.sqrt(149 / 150))):
        found = score_test(control, treatment, corrected=corrected)
        assert factor * likelihood_score(control, treatment, found.low) == pytest.approx(1.959964, abs=1e-6)
        assert factor * likelihood_score(control, treatment, found.high) == pytest.approx(-1.959964, abs=1e-6)


@pytest.mark.parametrize("alternative", Alternative)
@pytest.mark.parametrize(("control", "treatment"), PAIRS)
def test_z__equals_statsmodels(control: Share, treatment: Share, alternative: Alternative) -> None:
    counts, trials = (treatment.successes, control.successes), (treatment.trials, control.trials)
    side = {"two-sided": "two-sided", "greater": "larger", "less": "smaller"}[SIDES[alternative]]
    pooled = proportions_ztest(counts, trials, alternative=side)[1]
    assert score_test(control, treatment, 0.9, alternative).p_value == pytest.approx(pooled, rel=1e-9)
    unpooled = two_shares(counts[0], trials[0], counts[1], trials[1], method="wald", alternative=side).pvalue
    assert z_test(control, treatment, 0.9, alternative).p_value == pytest.approx(unpooled, rel=1e-9)


def test_chi_square__many_arms__equals_scipy_and_for_two_the_score_test() -> None:
    arms = [Share(10, 100), Share(22, 150), Share(31, 140), Share(0, 0)]
    table = [[arm.successes for arm in arms[:3]], [arm.trials - arm.successes for arm in arms[:3]]]
    expected = stats.chi2_contingency(table, correction=False)
    found = chi_square(arms)
    assert found.degrees_of_freedom == expected.dof
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)
    assert chi_square(arms[:2]).p_value == pytest.approx(score_test(arms[0], arms[1]).p_value, rel=1e-12)


@pytest.mark.parametrize("alternative", Alternative)
@pytest.mark.parametrize(("control", "treatment"), SMALL)
@pytest.mark.parametrize(
    ("own", "peer"),
    [
        (fisher_exact, lambda table, side: stats.fisher_exact(table, side)[1]),
        (boschloo_exact, lambda table, side: stats.boschloo_exact(table, side, n=64).pvalue),
        (barnard_exact, lambda table, side: stats.barnard_exact(table, side, n=64).pvalue),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_exact__equals_scipy(
    own: Callable[..., float],
    peer: Callable[..., float],
    control: Share,
    treatment: Share,
    alternative: Alternative,
) -> None:
    table = [
        [treatment.successes, control.successes],
        [treatment.trials - treatment.successes, control.trials - control.successes],
    ]
    expected = peer(table, SIDES[alternative])
    if math.isnan(expected):  # scipy's answer where all or none succeeded
        expected = 1.0
    found = own(control, treatment, alternative)
    if own is barnard_exact:
        # a supremum over the common share, which scipy samples at random: it may miss the top, and never exceeds it
        assert expected - 1e-12 <= found <= expected * (1 + 2e-4)
    else:
        assert found == pytest.approx(expected, rel=1e-9)


def test_fisher__rare_events_in_large_arms__equals_scipy() -> None:
    found = fisher_exact(Share(3, 40_000), Share(14, 41_000))
    assert found == pytest.approx(stats.fisher_exact([[14, 3], [40_986, 39_997]])[1], rel=1e-9)
    assert mid_p_exact(Share(3, 40_000), Share(14, 41_000)) < found


def test_boschloo__any_common_share__stays_below_its_level() -> None:
    """Exact: with 9 and 11 units the chance of a p-value up to 0.05 is at most 0.05 whatever the share."""
    rejected = np.array([[boschloo_exact(Share(a, 9), Share(b, 11)) <= 0.05 for b in range(12)] for a in range(10)])
    for share in (0.05, 0.2, 0.37, 0.5, 0.81):
        weights = np.outer(stats.binom.pmf(range(10), 9, share), stats.binom.pmf(range(12), 11, share))
        assert 0.005 < (weights * rejected).sum() <= 0.05 or share == 0.05


@pytest.mark.parametrize(
    ("control", "treatment", "low", "high"),
    [
        (Share(0, 10), Share(0, 10), -0.2775327998628892, 0.2775327998628892),
        (Share(10, 10), Share(0, 10), -1.0, -0.6777496838943613),
    ],
)
def test_score__all_or_nothing__keeps_a_sensible_interval(
    control: Share, treatment: Share, low: float, high: float
) -> None:
    """z^2 / (n + z^2) and its kin: the closed form of the score interval where nobody succeeded."""
    found = score_test(control, treatment)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    z2 = stats.norm.ppf(0.975) ** 2
    if treatment.successes == control.successes:
        assert found.high == pytest.approx(z2 / (10 + z2), rel=1e-9)


def test_score__no_success_in_the_control__lift_is_bounded_below_only() -> None:
    found = score_test(Share(0, 1000), Share(30, 1000))
    assert found.lift is None
    assert found.lift_low is not None
    assert found.lift_low > 0
    assert found.lift_high == math.inf


def test_score__empty_arm__cannot_tell() -> None:
    assert not score_test(Share(0, 0), Share(3, 10)).known
    assert not z_test(Share(0, 10), Share(10, 10)).known


@pytest.mark.parametrize(("successes", "trials"), [(-1, 10), (11, 10), (1.5, 10), (math.nan, 10), (3, math.inf)])
def test_share__impossible_counts__refused(successes: int, trials: int) -> None:
    with pytest.raises(InvalidInput, match="successes"):
        Share(successes, trials)


def test_exact__arms_too_large_to_list__refused_with_what_would_do() -> None:
    with pytest.raises(InvalidInput, match="fisher_exact"):
        boschloo_exact(Share(1, 10_000), Share(1, 10_000))


def test_fisher__a_billion_units__equals_whole_number_arithmetic() -> None:
    control, treatment = Share(3, 10**9), Share(11, 7 * 10**8)
    ways = [math.comb(10**9, 14 - k) * math.comb(7 * 10**8, k) for k in range(15)]
    expected = sum(way for way in ways if way <= ways[11]) / sum(ways)
    assert fisher_exact(control, treatment) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(InvalidInput, match="tables"):
        fisher_exact(Share(10**8, 10**9), Share(10**8, 10**9))
