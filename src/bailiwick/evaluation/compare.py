"""Two models on the same texts. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bailiwick.statistics.paired import PairedResult, compare_paired


def correct(probabilities: NDArray[np.float64], labels: Sequence[str], truth: Sequence[str]) -> NDArray[np.bool_]:
    """Whether the most probable label of each row is the true one."""
    return np.array([labels[guess] == true for guess, true in zip(probabilities.argmax(axis=1), truth, strict=True)])


def compare_predictions(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> PairedResult:
    """The second against the first, from which texts each got right."""
    return compare_paired(len(first), int((first & ~second).sum()), int((~first & second).sum()))
