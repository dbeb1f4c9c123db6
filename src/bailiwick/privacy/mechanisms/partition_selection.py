"""Which values occur, and how often, where the values themselves are found in private data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.privacy.accounting.steps import ApproximateDp, Mechanism
from bailiwick.privacy.contributions import BoundedRows, cap_of, changes
from bailiwick.privacy.mechanisms.model import ExpectedError, laplace_quantile, same_terms
from bailiwick.privacy.mechanisms.noise import calibrated, check_epsilon, opendp
from bailiwick.privacy.releases import MechanismUse
from bailiwick.privacy.terms import ReleaseTerms

_LARGEST_THRESHOLD = 2**40


@dataclass(frozen=True, slots=True)
class PartitionSelection:
    """Units per value, for values that enough units have (Rogers 2023; OpenDP's laplace threshold).

    A value that one person alone has would give that person away by merely being listed. It is listed with probability
    delta at most. The rows must be bounded as distinct: a unit counts once per value, for at most cap values.

    Args:
        terms: the distances follow from cap and adjacency. The column needs no categories.
        column: whose values are found.
        epsilon, delta: of the release; delta above 0.
    """

    terms: ReleaseTerms
    column: str
    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        check_epsilon(self.epsilon)
        cap_of(self.terms)
        if not 0 < self.delta < 1:
            raise InvalidInput(
                "values found in private data can be released only with a delta",
                what="delta",
                requested=self.delta,
                allowed="above 0, well below one over the number of units",
                remedy="state a delta, or the public list of categories",
            )

    @property
    def values_per_unit(self) -> int:
        """How many values one unit can change."""
        return changes(self.terms) * cap_of(self.terms)

    @property
    def threshold(self) -> int:
        """Noisy counts below it are not listed."""
        return int(self._made()[2])

    @property
    def uses(self) -> tuple[MechanismUse, ...]:
        """See `Calibrated`."""
        _, scale, threshold, delta = self._made()
        return (
            MechanismUse(
                name="laplace threshold",
                parameters={
                    "of": f"units per {self.column}",
                    "l0_sensitivity": self.values_per_unit,
                    "linf_sensitivity": 1,
                    "scale": scale,
                    "threshold": threshold,
                    "epsilon": self.epsilon,
                    "delta": delta,
                },
                map="epsilon = l0_sensitivity / scale; delta: a single unit's values pass the threshold",
            ),
        )

    @property
    def steps(self) -> tuple[tuple[Mechanism, int], ...]:
        """See `Calibrated`."""
        return ((ApproximateDp(self.epsilon, self.delta), 1),)

    @property
    def errors(self) -> tuple[ExpectedError, ...]:
        """Of a listed value; and how many units a value needs to be listed with a probability of 95 %."""
        scale, threshold = self._made()[1], self.threshold
        return (
            ExpectedError(f"units per {self.column}", "units", scale, laplace_quantile(scale)),
            ExpectedError(f"units that a {self.column} needs to be listed", "units", scale, threshold + 2.303 * scale),
        )

    def release(self, rows: BoundedRows) -> Mapping[str, Any]:
        """The listed values with noisy counts, largest first, so that nothing of the data's order remains."""
        same_terms(self.terms, rows)
        if not rows.distinct or len(rows.categories) != 1:
            raise InvalidInput("partition selection needs distinct rows of one column", what="rows")
        # In hexadecimal: OpenDP ends a text at its first NUL, which would make one value of two, each with its count.
        found = {_coded(value): count for value, count in Counter(rows.categories[self.column]).items()}
        listed = self._made()[0](found) if found else {}
        ordered = sorted(
            ((_decoded(key), count) for key, count in listed.items()), key=lambda item: (-item[1], item[0])
        )
        return {"threshold": self.threshold, "values": [{"key": key, "count": int(count)} for key, count in ordered]}

    def _made(self) -> tuple[Any, float, int, float]:
        return _select(self.values_per_unit, self.epsilon, self.delta)


def _coded(value: str) -> str:
    return value.encode("utf-8", "surrogatepass").hex()


def _decoded(key: str) -> str:
    return bytes.fromhex(key).decode("utf-8", "surrogatepass")


@lru_cache(64)
def _select(values_per_unit: int, epsilon: float, delta: float) -> tuple[Any, float, int, float]:
    library = opendp()
    domain = library.domains.map_domain(library.domains.atom_domain(T="String"), library.domains.atom_domain(T="i64"))
    metric = library.metrics.l01inf_distance(library.metrics.absolute_distance(T="i64"))
    # One unit: so many values, each moved by one; under replacement both the old and the new values move by one.
    distance = (values_per_unit, values_per_unit, 1)

    def make(scale: float, threshold: int) -> Any:
        return library.measurements.make_laplace_threshold(domain, metric, scale=scale, threshold=threshold)

    _, scale = calibrated(lambda scale: make(scale, _LARGEST_THRESHOLD), distance, epsilon)
    low, high = 1, _LARGEST_THRESHOLD
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if make(scale, middle).map(distance)[1] <= delta else (middle, high)
    reached = make(scale, high).map(distance)
    if reached[0] > epsilon or reached[1] > delta:
        raise InvalidInput(f"no threshold gives delta {delta!r}", what="delta", requested=delta)
    # OpenDP 0.16 lists counts that reach the threshold, but takes delta from the tail beyond it (opendp issue 2922):
    # one more makes what is listed what delta was computed for.
    return make(scale, high + 1), scale, high + 1, float(reached[1])
