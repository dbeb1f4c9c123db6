"""The most frequent of public categories, without their counts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.privacy.accounting.steps import Mechanism, PureDp
from bailiwick.privacy.contributions import BoundedRows, cap_of
from bailiwick.privacy.mechanisms.model import ExpectedError, same_terms
from bailiwick.privacy.mechanisms.noise import calibrated, check_epsilon, opendp
from bailiwick.privacy.releases import MechanismUse
from bailiwick.privacy.terms import Adjacency, ReleaseTerms


@dataclass(frozen=True, slots=True)
class MostFrequent:
    """The ``top`` most frequent categories of a column, by noisy max (permute and flip; McKenna and Sheldon 2020).

    Args:
        terms: the categories; the sensitivity follows from cap and adjacency.
        column: to choose from.
        epsilon: of the whole choice.
        top: how many are named.
    """

    terms: ReleaseTerms
    column: str
    epsilon: float
    top: int = 1

    def __post_init__(self) -> None:
        check_epsilon(self.epsilon)
        self.terms.check(categorical=[self.column])
        if not 1 <= self.top < len(self.terms.categories[self.column].values):
            raise InvalidInput(
                f"cannot name {self.top} of the categories of {self.column!r}",
                what="top",
                requested=self.top,
                allowed=f"1 to {len(self.terms.categories[self.column].values) - 1}",
            )

    @property
    def monotonic(self) -> bool:
        """Adding a unit lowers no count, which halves the noise."""
        return self.terms.adjacency is Adjacency.ADD_REMOVE

    @property
    def sensitivity(self) -> int:
        """How far one unit can move one count."""
        return cap_of(self.terms)

    @property
    def uses(self) -> tuple[MechanismUse, ...]:
        """See `Calibrated`."""
        return (
            MechanismUse(
                name="noisy max",
                parameters={
                    "of": f"{self.top} most frequent {self.column}",
                    "linf_sensitivity": self.sensitivity,
                    "monotonic": self.monotonic,
                    "scale": self._made()[1],
                    "epsilon": self.epsilon,
                },
                map=f"epsilon = {'' if self.monotonic else '2 x '}{self.top} x linf_sensitivity / scale",
            ),
        )

    @property
    def steps(self) -> tuple[tuple[Mechanism, int], ...]:
        """See `Calibrated`."""
        return ((PureDp(self.epsilon), 1),)

    @property
    def errors(self) -> tuple[ExpectedError, ...]:
        """How many rows the best may lead the chosen one by."""
        scale = self._made()[1]
        within = scale * (math.log(len(self.terms.categories[self.column].values)) + math.log(20))
        return (ExpectedError(f"lead of the true most frequent {self.column}", "rows", scale, within),)

    def release(self, rows: BoundedRows) -> Mapping[str, Any]:
        """The chosen categories, best first."""
        same_terms(self.terms, rows)
        categories = self.terms.categories[self.column].values
        found = Counter(rows.categories[self.column])
        chosen = self._made()[0]([found[category] for category in categories])
        return {"most_frequent": [categories[at] for at in chosen]}

    def _made(self) -> tuple[Any, float]:
        return _top(self.top, self.sensitivity, self.monotonic, self.epsilon)


@lru_cache(64)
def _top(top: int, sensitivity: int, monotonic: bool, epsilon: float) -> tuple[Any, float]:
    library = opendp()
    domain = library.domains.vector_domain(library.domains.atom_domain(T="i64"))
    metric = library.metrics.linf_distance(T="i64", monotonic=monotonic)

    def make(scale: float) -> Any:
        return library.measurements.make_noisy_top_k(
            domain, metric, library.measures.max_divergence(), k=top, scale=scale
        )

    return calibrated(make, sensitivity, epsilon)
