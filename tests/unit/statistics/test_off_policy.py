from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from bailiwick.errors import InvalidInput
from bailiwick.statistics.off_policy import (
    Interval,
    Logged,
    doubly_robust,
    inverse_propensity,
    overlap,
    require_support,
    self_normalised,
)


def _cycle(rewards: list[float], propensity: float, targets: list[float], times: int) -> Logged:
    return Logged.of(rewards * times, [propensity] * (len(rewards) * times), targets * times)


def test_estimates__one_decision__vowpal_wabbit_estimators() -> None:
    """VowpalWabbit/estimators (BSD-3), tests/test_bandits_ips.py and test_bandits_snips.py."""
    one = Logged.of([1.0], [0.3], [0.6])
    assert inverse_propensity(one).value == pytest.approx(2.0)
    assert self_normalised(one).value == pytest.approx(1.0)


@pytest.mark.parametrize("reward", [1.0, 10.0, -1.0])
def test_estimates__constant_reward__vowpal_wabbit_estimators(reward: float) -> None:
    """tests/test_bandits.py: estimate_1_from_1s, estimate_10_from_10s, estimate_negative_constant."""
    logged = _cycle([reward], 1.0, [1.0], 10)
    bounds = (min(0.0, reward), max(0.0, reward))
    for found in (inverse_propensity(logged, bounds=bounds), self_normalised(logged)):
        assert found.value == pytest.approx(reward)
        assert found.low <= reward <= found.high


@pytest.mark.parametrize("r", [1.0, 10.0])
def test_intervals__ten_thousand_decisions__within_those_of_vowpal_wabbit_estimators(r: float) -> None:
    """tests/test_bandits.py: test_simple_convergence asks 0.75 r to 0.85 r of the Gaussian interval."""
    logged = _cycle([r, 0.0], 0.5, [0.8, 0.2], 5_000)
    normal = inverse_propensity(logged, interval=Interval.NORMAL)
    exact = inverse_propensity(logged, bounds=(0.0, r))
    for found in (normal, self_normalised(logged), exact):
        assert 0.75 * r <= found.low <= 0.8 * r <= found.high <= 0.85 * r
    assert normal.high - normal.low < exact.high - exact.low
    # their Gaussian interval by its own formula
    n, mean, square = 10_000, 0.8 * r, (1.6 * r) ** 2 / 2
    half = 1.959963984540054 * math.sqrt((square - mean**2) * n / (n - 1) / n)
    assert (normal.low, normal.high) == (pytest.approx(mean - half), pytest.approx(mean + half))


def test_intervals__zero_variance__vowpal_wabbit_estimators() -> None:
    """tests/test_bandits.py: test_zero_variance_reward, 0.7 to 0.8."""
    found = inverse_propensity(_cycle([0.751], 0.5, [0.5], 100), interval=Interval.NORMAL)
    assert 0.7 <= found.low <= found.high <= 0.8


def test_intervals__more_decisions_or_less_confidence__narrower() -> None:
    few, many = (_cycle([1.0, 0.0], 0.5, [0.2, 0.8], n) for n in (50, 5_000))
    for interval in Interval:
        wide, narrow = (inverse_propensity(each, interval=interval) for each in (few, many))
        assert wide.low <= narrow.low
        assert narrow.high <= wide.high
        sure, unsure = (inverse_propensity(few, interval=interval, level=level) for level in (0.99, 0.5))
        assert sure.low <= unsure.low
        assert unsure.high <= sure.high


def test_doubly_robust__perfect_model__no_variance_left() -> None:
    logged = _cycle([1.0, 0.0], 0.5, [0.8, 0.2], 500)
    found = doubly_robust(logged, predictions=[1.0, 0.0] * 500, baselines=[0.8] * 1000)
    assert found.value == pytest.approx(0.8)
    assert found.standard_error == pytest.approx(0.0, abs=1e-12)
    silent = doubly_robust(logged, predictions=[0.0] * 1000, baselines=[0.0] * 1000)
    assert silent.value == inverse_propensity(logged).value


def test_overlap__counts__kish_and_the_mass_that_is_missing() -> None:
    found = overlap(Logged.of([1.0] * 4, [0.5, 0.25, 0.25, 1.0], [0.5, 0.5, 0.0, 1.0]))
    assert (found.mean_weight, found.largest_weight) == (1.0, 2.0)
    assert found.effective == pytest.approx(16 / 6)
    assert found.reason == "the logs are worth 2.7 decisions of the proposed policy, 30 are needed"
    nothing = self_normalised(_cycle([1.0], 0.5, [0.0], 100))
    assert math.isnan(nothing.value)
    assert nothing.inconclusive
    assert nothing.overlap.reason == "the proposed policy would have made none of the logged decisions"
    wrong = overlap(_cycle([1.0, 0.0], 0.2, [0.5, 0.5], 100))
    assert wrong.reason is not None
    assert "not those that were used" in wrong.reason


def test_overlap__proposed_action_never_logged__inconclusive_though_every_propensity_is_positive() -> None:
    generator = np.random.default_rng(5)
    propensity = np.full(2000, 0.5)
    target = np.where(generator.random(2000) < 0.5, 0.1, 0.2)  # seven times in ten it wants a third action
    found = inverse_propensity(Logged.of(generator.random(2000), propensity, target))
    assert found.inconclusive
    assert found.overlap.reason is not None
    assert "never logged" in found.overlap.reason


