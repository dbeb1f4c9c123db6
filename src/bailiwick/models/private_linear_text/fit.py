"""Private training of a linear softmax: the steps of a plan, and nothing that the plan does not account for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from bailiwick.models.model import LabelledText
from bailiwick.models.private_linear_text.features import FEATURE_GRID, features
from bailiwick.models.private_linear_text.gradients import GRADIENT_GRID, Integers, clipped_errors, probabilities
from bailiwick.privacy.sampling import poisson_sample
from bailiwick.privacy.training import PrivateTrainingPlan
from bailiwick.privacy.training_noise import add_discrete_gaussian

Noise = Callable[[Integers, float], Integers]
"""Adds noise of a scale in grid steps. Replaced only by audits, to see that they notice."""

_COUNT_GRID = 2**10
_CHUNK_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class Reach:
    """The longest way that the weights may go in all steps together. Public; see `benchmarks/bench_privacy.py --tune`.

    Args:
        per_label: far enough to separate the labels where there is no noise, per label.
        score_noise: short enough that the noise of all steps moves a score by so many nats.
    """

    per_label: float = 120.0
    score_noise: float = 1.1


USUAL_REACH = Reach()


@dataclass(frozen=True, slots=True)
class UnitExamples:
    """Examples as integers, those of a unit next to each other.

    Args:
        rows: features, shape ``(examples, size)``.
        truth: label positions.
        starts: where each unit begins.
    """

    rows: csr_matrix
    truth: Integers
    starts: Integers

    @property
    def units(self) -> int:
        """How many there are: private."""
        return len(self.starts)

    def of_units(self, chosen: NDArray[np.bool_]) -> UnitExamples:
        """The examples of some of the units."""
        sizes = np.diff(np.append(self.starts, len(self.truth)))
        mask = np.repeat(chosen, sizes)
        starts = np.concatenate([[0], np.cumsum(sizes[chosen])[:-1]]).astype(np.int64)
        return UnitExamples(self.rows[mask], self.truth[mask], starts[: int(chosen.sum())])


def unit_examples(examples: Sequence[LabelledText], labels: Sequence[str], cap: int, size: int) -> UnitExamples:
    """Examples with a unit and a listed label, at most ``cap`` per unit; the others are left out.

    Which examples of a unit are kept depends on that unit alone: the first by their text.
    """
    at = {label: position for position, label in enumerate(labels)}
    usable = sorted(
        {(each.unit, each.text, each.label) for each in examples if each.unit is not None and each.label in at}
    )
    kept: list[tuple[str, str]] = []
    starts: list[int] = []
    for _, group in groupby(usable, key=lambda each: each[0]):
        starts.append(len(kept))
        kept.extend((text, label) for _, text, label in list(group)[:cap])
    return UnitExamples(
        features([text for text, _ in kept], size),
        np.array([at[label] for _, label in kept], np.int64),
        np.array(starts, np.int64),
    )


def fit(
    examples: UnitExamples,
    labels: int,
    plan: PrivateTrainingPlan,
    *,
    progress: Callable[[int], None] | None = None,
    noise: Noise = add_discrete_gaussian,
    reach: Reach = USUAL_REACH,
) -> NDArray[np.float64]:
    """Weights, shape ``(size, labels)``, private as the plan says.

    Args:
        examples: bounded to the plan's cap.
        labels: how many.
        plan: with its noise multiplier chosen.
        progress: called with the number of steps done. It is told nothing of the data.
        noise: see `Noise`.
        reach: how far the weights go.
    """
    weights = np.zeros((examples.rows.shape[1], labels))
    divisor = plan.batch_divisor or max(1.0, plan.sample_rate * _noisy_count(examples.units, plan, noise))
    way = min(reach.per_label * labels, reach.score_noise * plan.signal * divisor / plan.sample_rate)
    rate = way / plan.steps / (plan.clip * divisor * GRADIENT_GRID)
    scale = plan.noise_multiplier * plan.clip * GRADIENT_GRID
    for step in range(plan.steps):
        batch = examples.of_units(poisson_sample(examples.units, plan.sample_rate))
        weights -= rate * noise(gradient_sum(batch, weights, plan.clip), scale)
        if progress:
            progress(step + 1)
    return weights


def gradient_sum(batch: UnitExamples, weights: NDArray[np.float64], clip: float) -> Integers:
    """The sum of the units' clipped gradients in steps of `GRADIENT_GRID`, exact; shape of the weights."""
    total = np.zeros(weights.shape, np.int64)
    if not batch.units:
        return total
    ends = np.append(batch.starts[1:], len(batch.truth))
    most = max(1, _CHUNK_CELLS // weights.shape[1])
    first = 0
    while first < batch.units:
        after = max(first + 1, int(np.searchsorted(ends, batch.starts[first] + most, side="right")))
        part = slice(batch.starts[first], ends[after - 1])
        rows, truth = batch.rows[part], batch.truth[part]
        errors = probabilities(np.asarray(rows @ weights) / FEATURE_GRID)
        errors[np.arange(len(truth)), truth] -= 1
        total += rows.T @ clipped_errors(errors, rows, batch.starts[first:after] - batch.starts[first], clip)
        first = after
    return total


def _noisy_count(units: int, plan: PrivateTrainingPlan, noise: Noise) -> float:
    counted = noise(np.array([units * _COUNT_GRID], np.int64), plan.count_noise * _COUNT_GRID)
    return float(counted[0]) / _COUNT_GRID
