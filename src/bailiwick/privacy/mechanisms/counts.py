"""How many rows, or units, there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bailiwick.privacy.accounting.steps import Laplace, Mechanism
from bailiwick.privacy.contributions import BoundedRows, cap_of, changes
from bailiwick.privacy.mechanisms.model import ExpectedError, laplace_quantile, same_terms
from bailiwick.privacy.mechanisms.noise import check_epsilon, laplace, laplace_scale
from bailiwick.privacy.releases import MechanismUse
from bailiwick.privacy.terms import ReleaseTerms

STEPS_PER_ROW = 64
"""Noise is drawn in 64ths of a row and rounded. Noise in whole rows composes like randomised response: 100 counts at
0.1 cost 4.77 at delta 1e-6 by privacy loss distributions, not the 4.69 of continuous noise; in 64ths it is 4.69."""


@dataclass(frozen=True, slots=True)
class Count:
    """A count of rows, or of units, with discrete Laplace noise.

    Args:
        terms: the sensitivity follows from their cap and adjacency; 1 per change for units.
        epsilon: of the release.
        units: count units, not rows.
    """

    terms: ReleaseTerms
    epsilon: float
    units: bool = False

    def __post_init__(self) -> None:
        check_epsilon(self.epsilon)
        cap_of(self.terms)

    @property
    def sensitivity(self) -> int:
        """How far one unit can move the count."""
        return changes(self.terms) * (1 if self.units else cap_of(self.terms))

    @property
    def uses(self) -> tuple[MechanismUse, ...]:
        """See `Calibrated`."""
        return (laplace_use(self.sensitivity, self.epsilon, counted(self.units)),)

    @property
    def steps(self) -> tuple[tuple[Mechanism, int], ...]:
        """See `Calibrated`."""
        return ((Laplace(self.epsilon, self.sensitivity * STEPS_PER_ROW), 1),)

    @property
    def errors(self) -> tuple[ExpectedError, ...]:
        """See `Calibrated`."""
        return (count_error("count", counted(self.units), self.sensitivity, self.epsilon),)

    def release(self, rows: BoundedRows) -> Mapping[str, Any]:
        """The noisy count. It can be negative: cut off at zero, sums of counts would be bent."""
        same_terms(self.terms, rows)
        exact = len(set(rows.units)) if self.units else len(rows)
        return {"count": int(noisy_counts([exact], self.sensitivity, self.epsilon)[0])}


def noisy_counts(exact: list[int] | NDArray[np.int64], sensitivity: int, epsilon: float) -> NDArray[np.int64]:
    """Counts with noise, in one call, rounded to whole numbers."""
    noisy = laplace(np.asarray(exact, dtype=np.int64) * STEPS_PER_ROW, sensitivity * STEPS_PER_ROW, epsilon)
    return np.floor_divide(noisy + STEPS_PER_ROW // 2, STEPS_PER_ROW)


def counted(units: bool) -> str:
    """What is counted, in a word."""
    return "units" if units else "rows"


def laplace_use(sensitivity: int, epsilon: float, unit: str, of: str = "count") -> MechanismUse:
    """Discrete Laplace noise on counts, for the plan."""
    return MechanismUse(
        name="discrete laplace",
        parameters={
            "of": of,
            "unit": unit,
            "l1_sensitivity": sensitivity,
            "scale": laplace_scale(sensitivity * STEPS_PER_ROW, epsilon) / STEPS_PER_ROW,
            "grid": f"1/{STEPS_PER_ROW}",
            "epsilon": epsilon,
        },
        map="epsilon = l1_sensitivity / scale",
    )


def count_error(of: str, unit: str, sensitivity: int, epsilon: float) -> ExpectedError:
    """What noise alone does to a count."""
    scale = sensitivity / epsilon
    return ExpectedError(of, unit, scale, laplace_quantile(scale))
