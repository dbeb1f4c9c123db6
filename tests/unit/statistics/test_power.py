"""Planning beside statsmodels, G*Power as Spotify's package quotes it, and itself: every way leads back."""

from __future__ import annotations

import math

import pytest
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.proportion import power_proportions_2indep

from bailiwick.errors import InvalidInput
from bailiwick.statistics.effect import Alternative
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.power import (
    Correction,
    Design,
    Metric,
    duration_days,
    minimum_effect,
    power,
    sample_size,
    standard_error,
)

BANANAS = Metric(4.56, 2.13)


@pytest.mark.parametrize(("distance", "units"), [(0.5, 64), (0.2, 400), (1.5, 6), (0.01, 1000), (0.004, 400_000)])
def test_power__means__equals_statsmodels(distance: float, units: int) -> None:
    peer = TTestIndPower()
    two_sided, greater = Design(Metric(0.0, 1.0)), Design(Metric(0.0, 1.0), alternative=Alternative.GREATER)
    tolerance = 1e-9 if units < 100_000 else 1e-8
    assert power(two_sided, distance, 2 * units) == pytest.approx(peer.power(distance, units, 0.05), abs=tolerance)
    expected = peer.power(distance, units, 0.05, alternative="larger")
    assert power(greater, distance, 2 * units) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize(("share", "effect", "units"), [(0.1, 0.02, 2000), (0.5, -0.1, 200), (0.001, 0.0005, 20_000)])
@pytest.mark.parametrize("ratio", [1, 3])
def test_power__shares__equals_statsmodels(share: float, effect: float, units: int, ratio: int) -> None:
    design = Design(Metric.of_share(share), weights=(1, ratio))
    expected = power_proportions_2indep(effect, share, ratio * units, ratio=1 / ratio).power
    assert power(design, effect, (1 + ratio) * units) == pytest.approx(expected, abs=1e-9)


def test_sample_size__g_power__same_number() -> None:
    """spotify/confidence, tests/samplesize/test_samplesizecalculator.py, power 0.85, quoted from G*Power."""
    assert sample_size(Design(Metric(0.0, 100.0), power=0.85), 0.3).total == 39_906
    design = Design(Metric.of_share(0.34), power=0.85)
    assert sample_size(design, 0.003).total == pytest.approx(897_348, rel=0.005)


@pytest.mark.parametrize(
    ("design", "effect", "published"),
    [
        (Design(BANANAS, alternative=Alternative.GREATER), 0.0456, 25_334),
        (Design(BANANAS), 0.0456, 32_162),
        (Design(BANANAS, (5000, 2000), 0.99), 0.0456, 58_622),
        (Design(Metric(0.7, 0.21), (5, 2), 0.99, alternative=Alternative.GREATER, margin=0.00617 * 0.7), 0.0, 553_620),
    ],
)  # fmt: skip
def test_sample_size__spotify_published__same_within_rounding(design: Design, effect: float, published: int) -> None:
    """spotify/confidence, tests/frequentist/test_samplesizecalculator.py, which allows 0.1 %; the last has a margin."""
    assert sample_size(design, effect).total == pytest.approx(published, rel=2e-4)


@pytest.mark.parametrize(
    "design",
    [
        Design(BANANAS),
        Design(BANANAS, (8, 1, 1), 0.9, 0.95, Alternative.LESS),
        Design(BANANAS, (2, 1, 1, 1), correction=Correction.BONFERRONI),
        Design(Metric.of_share(0.02)),
        Design(Metric.of_share(0.9), (1, 3), 0.99, 0.7, Alternative.LESS),
        Design(Metric.of_share(0.5), alternative=Alternative.GREATER, margin=0.01),
        Design(Metric.of_moments(UnitMoments.of([3, 5, 4, 8, 0], [5, 6, 4, 9, 3])), (1, 1, 1)),
    ],
)
def test_plans__units_for_an_effect_and_back__lead_to_the_start(design: Design) -> None:
    sign = -1 if design.alternative is Alternative.LESS else 1
    for lift in (0.01, 0.05):
        effect = sign * design.metric.absolute(lift)
        found = sample_size(design, effect)
        assert sum(found.arms) == found.total
        assert power(design, effect, found.total) >= design.power - 1e-9
        assert minimum_effect(design, found.total) == pytest.approx(effect, rel=2e-2 if found.total < 1000 else 2e-3)
        back = minimum_effect(design, 10_000)
        assert power(design, back, 10_000) == pytest.approx(design.power, abs=1e-9)


