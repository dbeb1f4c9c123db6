from __future__ import annotations

import json

import numpy as np
import pytest
from learning_examples import examples
from safetensors.numpy import load, save

from bailiwick.errors import InvalidInput
from bailiwick.models.linear_text.artefact import DESCRIPTION, NUMBERS
from bailiwick.models.linear_text.family import LinearTextFamily
from bailiwick.models.linear_text.fitted import LinearTextModel
from bailiwick.models.linear_text.network import Optimiser, fresh_weights
from bailiwick.models.linear_text.vocabulary import learn
from bailiwick.models.linear_text.words import words
from bailiwick.models.model import EpochLoss
from bailiwick.statistics.calibration import log_loss, softmax

FAMILY = LinearTextFamily()


@pytest.fixture(scope="module")
def model() -> LinearTextModel:
    return FAMILY.train(examples(90, 1), examples(30, 2), seed=7)


@pytest.fixture(scope="module")
def files(model: LinearTextModel) -> dict[str, bytes]:
    return dict(FAMILY.save(model))


def changed(files: dict[str, bytes], **values: object) -> dict[str, bytes]:
    return {**files, DESCRIPTION: json.dumps({**json.loads(files[DESCRIPTION]), **values}).encode()}


def retensored(files: dict[str, bytes], **values: np.ndarray) -> dict[str, bytes]:
    return {**files, NUMBERS: save({**load(files[NUMBERS]), **values})}


@pytest.mark.parametrize(
    "values",
    [
        {"family": "other"},
        {"format": 2},
        {"labels": []},
        {"labels": ["a", "a", "b"]},
        {"labels": ["a", "b"]},
        {"labels": [1, 2, 3]},
        {"labels": "abc"},
        {"terms": ["x"]},
        {"terms": {"a": 1}},
        {"temperature": 0.0},
        {"temperature": 1e9},
        {"temperature": "1"},
        {"temperature": True},
        {"shortest": 0},
        {"longest": 10**9},
        {"shortest": 5, "longest": 2},
        {"settings": [1]},
        {"settings": {"a": [1]}},
        {"surprise": 1},
    ],
)
def test_load__description_changed__refused(files: dict[str, bytes], values: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        FAMILY.load(changed(files, **values))


@pytest.mark.parametrize(
    "tensor",
    [
        {"output": np.zeros((3, 3), np.float32)},
        {"output": np.zeros(256, np.float32)},
        {"output_bias": np.zeros(4, np.float32)},
        {"output_bias": np.zeros(3, np.float64)},
        {"hidden_bias": np.zeros(0, np.float32)},
        {"hidden_bias": np.full(256, np.nan, np.float32)},
        {"hidden_bias": np.full(256, np.inf, np.float32)},
        {"idf": np.zeros(3, np.float32)},
        {"energies": np.zeros(1, np.float32)},
        {"energies": np.array([2, 1], np.float32)},
        {"energies": np.zeros((2, 2), np.float32)},
        {"extra": np.zeros(1, np.float32)},
    ],
)
def test_load__tensor_changed__refused(files: dict[str, bytes], tensor: dict[str, np.ndarray]) -> None:
    with pytest.raises(InvalidInput):
        FAMILY.load(retensored(files, **tensor))


def test_predict__cached_words__equal_the_matrix_product(model: LinearTextModel) -> None:
    texts = ["block my lost card", "Euro euro RATE!", "card's unknownword", "the the the"]
    by_matrix = softmax(model.weights.scores(model.vocabulary.matrix(texts)) / model.temperature)
    assert np.allclose(model.predict(texts), by_matrix, atol=1e-5)


def test_predict__cache_full__still_right(model: LinearTextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bailiwick.models.linear_text.fitted._CACHED_WORDS", 2)
    texts = [example.text for example in examples(20, 9)]
    fresh = FAMILY.load(FAMILY.save(model))
    assert np.allclose(fresh.predict(texts), model.predict(texts))


def test_step__gradient__matches_finite_differences() -> None:
    """Adam's first step moves every weight by the rate against the sign of its gradient."""
    generator = np.random.default_rng(0)
    vocabulary = learn(["a b", "b c", "c d"], min_count=1, shortest=2, longest=2)
    features, truth = vocabulary.matrix(["a b", "c d"]), np.array([0, 1])
    weights = fresh_weights(len(vocabulary.terms), 8, 2, generator)
    before = weights.copy()
    numeric = np.zeros_like(before.output)
    for i in np.ndindex(*numeric.shape):
        for sign in (1, -1):
            nudged = before.copy()
            nudged.output[i] += sign * 1e-2
            numeric[i] += sign * log_loss(softmax(nudged.scores(features)), truth) / 2e-2
    Optimiser(weights, weight_decay=0.0).step(
        features, truth, rate=1e-3, feature_dropout=0.0, hidden_dropout=0.0, generator=generator
    )
    told = np.abs(numeric) > 1e-3
    assert told.any()
    assert np.array_equal(np.sign(before.output - weights.output)[told], np.sign(numeric)[told])
    assert log_loss(softmax(weights.scores(features)), truth) < log_loss(softmax(before.scores(features)), truth)


def test_learn__extended__old_terms_keep_their_place() -> None:
    old = learn(["block my card"], min_count=1, shortest=2, longest=5)
    new = learn(["block my account"], min_count=1, shortest=2, longest=5, start=old)
    assert new.terms[: len(old.terms)] == old.terms
    assert np.array_equal(new.idf[: len(old.idf)], old.idf)
    assert "\x01account" in new.index


def test_words__other_scripts_and_long_input__cut_and_kept() -> None:
    assert words("Überweisung Привет") == ["überweisung", "привет"]
    assert sum(map(len, words("x" * 1_000_000))) <= 20_000


def test_train__refit__learns_from_validation_and_numbers_epochs_through() -> None:
    told: list[EpochLoss] = []
    model = FAMILY.train(examples(60, 1), examples(30, 2), seed=7, settings={"refit": 1}, progress=told.append)
    assert [loss.epoch for loss in told[:-1]] == [loss.epoch - 1 for loss in told[1:]]
    assert told[0].validation_loss is not None
    assert told[-1].validation_loss is None
    plain = FAMILY.train(examples(60, 1), examples(30, 2), seed=7)
    assert model.temperature == plain.temperature
    assert len(model.vocabulary.terms) > len(plain.vocabulary.terms)


def test_train__start_without_fresh_validation__keeps_its_calibration(model: LinearTextModel) -> None:
    tuned = FAMILY.train(examples(90, 3), [], seed=1, start=model)
    assert tuned.temperature == model.temperature
    assert np.array_equal(tuned.energies, model.energies)


@pytest.mark.parametrize("settings", [{"hidden": 64}, {"longest_piece": 3}])
def test_train__start_with_another_architecture__refused(model: LinearTextModel, settings: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match="cannot change"):
        FAMILY.train(examples(90, 3), [], seed=1, start=model, settings=settings)


@pytest.mark.parametrize(
    "settings",
    [{"hidden": 1}, {"hidden": 2.5}, {"hidden": True}, {"epochs": -1}, {"shortest_piece": 6}, {"refit": 2}],
)
def test_train__setting_out_of_bounds__refused(settings: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        FAMILY.train(examples(30, 1), [], seed=1, settings=settings)


def test_familiarity__held_out_texts_like_the_training__spread_evenly(model: LinearTextModel) -> None:
    share = model.familiarity([example.text for example in examples(300, 11)])
    assert 0.3 < np.median(share) < 0.7
