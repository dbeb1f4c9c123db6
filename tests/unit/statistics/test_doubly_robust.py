from __future__ import annotations

import math

import numpy as np
import pytest

from bailiwick.errors import InvalidInput
from bailiwick.statistics.doubly_robust import Batch, effect_of_batches, effect_of_scores, half_width, scores
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.score import BurnIn, Support


def _history(
    seed: int, weights: list[tuple[float, ...]], size: int = 400
) -> tuple[list[Batch], np.ndarray, np.ndarray]:
    """Batches, and the same units one by one: ``(batch, arm, reward)``."""
    generator = np.random.default_rng(seed)
    batches, units = [], []
    for number, propensities in enumerate(weights):
        arm = generator.choice(len(propensities), size, p=propensities)
        reward = generator.normal(0.1 * arm, 1.0)
        batches.append(Batch(propensities, tuple(UnitMoments.of(reward[arm == k]) for k in range(len(propensities)))))
        units.append(np.column_stack([np.full(size, number), arm, reward]))
    return batches, np.concatenate(units), np.array(weights)


WEIGHTS = [(1 / 3, 1 / 3, 1 / 3), (0.2, 0.5, 0.3), (0.1, 0.8, 0.1)]


def test_batches__moments_alone__equal_the_scores_of_every_unit() -> None:
    batches, units, weights = _history(1, WEIGHTS)
    number, arm, reward = units[:, 0].astype(int), units[:, 1].astype(int), units[:, 2]
    differences = np.zeros(len(units))
    for sign, position in ((-1, 0), (1, 2)):
        known = np.array(
            [
                reward[(arm == position) & (number < max(1, batch))].mean()  # the first batch predicts itself
                for batch in range(len(weights))
            ]
        )
        differences += sign * scores(reward, arm == position, weights[number, position], known[number])
    by_unit = effect_of_scores(differences, planned_units=1200)
    by_batch = effect_of_batches(batches, 0, 2, planned_units=1200, burn_in=BurnIn(units=50))
    assert by_batch.reason is None
    for name in ("difference", "standard_error", "low", "high", "units"):
        assert getattr(by_batch, name) == pytest.approx(getattr(by_unit, name), rel=1e-9)


def test_batches__one_even_batch__difference_of_the_means() -> None:
    batches, _, _ = _history(2, WEIGHTS[:1])
    found = effect_of_batches(batches, 0, 1, planned_units=400, burn_in=BurnIn(units=50))
    control, treatment = batches[0].arms[0], batches[0].arms[1]
    assert found.difference == pytest.approx(treatment.mean - control.mean)
    assert found.standard_error == pytest.approx(math.hypot(control.standard_error, treatment.standard_error), rel=0.1)


def test_batches__adding_one__does_not_change_what_was_predicted_before() -> None:
    """The scores of earlier batches stay: the running mean is a martingale, which a confidence sequence needs."""
    batches, _, _ = _history(3, WEIGHTS)
    quick = BurnIn(units=1)
    two, three = (effect_of_batches(batches[:n], 0, 1, planned_units=1200, burn_in=quick) for n in (2, 3))
    last = 3 * three.difference - 2 * two.difference  # the mean score of the third batch
    known = [sum((batch.arms[arm] for batch in batches[:2]), UnitMoments()).mean for arm in (0, 1)]
    third = batches[2]
    by_hand = known[1] - known[0]
    for sign, arm in ((-1, 0), (1, 1)):
        error = third.arms[arm].total - third.arms[arm].units * known[arm]
        by_hand += sign * error / third.propensities[arm] / 400
    assert last == pytest.approx(by_hand)


def test_batches__before_the_burn_in__says_what_is_missing() -> None:
    batches, _, _ = _history(4, WEIGHTS[:1], size=90)
    found = effect_of_batches(batches, 0, 1, planned_units=400)
    assert found.inconclusive
    assert found.reason is not None
    assert "200 independent units" in found.reason
    assert (found.low, found.high) == (-math.inf, math.inf)
    rare = Batch((0.5, 0.5), (UnitMoments.of([1.0] + [0.0] * 999), UnitMoments.of([1.0] + [0.0] * 999)))
    waiting = effect_of_batches([rare], 0, 1, planned_units=4000, support=Support.BINARY)
    assert waiting.reason == "needs 25 events in the control, has 1"


def test_batches__nothing_yet__unknown() -> None:
    for batches in ([], [Batch((0.5, 0.5), (UnitMoments(), UnitMoments()))]):
        found = effect_of_batches(batches, 0, 1, planned_units=100)
        assert math.isnan(found.difference)
        assert found.inconclusive


def test_batches__an_arm_that_had_no_chance__refused() -> None:
    arm = UnitMoments.of([1.0, 0.0])
    for propensities, message in (((0.0, 1.0), "could not have been chosen"), ((0.7, 0.7), "not probabilities")):
        with pytest.raises(InvalidInput, match=message):
            effect_of_batches([Batch(propensities, (arm, arm))], 0, 1, planned_units=10)
    with pytest.raises(InvalidInput, match="cannot be compared"):
        effect_of_batches([Batch((0.5, 0.5), (arm, arm))], 0, 2, planned_units=10)
    with pytest.raises(InvalidInput, match="planned_units"):
        effect_of_batches([], 0, 1, planned_units=0)
    with pytest.raises(InvalidInput, match="finite"):
        scores([math.nan], [True], [0.5])


def test_half_width__authors_formula__same_number() -> None:
    """WannabeSmith/drconfseq (MIT), R/asymptotic_confseq.R: std_conjmix_margin(t, rho2)."""
    for t in (10.0, 1_000.0, 50_000.0):
        rho2 = (-2 * math.log(0.05) + math.log1p(-2 * math.log(0.05))) / 1_000
        margin = math.sqrt(2 * (t * rho2 + 1) * math.log(math.sqrt(t * rho2 + 1) / 0.05) / (t**2 * rho2))
        assert float(half_width(t, 4.0, 1_000, 0.95)) == pytest.approx(2 * margin, rel=1e-12)