def test_sample_size__one_unit_fewer_per_arm__is_not_enough() -> None:
    design = Design(Metric(0.0, 1.0))
    found = sample_size(design, 0.5)
    assert found.arms == (64, 64)  # Cohen 1988, table 2.4.1: 64 at d = 0.5, power 0.80
    assert power(design, 0.5, found.total - 2) < 0.8 <= power(design, 0.5, found.total)


def test_correction__many_treatments__dunnett_costs_less_than_bonferroni() -> None:
    sizes = [sample_size(Design(BANANAS, (1,) * 6, correction=kind), 0.05).total for kind in Correction]
    none, bonferroni, dunnett = sizes
    assert none < dunnett < bonferroni


def test_curve__share__null_is_pooled_and_effect_is_not() -> None:
    point = standard_error(Design(Metric.of_share(0.2)), 0.1, 2000)
    assert point.null == pytest.approx(math.sqrt(0.25 * 0.75 * 2 / 1000))
    assert point.effect == pytest.approx(math.sqrt((0.2 * 0.8 + 0.3 * 0.7) / 1000))


def test_adjusted__covariate_of_correlation_0_6__saves_36_per_cent() -> None:
    plain, sharper = (sample_size(Design(metric), 0.02).total for metric in (BANANAS, BANANAS.adjusted(0.6)))
    assert sharper / plain == pytest.approx(0.64, abs=1e-4)


def test_duration__units_per_day__divides_the_sample() -> None:
    design = Design(Metric.of_share(0.1))
    assert duration_days(design, 0.01, 1000) == sample_size(design, 0.01).total / 1000


@pytest.mark.parametrize(
    ("ask", "message", "possible"),
    [
        (lambda: sample_size(Design(BANANAS), 0.0), "no number of units", "other than 0"),
        (lambda: sample_size(Design(BANANAS, alternative=Alternative.GREATER), -0.1), "no number of units", "above 0"),
        (lambda: sample_size(Design(BANANAS), 1e-12), "needs more than", "at that number"),
        (lambda: sample_size(Design(Metric.of_share(0.9)), 0.2), "out of 0 to 1", "to 0.1"),
        (lambda: minimum_effect(Design(Metric.of_share(0.9)), 20), "reaches power", "at least 148 units"),
        (lambda: minimum_effect(Design(BANANAS, (9, 1)), 10), "fewer than two", "at least 20"),
        (lambda: duration_days(Design(Metric.of_share(0.1)), 0.001, 1000, 14), "takes", "14 days an effect of 0.0146"),
        (lambda: duration_days(Design(BANANAS), 0.1, 0), "without new units", "above 0"),
        (lambda: Design(BANANAS, margin=0.1), "direction", "greater"),
        (lambda: Design(BANANAS, (1.0,)), "weights", "two or more"),
        (lambda: Design(BANANAS, (1.0, -1.0)), "weights", "above 0"),
        (lambda: Design(BANANAS, power=0.04), "power", "above 0.05"),
        (lambda: Metric(1.0, 0.0), "never varies", "variance above 0"),
        (lambda: Metric.of_share(1.0), "never varies", "between 0 and 1"),
        (lambda: Metric.of_share(math.nan), "not a finite number", "finite"),
    ],
)  # fmt: skip
def test_impossible_plans__refused__naming_what_would_be_possible(ask, message: str, possible: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInput, match=message) as raised:
        ask()
    assert possible in str(raised.value.allowed)
