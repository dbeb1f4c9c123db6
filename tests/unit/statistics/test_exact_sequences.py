"""Exactness is shown by enumeration: under its hypothesis an e-value has expectation one, over all outcomes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, multinomial

from bailiwick.errors import InvalidInput
from bailiwick.statistics.bernoulli_sequence import _least, compare_rates, log_common_rate, rate_interval
from bailiwick.statistics.beta_binomial import log_e_value
from bailiwick.statistics.betting import betting_sequence, log_capital
from bailiwick.statistics.closed_testing import e_benjamini_hochberg
from bailiwick.statistics.error_counts import ErrorCounts, compare_errors, log_e_value_fewer, log_e_value_more
from bailiwick.statistics.quantile_sequence import Empirical, compare_quantiles, quantile_interval
from bailiwick.statistics.sample_ratio import log_multinomial_e_value, sample_ratio


@pytest.mark.parametrize(
    ("successes", "trials", "planned", "expected"),
    [
        (700, 1_000, 100, (0.651629, 0.745949)),
        (15, 50, 50, (0.129556, 0.511896)),
        (5, 50, 50, (0.013021, 0.269264)),
        (1, 50, 50, (0.0, 0.13489)),
        (1, 2, 50, (0.0, 1.0)),
        (100, 200, 1, (0.328923, 0.671076)),
        (0, 1, 50, (0.0, 1.0)),
        (1, 1, 50, (0.0, 1.0)),
    ],
)
def test_rate_interval__published_values__equal(
    successes: int, trials: int, planned: int, expected: tuple[float, float]
) -> None:
    """confseq, test/uniform_boundaries_unittest.cpp, BernoulliConfidenceIntervalTest, to 1e-5."""
    assert rate_interval(successes, trials, planned=planned) == pytest.approx(expected, abs=1.0e-5)


def test_beta_binomial__published_value__equal() -> None:
    """The same file, two-sided beta-binomial mixture: s = 10, v = 100, v_opt = 100, g = 0.2, h = 0.8."""
    assert log_e_value(135, 625, 0.2, 625) == pytest.approx(-0.6941012, abs=1e-7)


@pytest.mark.parametrize(
    ("q", "offset", "p"), [(0.5, 70, 0.814704), (0.5, 85, 0.0838055), (0.5, 100, 0.0054947), (0.9, 55, 0.0340463)]
)
def test_compare_quantiles__published_values__equal(q: float, offset: int, p: float) -> None:
    """The same file, QuantileABTest: 1 to 1000 against the same moved by an offset, to 1e-5."""
    arms = [Empirical.of(np.arange(1, 1_001) + shift) for shift in (0, offset)]
    assert compare_quantiles(arms[0], arms[1], q, planned=100).p_value == pytest.approx(p, abs=1e-5)
    assert compare_quantiles(arms[1], arms[0], q, planned=100).p_value == pytest.approx(p, abs=1e-5)


@pytest.mark.parametrize("rate", [0.001, 0.02, 0.5, 0.97])
def test_beta_binomial__true_rate__expects_one(rate: float) -> None:
    yes = np.arange(201)
    terms = binom.logpmf(yes, 200, rate) + log_e_value(yes, 200, rate, 1_000)
    assert np.exp(terms).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.5])
def test_common_rate__equal_rates__expects_at_most_one(rate: float) -> None:
    chances = np.outer(binom.pmf(range(16), 15, rate), binom.pmf(range(26), 25, rate))
    e_values = [[math.exp(log_common_rate((a, 15), (b, 25), 40)) for b in range(26)] for a in range(16)]
    assert (chances * e_values).sum() <= 1 + 1e-9


def test_compare_rates__clear_difference__interval_and_p_agree() -> None:
    look = compare_rates((3, 400), (30, 400), planned=400)
    assert look.low > 0 and look.p_value < 0.05
    same = compare_rates((20, 400), (22, 400), planned=400)
    assert same.low < 0 < same.high and same.p_value > 0.05
    assert compare_rates((0, 0), (1, 3)).p_value == 1


@pytest.mark.parametrize("weights", [(1, 1), (99, 1), (5, 3, 2)])
def test_sample_ratio__true_shares__expects_one(weights: tuple[int, ...]) -> None:
    units = 60
    shares = np.array(weights) / sum(weights)
    counts = np.array([c for c in itertools.product(range(units + 1), repeat=len(weights)) if sum(c) == units])
    chances = multinomial.pmf(counts, units, shares)
    assert chances @ np.exp(log_multinomial_e_value(counts, weights)) == pytest.approx(1, abs=1e-9)


def test_sample_ratio__second_epoch_loses_units__found_and_named() -> None:
    fine, broken = ((10_050, 9_950), (1, 1)), ((18_000, 1_500), (9, 1))
    look = sample_ratio([fine, broken])
    assert look.mismatch and look.epoch_e_values[0] < 1 < look.epoch_e_values[1]
    assert not sample_ratio([fine]).mismatch
    assert sample_ratio([fine, ((0, 0), (9, 1))]).e_value <= 1.1


def test_sample_ratio__true_and_useless_deviation__no_alarm() -> None:
    millions = ((50_200_000, 49_800_000), (1, 1))
    look = sample_ratio([millions])
    assert look.p_value < 1e-9 and not look.mismatch
    assert sample_ratio([millions], least_deviation=0.001).mismatch


def test_sample_ratio__alarm_once_earned__is_kept() -> None:
    early = sample_ratio([((500, 700), (1, 1))])
    later = sample_ratio([((50_400, 51_600), (1, 1))], log_e_value=early.log_e_value)
    assert early.mismatch and later.p_value == early.p_value


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
@pytest.mark.parametrize("ratio", [1.0, 1.5])
def test_errors__rates_at_the_hypothesis__expect_one(share: float, ratio: float) -> None:
    heads, events = np.arange(41), 40
    coin = share * ratio / (share * ratio + 1 - share)
    for function in (log_e_value_more, log_e_value_fewer):
        e_values = np.exp(function(events - heads, heads, share, ratio))
        assert binom.pmf(heads, events, coin) @ e_values == pytest.approx(1, abs=1e-6)
    # inside the hypothesis, where the treatment errs less than allowed, even less is expected
    assert binom.pmf(heads, events, coin / 2) @ np.exp(log_e_value_more(events - heads, heads, share, ratio)) <= 1


def test_errors__canary_crashes__told_after_a_handful() -> None:
    assert compare_errors([ErrorCounts(0, 4, 0.01)]).worse_p_value < 0.001
    assert compare_errors([ErrorCounts(400, 4, 0.01)]).worse_p_value > 0.5
    fine = compare_errors([ErrorCounts(300, 200, 0.5)], margin=0.1)
    assert fine.fine_p_value < 0.01 and fine.ratio == pytest.approx(0.667, abs=0.01)
    two = compare_errors([ErrorCounts(9, 2, 0.1), ErrorCounts(10, 12, 0.5)])
    assert two.ratio == pytest.approx(14.5 / (9.25 / 9 + 10.25))


@pytest.mark.parametrize("mean", [0.2, 0.5, 0.75])
def test_betting__true_mean__capital_expects_at_most_one(mean: float) -> None:
    outcomes = list(itertools.product([0.0, 1.0], repeat=9))
    expected = sum(
        mean ** sum(values) * (1 - mean) ** (9 - sum(values)) * math.exp(log_capital(values, [mean])[0, -1])
        for values in outcomes
    )
    assert expected <= 1 + 1e-9


def test_betting__scores_agree__narrower_than_hoeffding_and_never_wider() -> None:
    scores = np.random.default_rng(1).beta(40, 10, 300)
    low, high = betting_sequence(scores)
    assert low[-1] < 0.8 < high[-1]
    assert high[-1] - low[-1] < 0.5 * 2 * math.sqrt(math.log(2 / 0.05) / (2 * 300))
    assert (np.diff(low) >= 0).all() and (np.diff(high) <= 0).all()


def test_quantile_interval__true_quantile__covered_and_closing() -> None:
    generator = np.random.default_rng(2)
    values = generator.lognormal(5, 1, 20_000)
    truth = math.exp(5 + 1.6448536)
    widths = []
    for n in (500, 5_000, 20_000):
        low, high = quantile_interval(Empirical.of(values[:n]), 0.95, planned=5_000)
        assert low < truth < high
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    assert quantile_interval(Empirical.of(values[:10]), 0.95, planned=5_000)[1] == math.inf


def test_quantile_interval__requests_of_few_users__wider() -> None:
    values = np.random.default_rng(3).lognormal(5, 1, 5_000)
    alone, alike = (quantile_interval(Empirical.of(values, effective), 0.95, 5_000) for effective in (None, 500))
    assert alike[0] < alone[0] < alone[1] < alike[1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: rate_interval(3, 2),
        lambda: betting_sequence([0.5, 1.5]),
        lambda: betting_sequence([math.nan]),
        lambda: ErrorCounts(1, 1, 1.0),
        lambda: ErrorCounts(-1, 1, 0.5),
        lambda: compare_errors([], margin=-1),
        lambda: sample_ratio([((1, 2), (1,))]),
        lambda: sample_ratio([((1, 2), (1, 0))]),
        lambda: sample_ratio([((1, -2), (1, 1))]),
        lambda: quantile_interval(Empirical.of([1.0]), 95, 100),
        lambda: Empirical(np.array([2.0, 1.0]), np.array([1.0, 1.0])),
    ],
)
def test_exact_sequences__impossible_input__refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInput):
        make()


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5])
@pytest.mark.parametrize("events", [20, 3_000, 200_000])
def test_errors__fewer_than_their_share_in_the_treatment__never_evidence_of_more(share: float, events: int) -> None:
    """The mixture's mass beyond the coin underflows far below it; what stands in must not turn into evidence."""
    treated = np.unique(np.linspace(0, 0.9 * share * events, 50).astype(int))
    evidence = log_e_value_more(events - treated, treated, share)
    assert (evidence < 0.5).all()
    assert (np.diff(evidence) > -1e-6).all() or events == 20
    look = compare_errors([ErrorCounts(events, 0, share)])
    assert look.worse_p_value == 1.0