def test_clip__reported__and_the_exact_interval_still_holds_the_truth() -> None:
    logged = Logged.of([1.0] * 990 + [1.0] * 10, [0.99] * 990 + [0.01] * 10, [0.5] * 1000)
    found = inverse_propensity(logged, clip=5.0)
    assert found.clipped == 10
    assert found.value < inverse_propensity(logged).value
    assert found.low <= 1.0 <= found.high
    assert self_normalised(logged, clip=5.0).clipped == 10


@pytest.mark.parametrize(
    ("rewards", "propensities", "targets", "message"),
    [
        ([], [], [], "do not match"),
        ([1.0], [0.5, 0.5], [1.0], "do not match"),
        ([1.0], [0.0], [1.0], "propensities"),
        ([1.0], [1.5], [1.0], "propensities"),
        ([1.0], [math.nan], [1.0], "propensities"),
        ([math.inf], [0.5], [1.0], "rewards"),
        ([1.0], [0.5], [-0.1], "targets"),
        ([1.0], [0.5], [math.nan], "targets"),
    ],
)
def test_logged__hostile_values__refused(
    rewards: list[float], propensities: list[float], targets: list[float], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        Logged.of(rewards, propensities, targets)


def test_arguments__that_make_no_sense__refused() -> None:
    logged = _cycle([1.0, 0.0], 0.5, [0.5, 0.5], 50)
    with pytest.raises(InvalidInput, match="rewards") as refused:
        inverse_propensity(logged, bounds=(0.0, 0.5))
    assert (refused.value.where, refused.value.allowed) == ("position 0 (and 49 more)", "0 to 0.5")
    with pytest.raises(InvalidInput, match="clip"):
        inverse_propensity(logged, clip=0.0)
    with pytest.raises(InvalidInput, match="Bernstein"):
        self_normalised(logged, interval=Interval.BERNSTEIN)
    with pytest.raises(InvalidInput, match="predictions"):
        doubly_robust(logged, [0.5], [0.5] * 100)
    with pytest.raises(InvalidInput, match="not between 0 and 1"):
        self_normalised(logged, level=95)


def test_support__action_without_chance__named() -> None:
    require_support([[0.5, 0.5], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(InvalidInput, match="action 1 of decision 1"):
        require_support([[0.5, 0.5], [1.0, 0.0]], [[0.0, 1.0], [0.9, 0.1]])


@pytest.mark.corpora
def test_estimates__real_queries_with_every_answer_known__hold_the_truth(corpora: Path) -> None:
    """Classification turned into bandit feedback (Dudik et al. 2011, sec. 4.1): queries in 18 domains.

    Whether a domain is right is known for every choice, so the value of the proposed policy is known exactly, while the
    estimates see one logged choice per query.
    """
    truth, beliefs = _queries(corpora / "hwu64")
    queries, domains = beliefs.shape
    rows = np.arange(queries)
    best = beliefs.argmax(axis=1)
    proposed = np.full((queries, domains), 0.1 / domains)
    proposed[rows, best] += 0.9
    logging = 0.3 / domains + 0.7 * beliefs**0.5 / (beliefs**0.5).sum(axis=1, keepdims=True)
    require_support(logging, proposed)
    value = float(proposed[rows, truth].mean())
    assert value > 0.7
    generator = np.random.default_rng(6)
    found = defaultdict(list)
    for _ in range(200):
        drawn = generator.integers(0, queries, queries)
        before = np.cumsum(logging[drawn], axis=1)[:, :-1]
        choice = (generator.random(queries)[:, None] > before).sum(axis=1)
        logged = Logged.of(truth[drawn] == choice, logging[drawn, choice], proposed[drawn, choice])
        found["exact"].append(inverse_propensity(logged))
        found["inverse"].append(inverse_propensity(logged, interval=Interval.NORMAL))
        found["self-normalised"].append(self_normalised(logged))
        model = (beliefs * proposed).sum(axis=1)
        found["doubly robust"].append(doubly_robust(logged, beliefs[drawn, choice], model[drawn]))
    width = {}
    for name, runs in found.items():
        values = np.array([run.value for run in runs])
        assert abs(values.mean() - value) < 4 * values.std() / math.sqrt(len(runs)), name
        assert np.mean([run.low <= value <= run.high for run in runs]) >= 0.9, name
        assert not any(run.inconclusive for run in runs)
        width[name] = float(np.mean([run.high - run.low for run in runs]))
    assert width["doubly robust"] < width["self-normalised"] < width["inverse"] < width["exact"]


def _queries(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """True domains of the test queries, and a naive Bayes model's beliefs learned from the training queries."""

    def rows(name: str) -> list[dict[str, str]]:
        with (folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    train, test = rows("train.csv"), rows("test.csv")
    names = sorted({row["domain"] for row in train})
    words = Counter(word for row in train for word in set(row["text"].split()))
    position = {word: number for number, word in enumerate(words)}
    counts, domains = np.ones((len(names), len(position))), np.zeros(len(names))
    for row in train:
        domain = names.index(row["domain"])
        domains[domain] += 1
        for word in row["text"].split():
            counts[domain, position[word]] += 1
    log = np.log(counts / counts.sum(axis=1, keepdims=True))
    known = [[position[word] for word in row["text"].split() if word in position] for row in test]
    scores = np.array([np.log(domains) + log[:, each].sum(axis=1) for each in known])
    beliefs = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.array([names.index(row["domain"]) for row in test]), beliefs / beliefs.sum(axis=1, keepdims=True)
