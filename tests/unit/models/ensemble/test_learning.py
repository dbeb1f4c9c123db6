from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.errors import InvalidInput
from bailiwick.models.ensemble.cascade import CANDIDATES, NEVER, choose_thresholds, stops_at
from bailiwick.models.ensemble.pool import log_pool
from bailiwick.models.ensemble.quality import features, fit_quality, sparse_features
from bailiwick.models.ensemble.selection import NO_LIMITS, Candidate, Limits, ranked, why_excluded
from bailiwick.models.ensemble.stacking import fit_weights
from bailiwick.statistics.calibration import log_loss, softmax
from bailiwick.statistics.paired import compare_paired


def simulated(rows: int, skills: list[float], seed: int, labels: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Members that see the truth through independent noise; a higher skill is less of it."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(labels, size=rows)
    hot = np.eye(labels)[truth]
    said = [softmax(skill * hot + generator.normal(size=hot.shape)) for skill in skills]
    return np.stack(said), truth


def test_fit_weights__a_skilled_and_a_guessing_member__the_skilled_one_counts() -> None:
    said, truth = simulated(400, [2.0, 0.0], seed=1)
    weights = fit_weights(said, truth)
    assert weights[0] > 5 * weights[1]
    assert (weights >= 0).all()


def test_fit_weights__independent_members__better_than_any_alone_on_new_texts() -> None:
    said, truth = simulated(3_000, [1.2, 1.0, 0.8], seed=2)
    weights = fit_weights(said[:, :500], truth[:500])
    pooled = log_pool(said[:, 500:], weights)
    alone = [log_loss(own[500:], truth[500:]) for own in said]
    assert log_loss(pooled, truth[500:]) < min(alone) - 0.05


def test_fit_weights__a_member_that_misleads__gets_nothing() -> None:
    said, truth = simulated(400, [2.0, 2.0], seed=3)
    said[1] = said[1][:, [1, 2, 3, 0]]
    assert fit_weights(said, truth)[1] == 0


def test_fit_weights__at_the_minimum__no_small_step_is_better() -> None:
    said, truth = simulated(200, [1.0, 0.7, 0.3], seed=4)
    weights = fit_weights(said, truth)

    def objective(given: np.ndarray) -> float:
        return len(truth) * log_loss(log_pool(said, given), truth) + 0.5 * float(((given - 1 / 3) ** 2).sum())

    best = objective(weights)
    for step in np.vstack([np.eye(3), -np.eye(3)]) * 1e-3:
        assert objective(np.maximum(0, weights + step)) >= best - 1e-9


def test_fit_weights__labels_that_nobody_knows__say_nothing() -> None:
    said, truth = simulated(100, [2.0, 1.0], seed=5)
    unknown = np.concatenate([truth, [-1, -1]])
    padded = np.concatenate([said, said[:, :2]], axis=1)
    assert np.allclose(fit_weights(padded, unknown), fit_weights(said, truth))


@pytest.mark.parametrize("limits", [{"max_cost": float("nan")}, {"max_latency_ms": -1.0}])
def test_limits__no_number_from_0_on__refused(limits: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match="x-bailiwick-max"):
        Limits(**limits)


def test_choose_thresholds__three_members__the_error_is_divided_among_the_searches() -> None:
    """A loss that one search may call harmless with 95 % confidence is not yet harmless where there are two."""
    rows, allowed = 1_000, 0.01
    wrong = max(
        each for each in range(1, 20) if compare_paired(rows, each, 0, level=0.9).low >= -allowed
    )  # as many as 95 % confidence lets pass
    assert compare_paired(rows, wrong, 0, level=0.95).low < -allowed
    first = np.arange(rows) >= wrong
    confidence = np.stack([np.ones(rows), np.zeros(rows), np.ones(rows)])
    right = np.stack([first, np.ones(rows, bool), np.ones(rows, bool)])
    assert choose_thresholds(confidence[[0, 2]], right[[0, 2]], allowed) == (CANDIDATES[-1],)
    assert choose_thresholds(confidence, right, 2 * allowed)[0] == NEVER


def cascades(seed: int, rows: int, cheap: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    confidence = np.vstack([generator.uniform(0.3, 1.0, rows), np.ones(rows)])
    right = np.vstack([generator.uniform(size=rows) < confidence[0] ** cheap, generator.uniform(size=rows) < 0.95])
    return confidence, right


def test_choose_thresholds__a_calibrated_cheap_member__saves_calls_within_the_allowed_loss() -> None:
    """Over 200 draws the true loss exceeds what was allowed in at most 5 %, give or take four standard errors."""
    broken = saved = 0
    for seed in range(200):
        confidence, right = cascades(seed, 600, cheap=1.0)
        (threshold,) = choose_thresholds(confidence, right, 0.02)
        fresh, outcome = cascades(10_000 + seed, 20_000, cheap=1.0)
        cheaply = fresh[0] >= threshold
        saved += bool(cheaply.mean() > 0)
        mixed = np.where(cheaply, outcome[0], outcome[1])
        broken += bool(outcome[1].mean() - mixed.mean() > 0.02 + 0.004)
    assert broken <= 200 * 0.05 + 4 * (200 * 0.05 * 0.95) ** 0.5
    assert saved >= 100


def test_choose_thresholds__too_few_texts_to_tell__everything_goes_to_the_last() -> None:
    confidence, right = cascades(1, 40, cheap=1.0)
    assert choose_thresholds(confidence, right, 0.001) == (NEVER,)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 0.2), st.floats(0, 0.2))
