"""Quantiles of a column, chosen among evenly spaced public candidates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.privacy.accounting.steps import Mechanism, PureDp
from bailiwick.privacy.contributions import BoundedRows, NumericColumn, cap_of, changes
from bailiwick.privacy.mechanisms.means import share_of
from bailiwick.privacy.mechanisms.model import ExpectedError, same_terms
from bailiwick.privacy.mechanisms.noise import calibrated, check_epsilon, opendp
from bailiwick.privacy.mechanisms.sums import own_column, values_of
from bailiwick.privacy.releases import MechanismUse
from bailiwick.privacy.terms import ReleaseTerms

MOST_CANDIDATES = 10_001


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Quantiles by private selection (Smith 2011; noisy max): the candidate that splits the rows best, up to noise.

    Args:
        terms: the distance follows from cap and adjacency.
        column: made from the same terms; candidates lie between its bounds.
        probabilities: of the quantiles, each strictly between 0 and 1, at most four decimals; 0.5 is the median.
        epsilon: of all of them together, in equal parts.
        candidates: how many values can be answered.
    """

    terms: ReleaseTerms
    column: NumericColumn
    probabilities: tuple[float, ...]
    epsilon: float
    candidates: int = 201

    def __post_init__(self) -> None:
        own_column(self.terms, self.column)
        if not self.probabilities or not all(0 < p < 1 and round(p, 4) == p for p in self.probabilities):
            raise InvalidInput(
                f"quantiles {self.probabilities!r}",
                what="probabilities",
                requested=list(self.probabilities),
                allowed="numbers between 0 and 1 of at most four decimals, such as 0.5",
            )
        if not 2 <= self.candidates <= MOST_CANDIDATES:
            raise InvalidInput("too few or too many candidates", what="candidates", allowed=f"2 to {MOST_CANDIDATES}")
        check_epsilon(self.each)

    @property
    def each(self) -> float:
        """Epsilon of one quantile."""
        return share_of(self.epsilon, len(self.probabilities))

    @property
    def distance(self) -> int:
        """How many rows neighbouring data sets differ by."""
        return changes(self.terms) * cap_of(self.terms)

    @property
    def grid(self) -> tuple[int, ...]:
        """The candidates, in steps."""
        low, width = self.column.lower, self.column.upper - self.column.lower
        return tuple(sorted({low + width * at // (self.candidates - 1) for at in range(self.candidates)}))

    @property
    def uses(self) -> tuple[MechanismUse, ...]:
        """See `Calibrated`."""
        return tuple(
            MechanismUse(
                name="noisy max of quantile scores",
                parameters={
                    "of": f"quantile {probability} of {self.column.name}",
                    "rows_distance": self.distance,
                    "candidates": len(self.grid),
                    "scale": self._made(probability)[1],
                    "epsilon": self.each,
                },
                map="epsilon = 2 x score sensitivity x rows_distance / scale",
            )
            for probability in self.probabilities
        )

    @property
    def steps(self) -> tuple[tuple[Mechanism, int], ...]:
        """See `Calibrated`."""
        return ((PureDp(self.each), len(self.probabilities)),)

    @property
    def errors(self) -> tuple[ExpectedError, ...]:
        """In ranks: how many rows may lie between the answer and the best candidate."""
        found = []
        for probability in self.probabilities:
            _, scale, score_sensitivity = self._made(probability)
            per_rank = score_sensitivity / max(probability, 1 - probability)
            rank_scale = scale / per_rank
            within = rank_scale * (math.log(len(self.grid)) + math.log(20))
            found.append(ExpectedError(f"quantile {probability} of {self.column.name}", "ranks", rank_scale, within))
        return tuple(found)

    def release(self, rows: BoundedRows) -> Mapping[str, Any]:
        """Per probability the chosen candidate."""
        same_terms(self.terms, rows)
        values, grid = list(values_of(rows, self.column)), self.grid
        chosen = {p: grid[self._made(p)[0](values)] for p in self.probabilities}
        return {"quantiles": [{"probability": p, "value": self.column.value(steps)} for p, steps in chosen.items()]}

    def _made(self, probability: float) -> tuple[Any, float, int]:
        return _quantile(self.grid, probability, self.distance, self.each)


@lru_cache(64)
def _quantile(grid: tuple[int, ...], probability: float, distance: int, epsilon: float) -> tuple[Any, float, int]:
    """The measurement, its scale, and what one row can change in a score."""
    library = opendp()
    space = library.domains.vector_domain(library.domains.atom_domain(T="i64")), library.metrics.symmetric_distance()
    scores = library.transformations.make_quantile_score_candidates(*space, list(grid), probability)

    def make(scale: float) -> Any:
        # a score is a distance from the wanted split: the smallest is the best
        chosen = library.measurements.make_noisy_max(
            scores.output_domain, scores.output_metric, library.measures.max_divergence(), scale=scale, negate=True
        )
        return scores >> chosen

    measurement, scale = calibrated(make, distance, epsilon)
    return measurement, scale, int(scores.map(1))