@pytest.mark.parametrize(("control", "treatment"), [(300, 20), (40, 2), (12, 12), (2, 30), (900, 500)])
def test_errors__any_counts__equal_the_integral_over_the_mixture(control: int, treatment: int) -> None:
    """Brute force: the truncated betas on a fine grid, in place of incomplete beta functions."""
    coin, parts = 0.4, []
    for error in (3.0, 1.0, 0.3):
        concentration = (1 - coin) / coin / error**2
        a, b = concentration * coin, concentration * (1 - coin)
        # evenly in ((1 - coin of the mixture) / (1 - coin))^b, which takes away the pole of the beta density at 1
        tails = (1 - coin) * ((np.arange(1_000_000) + 0.5) / 1_000_000) ** (1 / b)
        density = (1 - tails) ** (a - 1)
        ratio = treatment * np.log((1 - tails) / coin) + control * np.log(tails / (1 - coin))
        parts.append((density * np.exp(ratio)).sum() / density.sum())
    assert float(log_e_value_more(control, treatment, coin)) == pytest.approx(math.log(np.mean(parts)), abs=2e-3)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.0, 0.1, -0.3]),
    st.floats(1, 1e5),
)
def test_common_rate__any_counts__no_rate_says_less(seed: int, difference: float, planned: float) -> None:
    """A minimum that is missed would be evidence that is none: also where all or none succeed, at few trials."""
    generator = np.random.default_rng(seed)
    trials = [int(10 ** generator.uniform(0, 4.5)) for _ in range(2)]
    rate = 10 ** generator.uniform(-3, 0)
    yes = [int(generator.binomial(n, min(1.0, rate * 2 ** generator.normal(0, 0.5)))) for n in trials]
    if generator.random() < 0.3:
        yes[0] = trials[0]
    found = _least((yes[0], trials[0]), (yes[1], trials[1]), difference, planned, 0.05)
    low, high = max(1e-12, -difference + 1e-12), min(1 - 1e-12, 1 - difference - 1e-12)
    ends = (high - low) * np.geomspace(1e-9, 0.5, 2_000)
    rates = np.concatenate([np.linspace(low, high, 5_000), low + ends, high - ends])
    logs = log_e_value(yes[0], trials[0], rates, planned) + log_e_value(
        yes[1], trials[1], np.minimum(rates + difference, 1 - 1e-12), planned
    )
    assert found <= logs.min() + 0.03


@pytest.mark.parametrize(
    "call",
    [
        lambda: betting_sequence([0.5], level=95),
        lambda: rate_interval(3, 10, level=95),
        lambda: rate_interval(3, 10, planned=0),
        lambda: rate_interval(3, 10, planned=math.nan),
        lambda: compare_rates((1, 10), (2, 10), level=0),
        lambda: log_common_rate((1, 10), (2, 10), alpha=5),
        lambda: quantile_interval(Empirical.of([1.0, 2.0]), 0.5, 100, level=95),
        lambda: compare_quantiles(Empirical.of([1.0]), Empirical.of([1.0]), 0.5, math.inf),
        lambda: Empirical.of([1.0, math.nan]),
        lambda: Empirical.of([1.0, 2.0], effective=math.nan),
        lambda: e_benjamini_hochberg([1.0, 2.0], alpha=0),
    ],
)
def test_sequences__impossible_level_plan_or_value__refused(call: Callable[[], object]) -> None:
    with pytest.raises(InvalidInput):
        call()