def test_choose_thresholds__more_loss_allowed__never_a_stricter_threshold(seed: int, one: float, two: float) -> None:
    confidence, right = cascades(seed, 300, cheap=2.0)
    strict, lax = (
        choose_thresholds(confidence, right, min(one, two)),
        choose_thresholds(confidence, right, max(one, two)),
    )
    assert lax[0] <= strict[0]
    assert strict[0] == NEVER or strict[0] in CANDIDATES


def test_stops_at__nobody_sure__the_last() -> None:
    assert stops_at(np.zeros((3, 2)), [0.5, 0.5]).tolist() == [2, 2]


def test_fit_quality__words_tell_who_is_right__it_learns_them() -> None:
    texts = [f"please {'refund' if number % 2 else 'weather'} number {number}" for number in range(200)]
    refund = np.array([number % 2 == 1 for number in range(200)])
    quality = fit_quality(texts, np.vstack([refund, ~refund]))
    odds = quality.log_odds("my refund")
    assert odds[0] > 0.5 > -0.5 > odds[1]
    assert quality.log_odds("the weather")[1] > 0.5


def test_fit_quality__words_tell_nothing__the_overall_accuracy_is_left() -> None:
    generator = np.random.default_rng(7)
    texts = [" ".join(generator.choice(["a", "b", "c", "d", "e", "f"], 4)) for _ in range(300)]
    quality = fit_quality(texts, generator.uniform(size=(1, 300)) < 0.8)
    chance = 1 / (1 + np.exp(-quality.log_odds("a b c")))
    assert chance[0] == pytest.approx(0.8, abs=0.12)


def test_features__any_text__length_one_or_no_words() -> None:
    assert float(features("hello big world") @ features("hello big world")) == pytest.approx(1)
    assert not features("  ?!").any()


@given(st.lists(st.text("ab c", max_size=30), min_size=1, max_size=6))
def test_sparse_features__any_texts__as_one_by_one(texts: list[str]) -> None:
    assert sparse_features(texts).toarray().tolist() == [features(text).tolist() for text in texts]


@pytest.mark.slow
def test_fit_quality__fifty_thousand_texts__memory_is_that_of_their_words() -> None:
    generator = np.random.default_rng(0)
    texts = [" ".join(f"w{word}" for word in generator.zipf(1.3, 20) % 20_000) for _ in range(50_000)]
    asks = np.array(["w3 " in text for text in texts])
    tracemalloc.start()
    quality = fit_quality(texts, np.stack([asks, ~asks]))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 300 << 20, "4,096 numbers for each text would be 1,600 MB"
    assert quality.log_odds("w1 w3 w2")[0] > 2 > -2 > quality.log_odds("w1 w5 w2")[0]


SMALL, LARGE = Candidate("small", 0.8, cost=1.0, latency_ms=5.0), Candidate("large", 0.9, cost=9.0, latency_ms=90.0)


def test_ranked__limits__whoever_breaks_one_is_left_out() -> None:
    assert ranked([SMALL, LARGE], NO_LIMITS, 0.0) == [1, 0]
    assert ranked([SMALL, LARGE], Limits(max_latency_ms=50), 0.0) == [0]
    assert why_excluded(LARGE, Limits(max_cost=2)) == "would cost 9, more than 2"


def test_ranked__nobody_within_the_limits__says_which_and_what_would_do() -> None:
    with pytest.raises(InvalidInput) as cost:
        ranked([SMALL, LARGE], Limits(max_cost=0.5), 0.0)
    assert (cost.value.what, cost.value.allowed) == ("x-bailiwick-max-cost", "at least 1")
    with pytest.raises(InvalidInput) as latency:
        ranked([SMALL, LARGE], Limits(max_latency_ms=1), 0.0)
    assert latency.value.what == "x-bailiwick-max-latency-ms"


def test_ranked__benched_members__come_last() -> None:
    benched = Candidate("large", 0.9, available=False)
    assert ranked([SMALL, benched], NO_LIMITS, 0.0) == [0, 1]


@given(
    st.lists(
        st.builds(Candidate, st.just("m"), st.floats(0, 1), st.floats(0, 10), st.none() | st.floats(0, 1000)),
        min_size=1,
        max_size=8,
    ),
    st.floats(0, 10),
    st.floats(0, 1000),
)
def test_ranked__any_candidates__only_those_within_the_limits_and_the_best_first(
    candidates: list[Candidate], cost: float, latency: float
) -> None:
    limits = Limits(cost, latency)
    fits = [index for index, each in enumerate(candidates) if why_excluded(each, limits) is None]
    if not fits:
        with pytest.raises(InvalidInput):
            ranked(candidates, limits, 0.0)
        return
    order = ranked(candidates, limits, 0.0)
    assert sorted(order) == fits
    assert candidates[order[0]].quality == max(candidates[index].quality for index in fits)
