"""The mean of a column whose values are clamped to public bounds, with the noisy count that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bailiwick.privacy.accounting.steps import Laplace, Mechanism
from bailiwick.privacy.amounts import NANO
from bailiwick.privacy.contributions import BoundedRows, NumericColumn, cap_of, changes
from bailiwick.privacy.mechanisms.counts import STEPS_PER_ROW, count_error, laplace_use, noisy_counts
from bailiwick.privacy.mechanisms.model import ExpectedError, laplace_quantile, same_terms
from bailiwick.privacy.mechanisms.noise import check_epsilon, laplace
from bailiwick.privacy.mechanisms.sums import own_column, sum_use, values_of
from bailiwick.privacy.releases import MechanismUse
from bailiwick.privacy.terms import ReleaseTerms


@dataclass(frozen=True, slots=True)
class Mean:
    """Noisy sum of the deviations from the middle of the bounds, over a noisy count; half of epsilon for each.

    How many rows there are is private too, so the count is paid for. Deviations from the middle are at most half as
    large as the values, and so is their noise.

    Args:
        terms: the sensitivities follow from cap, adjacency and the column's bounds.
        column: made from the same terms.
        epsilon: of both parts together.
    """

    terms: ReleaseTerms
    column: NumericColumn
    epsilon: float

    def __post_init__(self) -> None:
        own_column(self.terms, self.column)
        check_epsilon(self.half)

    @property
    def half(self) -> float:
        """Epsilon of each part; two of them never exceed the whole."""
        return share_of(self.epsilon, 2)

    @property
    def middle(self) -> int:
        """Of the bounds, in steps."""
        return (self.column.lower + self.column.upper) // 2

    @property
    def sensitivity(self) -> int:
        """How far one unit can move the sum of deviations, in steps."""
        furthest = max(self.column.upper - self.middle, self.middle - self.column.lower)
        return changes(self.terms) * cap_of(self.terms) * furthest

    @property
    def count_sensitivity(self) -> int:
        """How far one unit can move the count."""
        return changes(self.terms) * cap_of(self.terms)

    @property
    def uses(self) -> tuple[MechanismUse, ...]:
        """See `Calibrated`."""
        of = f"sum of {self.column.name} less {self.column.value(self.middle)}"
        return (
            sum_use(of, self.column, self.sensitivity, self.half),
            laplace_use(self.count_sensitivity, self.half, "rows", f"count of {self.column.name}"),
        )

    @property
    def steps(self) -> tuple[tuple[Mechanism, int], ...]:
        """See `Calibrated`."""
        return (
            (Laplace(self.half, self.sensitivity), 1),
            (Laplace(self.half, self.count_sensitivity * STEPS_PER_ROW), 1),
        )

    @property
    def errors(self) -> tuple[ExpectedError, ...]:
        """The mean's own error is the first of these over the number of rows, which is private."""
        scale = self.column.value(1) * self.sensitivity / self.half
        of = f"mean of {self.column.name}, times the number of rows"
        return (
            ExpectedError(of, self.column.name, scale, laplace_quantile(scale)),
            count_error("count", "rows", self.count_sensitivity, self.half),
        )

    def release(self, rows: BoundedRows) -> Mapping[str, Any]:
        """The noisy mean, within the bounds, and the noisy count."""
        same_terms(self.terms, rows)
        values = values_of(rows, self.column)
        deviation = int(laplace([sum(values) - self.middle * len(values)], self.sensitivity, self.half)[0])
        count = int(noisy_counts([len(values)], self.count_sensitivity, self.half)[0])
        # From here on only noisy whole numbers are used.
        steps = self.middle + deviation / max(count, 1)
        unit = self.column.value(1)
        return {"mean": min(max(steps, self.column.lower), self.column.upper) * unit, "count": count}


def share_of(epsilon: float, parts: int) -> float:
    """An equal part of epsilon, in whole billionths, so that the parts never add up to more.

    >>> share_of(1.0, 3)
    0.333333333

    Raises:
        InvalidInput: it is no epsilon.
    """
    check_epsilon(epsilon)
    return int(epsilon * NANO + 1e-6) // parts / NANO
