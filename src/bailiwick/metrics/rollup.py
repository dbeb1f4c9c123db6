"""A rollup: everything that analyses need of many numbers, in constant space, and it adds with ``+``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bailiwick.metrics.sketch import Sketch


@dataclass(frozen=True, slots=True)
class Rollup:
    """Count, moments, extremes and distribution of the values of one metric.

    Args:
        total, squares: the sum of the values, and of their squares.
        minimum, maximum: infinite (positive, negative) when empty.
    """

    count: int
    total: float
    squares: float
    minimum: float
    maximum: float
    sketch: Sketch

    @classmethod
    def of(cls, values: Sequence[float] | NDArray[np.float64]) -> Rollup:
        """The rollup of finite values.

        >>> rollup = Rollup.of([1.0, 2.0, 6.0])
        >>> rollup.count, rollup.mean, rollup.variance, rollup.maximum
        (3, 3.0, 7.0, 6.0)
        """
        numbers = np.asarray(values, dtype=np.float64)
        return cls(
            count=len(numbers),
            total=float(numbers.sum()),
            squares=float(np.square(numbers).sum()),
            minimum=float(numbers.min(initial=math.inf)),
            maximum=float(numbers.max(initial=-math.inf)),
            sketch=Sketch.of(numbers),
        )

    @classmethod
    def merged(cls, rollups: Iterable[Rollup]) -> Rollup:
        """The rollup of all the values together."""
        parts = list(rollups)
        return cls(
            count=sum(part.count for part in parts),
            total=math.fsum(part.total for part in parts),
            squares=math.fsum(part.squares for part in parts),
            minimum=min((part.minimum for part in parts), default=math.inf),
            maximum=max((part.maximum for part in parts), default=-math.inf),
            sketch=Sketch.merged(part.sketch for part in parts),
        )

    def __add__(self, other: Rollup) -> Rollup:
        """Both together."""
        return Rollup.merged((self, other))

    @property
    def mean(self) -> float:
        """NaN when empty."""
        return self.total / self.count if self.count else math.nan

    @property
    def variance(self) -> float:
        """The unbiased sample variance; NaN below two values."""
        if self.count < 2:
            return math.nan
        return max(0.0, (self.squares - self.total * self.total / self.count) / (self.count - 1))

    def quantile(self, q: float) -> float:
        """The quantile, within 1 % and within the extremes; NaN when empty.

        Raises:
            InvalidInput: q outside 0 to 1.
        """
        return min(max(self.sketch.quantile(q), self.minimum), self.maximum) if self.count else math.nan
