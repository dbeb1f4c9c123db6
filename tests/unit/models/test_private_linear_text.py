"""The private family: what a unit can do to a sum, exactly; and that it learns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_examples import examples

from bailiwick.errors import InvalidInput
from bailiwick.models.catalogue import model_format, private_family
from bailiwick.models.model import LabelledText
from bailiwick.models.private_linear_text.features import FEATURE_GRID, features
from bailiwick.models.private_linear_text.fit import gradient_sum, unit_examples
from bailiwick.models.private_linear_text.gradients import GRADIENT_GRID
from bailiwick.privacy.training import PrivateTrainingPlan, calibrate, epsilon

pytest.importorskip("opendp")

LABELS = ("block_card", "exchange_rate", "open_account")
PLAN = PrivateTrainingPlan(1.0, 12, 4.0, 0.5, 4, 1e-5)


@given(st.lists(st.text(max_size=40), max_size=5))
@settings(max_examples=50, deadline=None)
def test_features__any_texts__no_row_longer_than_the_grid(texts: list[str]) -> None:
    rows = features(texts, 256)
    assert rows.shape == (len(texts), 256)
    assert all(int((rows[i].multiply(rows[i])).sum()) <= FEATURE_GRID**2 for i in range(len(texts)))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_gradient_sum__one_unit_more__moves_it_by_at_most_the_clip_exactly(data: st.DataObject) -> None:
    clip = data.draw(st.floats(0.01, 3.0))
    texts = data.draw(st.lists(st.tuples(st.sampled_from("abcd "), st.sampled_from(LABELS)), min_size=1, max_size=4))
    weights = np.random.default_rng(data.draw(st.integers(0, 99))).normal(0, 20, (64, 3))
    others = examples(9, seed=3)
    unit = [LabelledText(text * 5 + str(n), label, "zed") for n, (text, label) in enumerate(texts)]
    sums = [
        gradient_sum(unit_examples(given, LABELS, 4, 64), weights, clip).astype(object)
        for given in (others, [*others, *unit])
    ]
    moved = sums[1] - sums[0]
    assert sum(int(value) ** 2 for value in moved.ravel()) <= math.floor(clip * GRADIENT_GRID) ** 2


def test_gradient_sum__wide_clip__close_to_the_true_gradient() -> None:
    made = unit_examples(examples(30), LABELS, 4, 128)
    found = gradient_sum(made, np.zeros((128, 3)), 10.0) / GRADIENT_GRID
    errors = np.full((30, 3), 1 / 3)
    errors[np.arange(30), made.truth] -= 1
    true = made.rows.T @ errors / FEATURE_GRID
    assert np.abs(found - true).max() < 30 * 2**-12


def test_unit_examples__more_than_the_cap__cut_by_the_unit_alone() -> None:
    many = [LabelledText(f"text {n}", "block_card", "ann") for n in range(9)]
    alone = unit_examples(many, LABELS, 4, 64)
    among = unit_examples([*examples(20), *reversed(many)], LABELS, 4, 64)
    assert alone.units == 1
    assert len(alone.truth) == 4
    assert (among.rows[:4] != alone.rows).nnz == 0


def test_unit_examples__no_unit_or_foreign_label__left_out() -> None:
    strange = [LabelledText("a", "block_card"), LabelledText("b", "nonsense", "ann")]
    assert unit_examples(strange, LABELS, 4, 64).units == 0


def test_epsilon__plans__agree_with_known_values() -> None:
    plain = PrivateTrainingPlan(1.0, 1, 10.0, 1.0, 1, 1e-6, batch_divisor=100.0)
    hundred = PrivateTrainingPlan(1.0, 100, 10.0, 1.0, 1, 1e-6, batch_divisor=100.0)
    # Exact: 4.886554 (analytic Gaussian); Rényi at its best order: 5.2215.
    assert 4.8865 < epsilon(hundred) == pytest.approx(5.2215, abs=0.02)
    assert epsilon(plain) < epsilon(hundred)
    sampled = PrivateTrainingPlan(0.01, 1000, 1.0, 1.0, 1, 1e-5, batch_divisor=100.0)
    assert 1.828 < epsilon(sampled) == pytest.approx(2.1014, abs=0.02)


@pytest.mark.parametrize("target", [0.1, 1.0, 8.0])
def test_calibrate__target__is_reached_and_not_passed(target: float) -> None:
    found = epsilon(calibrate(PLAN, target))
    assert found <= target
    assert found > 0.99 * target


@pytest.mark.parametrize(
    "bad",
    [
        {"sample_rate": 0.0},
        {"sample_rate": math.nan},
        {"clip": -1.0},
        {"steps": 0},
        {"delta": 0.0},
        {"delta": math.nan},
    ],
)
def test_plan__bad_value__refused(bad: dict[str, float]) -> None:
    values = {"sample_rate": 1.0, "steps": 1, "noise_multiplier": 1.0, "clip": 1.0, "contribution_cap": 1, "delta": 0.1}
    with pytest.raises(InvalidInput):
        PrivateTrainingPlan(**{**values, **bad})  # type: ignore[arg-type]


def test_family__large_epsilon__learns_saves_and_loads() -> None:
    family = private_family()
    chosen = {"features": 512}
    plan = family.plan(50.0, 1e-5, 1, chosen)
    model = family.train_privately(examples(600), LABELS, plan, settings=chosen, privacy={"unit": "customer"})
    judged = examples(60, seed=3)
    guesses = model.predict([each.text for each in judged]).argmax(axis=1)
    right = [model.card.labels[guess] == each.label for guess, each in zip(guesses, judged, strict=True)]
    assert np.mean(right) > 0.9
    files = model_format("private-linear-text").save(model)
    loaded = family.load(files)
    assert dict(family.save(loaded)) == dict(files)
    assert loaded.card == model.card
    assert np.array_equal(loaded.predict(["a", ""]), model.predict(["a", ""]))


def test_family__twice_the_same__never_the_same_weights() -> None:
    family, chosen = private_family(), {"features": 64}
    plan = family.plan(1.0, 1e-5, 1, chosen)
    made = [dict(family.save(family.train_privately(examples(9), LABELS, plan, settings=chosen))) for _ in range(2)]
    assert made[0] != made[1]


@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_family__no_examples__trains_all_the_same(rate: float) -> None:
    family, chosen = private_family(), {"features": 64, "sample_rate": rate}
    model = family.train_privately([], LABELS, family.plan(1.0, 1e-5, 1, chosen), settings=chosen)
    assert model.predict(["x"]).shape == (1, 3)
