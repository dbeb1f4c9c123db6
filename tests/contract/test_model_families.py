"""What every model family must do, run over every family of the catalogue."""

from __future__ import annotations

import json
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from learning_examples import examples

from bailiwick.errors import InvalidInput
from bailiwick.models.catalogue import families
from bailiwick.models.model import EpochLoss, LabelledText
from bailiwick.models.ports import FittedModel, ModelFamily

TRAIN, VALIDATION, TEST = examples(90, seed=1), examples(30, seed=2), examples(60, seed=3)
HOSTILE_TEXTS = ["", " ", "\0", "💳" * 50, "a" * 100_000, "'; DROP TABLE x; --", "\ud83d", "العربية 中文", "1 2 3"]


@pytest.fixture(scope="module", params=sorted(families()))
def family(request: pytest.FixtureRequest) -> ModelFamily:
    return families()[request.param]


@pytest.fixture(scope="module")
def model(family: ModelFamily) -> FittedModel:
    return family.train(TRAIN, VALIDATION, seed=7)


def accuracy(model: FittedModel, judged: list[LabelledText]) -> float:
    guesses = model.predict([example.text for example in judged]).argmax(axis=1)
    return float(np.mean([model.card.labels[g] == e.label for g, e in zip(guesses, judged, strict=True)]))


def test_train__separable_labels__learns_them(model: FittedModel) -> None:
    assert accuracy(model, TEST) >= 0.95
    assert model.card.labels == ("block_card", "exchange_rate", "open_account")
    assert model.card.parameters > 0


def test_train__same_inputs__same_artefact(family: ModelFamily, model: FittedModel) -> None:
    assert dict(family.save(family.train(TRAIN, VALIDATION, seed=7))) == dict(family.save(model))


def test_train__another_seed__another_artefact(family: ModelFamily, model: FittedModel) -> None:
    assert dict(family.save(family.train(TRAIN, VALIDATION, seed=8))) != dict(family.save(model))


def test_train__progress__losses_fall_and_epochs_count_up(family: ModelFamily) -> None:
    told: list[EpochLoss] = []
    family.train(TRAIN, VALIDATION, seed=7, progress=told.append)
    assert [loss.epoch for loss in told] == list(range(1, len(told) + 1))
    assert all(loss.epochs == told[0].epochs >= len(told) for loss in told)
    assert told[-1].training_loss < told[0].training_loss
    assert all(loss.validation_loss is not None for loss in told)


def test_train__no_validation__works_and_reports_none(family: ModelFamily) -> None:
    told: list[EpochLoss] = []
    model = family.train(TRAIN, [], seed=7, progress=told.append)
    assert accuracy(model, TEST) >= 0.9
    assert all(loss.validation_loss is None for loss in told)


@pytest.mark.parametrize(
    "bad", [[], TRAIN[:1], [e for e in TRAIN if e.label == "block_card"], [*TRAIN, LabelledText("odd", "lonely")]]
)
def test_train__too_few_labels_or_examples__refused(family: ModelFamily, bad: list[LabelledText]) -> None:
    with pytest.raises(InvalidInput):
        family.train(bad, [], seed=1)


def test_train__unknown_setting__refused_with_the_known_ones(family: ModelFamily) -> None:
    with pytest.raises(InvalidInput, match="no_such") as caught:
        family.train(TRAIN, [], seed=1, settings={"no_such": 1})
    assert caught.value.allowed


def test_train__start_of_another_family__refused(family: ModelFamily, model: FittedModel) -> None:
    class Foreign:
        card = model.card

        def predict(self, texts: list[str]) -> None: ...

        def familiarity(self, texts: list[str]) -> None: ...

    with pytest.raises(InvalidInput):
        family.train(TRAIN, [], seed=1, start=Foreign())  # type: ignore[arg-type]


def test_train__from_start_with_more_labels__knows_them_all(family: ModelFamily) -> None:
    two = ("block_card", "exchange_rate")
    start = family.train(examples(60, 1, two), examples(20, 2, two), seed=1)
    before = start.predict(["block my card"]).copy()
    tuned = family.train(TRAIN, VALIDATION, seed=1, start=start)
    assert tuned.card.labels == ("block_card", "exchange_rate", "open_account")
    assert accuracy(tuned, TEST) >= 0.95
    assert np.array_equal(start.predict(["block my card"]), before), "fine-tuning must not change its start"


