"""The training loop: batches, learning-rate schedule, choice of the best epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from bailiwick.models.linear_text.network import Optimiser, Weights
from bailiwick.models.model import EpochLoss
from bailiwick.statistics.calibration import log_loss, softmax

_LARGEST_BATCH, _SMALLEST_BATCH, _BATCHES_PER_EPOCH = 256, 8, 30
_RATE_AT_LARGEST_BATCH = 0.008
_ENOUGH_STEPS = 300
_MOST_EPOCHS = 60
_LOSS_SAMPLE = 2_000


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how boldly to train. ``stop_after`` ends it earlier without changing the learning rates before."""

    epochs: int
    batch: int
    rate: float
    weight_decay: float
    feature_dropout: float
    hidden_dropout: float
    stop_after: int | None = None


def batch_by_size(examples: int) -> int:
    """Examples per step: about a thirtieth of them, a power of two between 8 and 256.

    >>> batch_by_size(100), batch_by_size(1_500), batch_by_size(10_000)
    (8, 32, 256)
    """
    batch = _SMALLEST_BATCH
    while batch < _LARGEST_BATCH and 2 * batch * _BATCHES_PER_EPOCH <= examples:
        batch *= 2
    return batch


def epochs_by_size(examples: int, batch: int, usual: int) -> int:
    """The usual number of passes, more for a small set, so that there are steps enough to converge.

    >>> epochs_by_size(10_000, 256, usual=9), epochs_by_size(100, 8, usual=9)
    (9, 24)
    """
    return min(_MOST_EPOCHS, max(usual, math.ceil(_ENOUGH_STEPS / math.ceil(examples / batch))))


def rate_by_batch(batch: int) -> float:
    """The highest learning rate: 0.008 for batches of 256, and falling with the square root of the batch.

    >>> round(rate_by_batch(32), 4)
    0.0028
    """
    return _RATE_AT_LARGEST_BATCH * math.sqrt(batch / _LARGEST_BATCH)


def fit(
    weights: Weights,
    features: csr_matrix,
    truth: NDArray[np.integer],
    validation: tuple[csr_matrix, NDArray[np.integer]] | None,
    schedule: Schedule,
    generator: np.random.Generator,
    progress: Callable[[EpochLoss], None] | None,
) -> tuple[Weights, int]:
    """Train in place; the weights and number of the epoch with the lowest validation loss (without: the last).

    The learning rate warms up over the first 5 % of the steps and falls to 1 % along half a cosine. The training loss
    of an epoch is measured without dropout, on at most 2,000 of the examples, always the same.
    """
    optimiser = Optimiser(weights, schedule.weight_decay)
    count = len(truth)
    sample = np.sort(generator.permutation(count)[:_LOSS_SAMPLE])
    seen = (features[sample], truth[sample])
    total = schedule.epochs * math.ceil(count / schedule.batch)
    last = schedule.stop_after or schedule.epochs
    best, best_epoch, best_loss = weights, last, math.inf
    for epoch in range(1, last + 1):
        order = generator.permutation(count)
        for begin in range(0, count, schedule.batch):
            rows = order[begin : begin + schedule.batch]
            optimiser.step(
                features[rows],
                truth[rows],
                rate=schedule.rate * _shape((optimiser.steps + 1) / total),
                feature_dropout=schedule.feature_dropout,
                hidden_dropout=schedule.hidden_dropout,
                generator=generator,
            )
        validation_loss = _loss(weights, *validation) if validation else None
        if progress:
            progress(EpochLoss(epoch, schedule.epochs, _loss(weights, *seen), validation_loss))
        if validation_loss is not None and validation_loss < best_loss:
            best, best_epoch, best_loss = (weights.copy() if epoch < last else weights), epoch, validation_loss
    return best, best_epoch


def _shape(done: float) -> float:
    return min(1.0, done / 0.05) * (0.505 + 0.495 * math.cos(math.pi * done))


def _loss(weights: Weights, features: csr_matrix, truth: NDArray[np.integer]) -> float:
    return log_loss(softmax(weights.scores(features)), truth)
