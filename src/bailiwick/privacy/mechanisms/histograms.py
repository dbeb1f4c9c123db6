"""How rows, or units, spread over categories that are public beforehand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.privacy.accounting.steps import Laplace, Mechanism, PureDp
from bailiwick.privacy.contributions import BoundedRows, cap_of, changes
from bailiwick.privacy.mechanisms.counts import STEPS_PER_ROW, count_error, counted, laplace_use, noisy_counts
from bailiwick.privacy.mechanisms.model import ExpectedError, same_terms
from bailiwick.privacy.mechanisms.noise import check_epsilon
from bailiwick.privacy.releases import MechanismUse
from bailiwick.privacy.terms import ReleaseTerms

MOST_CELLS = 1_000_000


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts per category, or per combination of the categories of several columns, with discrete Laplace noise.

    Every category of the public list is answered, those that nobody has too: which ones are empty is private.

    Args:
        terms: categories of each column; the cap bounds how many cells one unit can move.
        columns: to group by.
        epsilon: of the whole histogram.
        units: count units per cell, each once; the rows must be bounded as distinct.
    """

    terms: ReleaseTerms
    columns: tuple[str, ...]
    epsilon: float
    units: bool = False

    def __post_init__(self) -> None:
        check_epsilon(self.epsilon)
        self.terms.check(categorical=self.columns)
        if not self.columns or self.cells > MOST_CELLS:
            raise InvalidInput(
                f"a histogram of {self.cells} cells", what="columns", requested=self.cells, allowed=f"1 to {MOST_CELLS}"
            )

    @property
    def cells(self) -> int:
        """How many counts are released."""
        cells = 1
        for column in self.columns:
            cells *= len(self.terms.categories[column].values)
        return cells

    @property
    def sensitivity(self) -> int:
        """In L1: one unit moves at most so many rows, wherever they lie."""
        return changes(self.terms) * cap_of(self.terms)

    @property
    def uses(self) -> tuple[MechanismUse, ...]:
        """See `Calibrated`."""
        of = f"histogram of {' x '.join(self.columns)}, {self.cells} cells"
        return (laplace_use(self.sensitivity, self.epsilon, counted(self.units), of),)

    @property
    def steps(self) -> tuple[tuple[Mechanism, int], ...]:
        """One unit in one cell is one number with Laplace noise; spread over several it is only known to be pure."""
        one_cell = self.sensitivity == 1
        return ((Laplace(self.epsilon, STEPS_PER_ROW) if one_cell else PureDp(self.epsilon), 1),)

    @property
    def errors(self) -> tuple[ExpectedError, ...]:
        """See `Calibrated`."""
        return (count_error("each cell", counted(self.units), self.sensitivity, self.epsilon),)

    def release(self, rows: BoundedRows) -> Mapping[str, Any]:
        """The noisy counts, in the order of the public lists."""
        same_terms(self.terms, rows)
        if self.units and not rows.distinct:
            raise InvalidInput("units can be counted only where the rows were bounded as distinct", what="rows")
        found = Counter(zip(*(rows.categories[column] for column in self.columns), strict=True))
        keys = list(product(*(self.terms.categories[column].values for column in self.columns)))
        noisy = noisy_counts([found[key] for key in keys], self.sensitivity, self.epsilon)
        return {
            "columns": list(self.columns),
            "cells": [{"key": list(key), "count": int(count)} for key, count in zip(keys, noisy, strict=True)],
        }