def test_train__from_start_with_fewer_labels__knows_only_those(family: ModelFamily, model: FittedModel) -> None:
    two = ("block_card", "exchange_rate")
    tuned = family.train(examples(60, 4, two), examples(20, 5, two), seed=1, start=model)
    assert tuned.card.labels == two
    assert accuracy(tuned, examples(40, 6, two)) >= 0.95


def test_train__from_start__first_epoch_beats_scratch(family: ModelFamily, model: FittedModel) -> None:
    warm: list[EpochLoss] = []
    cold: list[EpochLoss] = []
    family.train(TRAIN, VALIDATION, seed=2, start=model, progress=warm.append)
    family.train(TRAIN, VALIDATION, seed=2, progress=cold.append)
    assert warm[0].training_loss < cold[0].training_loss


def test_predict__any_text__rows_are_probabilities(model: FittedModel) -> None:
    probabilities = model.predict(HOSTILE_TEXTS)
    assert probabilities.shape == (len(HOSTILE_TEXTS), 3)
    assert probabilities.dtype == np.float64
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert (probabilities >= 0).all()


def test_predict__no_texts__no_rows(model: FittedModel) -> None:
    assert model.predict([]).shape == (0, 3)
    assert model.familiarity([]).shape == (0,)


def test_predict__alone_or_in_a_batch__same_answer(model: FittedModel) -> None:
    texts = [example.text for example in TEST]
    alone = np.vstack([model.predict([text]) for text in texts])
    assert np.allclose(alone, model.predict(texts), atol=1e-5)


def test_predict__many_threads__same_answers(model: FittedModel) -> None:
    texts = [example.text for example in TEST]
    expected = model.predict(texts)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: model.predict(texts), range(16)):
            assert np.allclose(found, expected)


def test_familiarity__known_against_foreign_words__higher(model: FittedModel) -> None:
    known = model.familiarity([example.text for example in TEST])
    foreign = model.familiarity(["zygote mitochondria", "quux frobnicate", ""])
    assert ((known >= 0) & (known <= 1)).all()
    assert foreign.max() < np.median(known)


def test_save__loaded_artefact__same_bytes_and_answers(family: ModelFamily, model: FittedModel) -> None:
    files = family.save(model)
    loaded = family.load(files)
    assert dict(family.save(loaded)) == dict(files)
    texts = [example.text for example in TEST] + HOSTILE_TEXTS
    assert np.array_equal(loaded.predict(texts), model.predict(texts))
    assert np.array_equal(loaded.familiarity(texts), model.familiarity(texts))
    assert loaded.card == model.card


def test_save__formats__only_json_and_safetensors(family: ModelFamily, model: FittedModel) -> None:
    for name, content in family.save(model).items():
        assert name.endswith((".json", ".safetensors"))
        if name.endswith(".json"):
            json.loads(content)
        else:
            (header,) = struct.unpack("<Q", content[:8])
            json.loads(content[8 : 8 + header])


def test_load__file_missing_or_extra__refused(family: ModelFamily, model: FittedModel) -> None:
    files = dict(family.save(model))
    for name in files:
        with pytest.raises(InvalidInput):
            family.load({key: value for key, value in files.items() if key != name})
    with pytest.raises(InvalidInput):
        family.load({**files, "evil.py": b"import os"})
    with pytest.raises(InvalidInput):
        family.load({})


@pytest.mark.parametrize("cut", [0, 1, 7, 8, 9, 100, -1])
def test_load__file_truncated__refused(family: ModelFamily, model: FittedModel, cut: int) -> None:
    files = dict(family.save(model))
    for name, content in files.items():
        with pytest.raises(InvalidInput):
            family.load({**files, name: content[:cut]})


def test_load__random_bytes__refused(family: ModelFamily, model: FittedModel) -> None:
    files = dict(family.save(model))
    noise = np.random.default_rng(0).bytes(4_096)
    for name in files:
        for content in (noise, b"", b"null", b"[]", b"{}", b"\x80\x04\x95pickle", b"[" * 100_000, b'{"a": NaN}'):
            with pytest.raises(InvalidInput):
                family.load({**files, name: content})


def test_load__header_that_claims_the_world__refused(family: ModelFamily, model: FittedModel) -> None:
    files = dict(family.save(model))
    for name in files:
        if name.endswith(".safetensors"):
            for size in (2**63, 2**40, 200_000):
                with pytest.raises(InvalidInput):
                    family.load({**files, name: struct.pack("<Q", size) + files[name][8:]})
