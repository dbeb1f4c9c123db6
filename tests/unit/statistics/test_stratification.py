from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2

from bailiwick.errors import InvalidInput
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.stratification import equivalent_moments, inverse_variance, post_stratified

# growthbook/growthbook (MIT), packages/stats/tests/frequentist/test_post_strat.py: per stratum and arm the units, sum
# and sum of squares of the numerator, of the denominator, and their product
STRATA = [
    [
        (21, 330.0696210595999, 5377.811252605509, 890.9766550739607, 38220.95223835553, 14263.937571840695),
        (42, 708.1220000911836, 12249.255519049513, 1745.9858250014954, 73194.53424221886, 29826.620793423102),
    ],
    [
        (65, 1391.96628040659, 30546.63404187155, 2769.8126179473184, 118719.96077578884, 59924.702385890436),
        (75, 1807.4703052657744, 45000.287664918586, 3184.8395612061063, 136710.92474497214, 78119.14871556411),
    ],
    [
        (102, 2916.824124651419, 86396.06886690554, 4445.780384331884, 195387.7733842407, 129041.55268673625),
        (101, 3104.5399914554023, 98365.40553530994, 4235.277718489282, 179690.4720421368, 132444.36911739354),
    ],
    [
        (151, 5172.587929941052, 182453.04528037464, 6510.170220892494, 283094.7243365024, 226127.20135744457),
        (121, 4613.696610070716, 180520.64781229294, 5079.943060454901, 215529.32009367683, 196562.8269130501),
    ],
    [
        (160, 6539.348445231273, 274981.98909352464, 6906.305872710853, 300900.3106781779, 286483.9732935189),
        (162, 7431.953259880505, 349244.6690736718, 6899.004661928157, 296839.44355002965, 321057.8410309036),
    ],
]


def _mean(units: float, total: float, square: float) -> UnitMoments:
    return UnitMoments(units, total, units, 0.0, total_total=square, count_count=units, total_count=total)


def _ratio(row: tuple[float, ...]) -> UnitMoments:
    units, total, square, count, count_square, product = row
    return UnitMoments(units, total, count, 0.0, total_total=square, count_count=count_square, total_count=product)


def test_post_stratified__means__difference_equals_gbstats() -> None:
    made = post_stratified([[_mean(*row[:3]) for row in stratum] for stratum in STRATA])
    assert made.arms[1].mean - made.arms[0].mean == pytest.approx(3.548094377986586, abs=1e-9)
    error = math.hypot(made.arms[0].standard_error, made.arms[1].standard_error)
    # gbstats treats the shares of the strata as drawn too, which can only add to the error
    assert 0.5 * 0.37634374823059685 < error < 0.37634374823059685


def test_post_stratified__ratios__difference_equals_gbstats() -> None:
    made = post_stratified([[_ratio(row) for row in stratum] for stratum in STRATA])
    assert made.arms[1].mean - made.arms[0].mean == pytest.approx(0.10008903417216031, abs=1e-9)


def test_post_stratified__simpsons_paradox__the_sign_of_every_stratum_is_kept() -> None:
    """Charig et al., BMJ 1986: open surgery wins for small and for large stones, and loses in the pooled table."""

    def arm(successes: int, trials: int) -> UnitMoments:
        return UnitMoments.of([1.0] * successes + [0.0] * (trials - successes))

    small, large = [arm(234, 270), arm(81, 87)], [arm(55, 80), arm(192, 263)]
    pooled = [small[side] + large[side] for side in (0, 1)]
    assert pooled[1].mean < pooled[0].mean
    made = post_stratified([small, large])
    assert made.weights == pytest.approx((357 / 700, 343 / 700))
    expected = 357 / 700 * (81 / 87 - 234 / 270) + 343 / 700 * (192 / 263 - 55 / 80)
    assert made.arms[1].mean - made.arms[0].mean == pytest.approx(expected)
    assert inverse_variance([small, large]).difference > 0


def test_post_stratified__one_stratum__is_the_arm_itself() -> None:
    arm = UnitMoments.of([1.0, 4.0, 2.0, 8.0], [1.0, 2.0, 2.0, 3.0])
    made = post_stratified([[arm, arm]]).arms[0]
    assert (made.mean, made.units) == (pytest.approx(arm.mean), arm.units)
    assert made.standard_error == pytest.approx(arm.standard_error)


def test_post_stratified__an_arm_missing_from_a_stratum__the_stratum_is_left_out_and_counted() -> None:
    full, empty = UnitMoments.of([1.0, 2.0, 3.0]), UnitMoments()
    made = post_stratified([[full, full], [full, empty]])
    assert (made.weights, made.left_out) == ((1.0, 0.0), 3.0)
    assert post_stratified([[full, empty]]).arms == (UnitMoments(), UnitMoments())


def test_inverse_variance__strata__equal_the_formula_and_cochrans_q() -> None:
    generator = np.random.default_rng(3)
    strata = [[UnitMoments.of(generator.normal(mean, 1, n)) for mean in (0, 0.3)] for n in (50, 90, 400)]
    differences = np.array([treatment.mean - control.mean for control, treatment in strata])
    weights = 1 / np.array([sum(arm.variance_of_mean for arm in stratum) for stratum in strata])
    made = inverse_variance(strata)
    assert made.difference == pytest.approx(weights @ differences / weights.sum())
    assert made.standard_error == pytest.approx(weights.sum() ** -0.5)
    assert made.heterogeneity_p_value == pytest.approx(
        chi2.sf(weights @ (differences - made.difference) ** 2, 2), rel=1e-10
    )


def test_inverse_variance__nothing_to_compare__says_so() -> None:
    made = inverse_variance([[UnitMoments.of([1.0]), UnitMoments()]])
    assert math.isnan(made.difference)
    assert (made.standard_error, made.weights) == (math.inf, (0.0,))


def test_strata__that_do_not_match__refused() -> None:
    arm = UnitMoments.of([1.0, 2.0])
    for strata in ([], [[arm, arm], [arm]], [[]]):
        with pytest.raises(InvalidInput, match="cannot be combined"):
            post_stratified(strata)
    with pytest.raises(InvalidInput, match="one difference"):
        inverse_variance([[arm, arm, arm]])


def test_equivalent_moments__any_estimate__keeps_mean_and_error() -> None:
    made = equivalent_moments(-3.5, 0.125, 1000)
    assert (made.mean, made.standard_error) == (pytest.approx(-3.5), pytest.approx(0.125))
