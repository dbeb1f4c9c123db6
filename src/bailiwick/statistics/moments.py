"""Sufficient statistics of an arm: what every analysis of an experiment reads, and nothing else.

The randomised thing is the unit (a user, a session, a request). A unit gives a *total* (the sum of its values) over a
*count* (how many values). An arm's estimate is ``sum(total) / sum(count)``: with one value per unit the plain mean,
with many the ratio, whose error must be clustered by unit (Deng, Knoblich, Lu, "Applying the delta method in metric
analytics", KDD 2018). A *covariate* is anything known of the unit before it was assigned; it makes the estimate sharper
(CUPED) and never biased.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

ROUNDING = 1e-12
"""Share of a sum of squares below which a difference of such sums is rounding."""


@dataclass(frozen=True, slots=True)
class UnitMoments:
    """Sums over the units of an arm; they add with ``+``, without loss beyond rounding.

    Args:
        units: how many units gave at least one value.
        total, count, covariate: sums of the three quantities of a unit.
        total_total, count_count, covariate_covariate, total_count, total_covariate, count_covariate: sums of their
            products.

    >>> arm = UnitMoments.of([3.0, 5.0, 4.0])
    >>> arm.mean, round(arm.standard_error, 6)
    (4.0, 0.57735)
    """

    units: float = 0.0
    total: float = 0.0
    count: float = 0.0
    covariate: float = 0.0
    total_total: float = 0.0
    count_count: float = 0.0
    covariate_covariate: float = 0.0
    total_count: float = 0.0
    total_covariate: float = 0.0
    count_covariate: float = 0.0

    @classmethod
    def of(cls, totals: ArrayLike, counts: ArrayLike | None = None, covariates: ArrayLike | None = None) -> UnitMoments:
        """The moments of units given one by one.

        Args:
            totals: shape ``(units,)``, the sum of a unit's values.
            counts: shape ``(units,)``, how many values each gave; one each where left out.
            covariates: shape ``(units,)``; zero where left out.
        """
        total = np.asarray(totals, dtype=np.float64)
        count = np.ones_like(total) if counts is None else np.asarray(counts, dtype=np.float64)
        covariate = np.zeros_like(total) if covariates is None else np.asarray(covariates, dtype=np.float64)
        return cls(
            float(len(total)),
            float(total.sum()),
            float(count.sum()),
            float(covariate.sum()),
            float(total @ total),
            float(count @ count),
            float(covariate @ covariate),
            float(total @ count),
            float(total @ covariate),
            float(count @ covariate),
        )

    def __add__(self, other: UnitMoments) -> UnitMoments:
        """The moments of both sets of units; no unit may be in both."""
        # field by field: `astuple` copies deeply, and an analysis adds thousands of these
        return UnitMoments(
            self.units + other.units,
            self.total + other.total,
            self.count + other.count,
            self.covariate + other.covariate,
            self.total_total + other.total_total,
            self.count_count + other.count_count,
            self.covariate_covariate + other.covariate_covariate,
            self.total_count + other.total_count,
            self.total_covariate + other.total_covariate,
            self.count_covariate + other.count_covariate,
        )

    def __sub__(self, other: UnitMoments) -> UnitMoments:
        """The moments without these units: replacing a unit's state is ``moments - before + after``."""
        return UnitMoments(
            self.units - other.units,
            self.total - other.total,
            self.count - other.count,
            self.covariate - other.covariate,
            self.total_total - other.total_total,
            self.count_count - other.count_count,
            self.covariate_covariate - other.covariate_covariate,
            self.total_count - other.total_count,
            self.total_covariate - other.total_covariate,
            self.count_covariate - other.count_covariate,
        )

    @property
    def mean(self) -> float:
        """Values per count; NaN before the first value."""
        return self.total / self.count if self.count else math.nan

    @property
    def variance_of_mean(self) -> float:
        """Square of `standard_error`; NaN with fewer than two units."""
        if self.units < 2 or not self.count:
            return math.nan
        return self.residual_squares * self.units / (self.units - 1) / (self.count * self.count)

    @property
    def residual_squares(self) -> float:
        """Sum over units of ``(total - mean * count)^2``, whose sum is zero by definition of the mean.

        0 where what is left after subtracting the mean is rounding, not spread: ten times 0.1 does not vary.
        """
        ratio = self.mean
        squares = self.total_total - 2 * ratio * self.total_count + ratio * ratio * self.count_count
        return squares if squares > ROUNDING * self.total_total else 0.0

    @property
    def standard_error(self) -> float:
        """Of `mean`, clustered by unit; for one value per unit exactly ``s / sqrt(n)``."""
        return math.sqrt(self.variance_of_mean)
