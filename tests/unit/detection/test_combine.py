from __future__ import annotations

import numpy as np
import pytest

from bailiwick.detection.combine import (
    Combination,
    belief,
    candidates,
    fit_combination,
    keyword_probabilities,
    posteriors,
    thresholds,
)


def test_keyword_probabilities__leave_a_share_for_none() -> None:
    found = keyword_probabilities({"cards": 3.0, "loans": 3.0})
    assert found["cards"] == found["loans"] < 0.5
    assert sum(found.values()) < 1
    assert keyword_probabilities({"cards": 1e6})["cards"] == pytest.approx(1.0)
    assert keyword_probabilities({}) == {}


def test_posteriors__evidence__moves_probability_and_rows_sum_to_1() -> None:
    given = np.array([[0.5, 0.5], [1.0, 0.0]])
    found = posteriors(given, np.array([[2.0, 0.0], [0.0, 0.0]]), Combination(1.0, 0.5))
    assert found.sum(axis=1) == pytest.approx([1, 1])
    assert found[0, 0] > 0.7


def test_fit_combination__useless_keywords__get_less_weight_than_telling_ones() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, 600)
    probabilities = np.full((600, 3), 1 / 3)
    telling = np.where(np.arange(3) == truth[:, None], 3.0, 0.0)
    noise = generator.random((600, 3)) * 3
    assert fit_combination(probabilities, noise, truth).keywords < 0.3
    assert fit_combination(probabilities, telling, truth).keywords > 1.0


def test_fit_combination__overconfident_classifier__is_tempered() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, 500)
    said = np.where(generator.random(500) < 0.7, truth, 1 - truth)
    probabilities = np.where(np.arange(2) == said[:, None], 0.999, 0.001)
    assert fit_combination(probabilities, np.zeros((500, 2)), truth).classifier < 0.5


def test_fit_combination__nothing_to_learn_from__default() -> None:
    assert fit_combination(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, int)) == Combination()


def test_thresholds__turn_away_the_asked_share() -> None:
    scores = np.linspace(0, 1, 1001)
    assert thresholds(scores)["0.05"] == pytest.approx(0.05, abs=1e-3)
    assert thresholds(np.zeros(0)) == {}


def test_belief__grows_to_1() -> None:
    assert belief(0.0) == 0.0
    assert 0 < belief(0.1) < belief(0.15) < belief(0.5) == 1.0


def test_candidates__unfamiliar_text__declared_keywords_speak() -> None:
    found = candidates({"cards": 3.0}, {"cards": 3.0}, {"cards": 0.1, "loans": 0.9}, {"cards", "loans"}, 0.0, 5)
    assert (found[0].domain, found[0].by_classifier) == ("cards", False)


def test_candidates__familiar_text__classifier_speaks() -> None:
    found = candidates({}, {}, {"cards": 0.1, "loans": 0.9}, {"cards", "loans"}, 0.9, 5)
    assert (found[0].domain, found[0].score, found[0].by_classifier) == ("loans", pytest.approx(0.9), True)


def test_candidates__domain_without_examples__found_by_its_keyword() -> None:
    words = {"treasury": 6.0}
    found = candidates(words, words, {"cards": 0.6, "loans": 0.4}, {"cards", "loans"}, 0.9, 5)
    assert found[0].domain == "treasury"
    assert sum(each.score for each in found) <= 1 + 1e-9


def test_candidates__learned_words_of_unfamiliar_text__do_not_speak() -> None:
    found = candidates({}, {"cards": 9.0}, {"cards": 0.9, "loans": 0.1}, {"cards", "loans"}, 0.0, 5)
    assert all(each.score == 0 for each in found)
