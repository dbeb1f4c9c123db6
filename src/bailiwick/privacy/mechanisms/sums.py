"""The sum of a column whose values are clamped to public bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.privacy.accounting.steps import Laplace, Mechanism
from bailiwick.privacy.contributions import BoundedRows, NumericColumn, cap_of, changes
from bailiwick.privacy.mechanisms.model import ExpectedError, laplace_quantile, same_terms
from bailiwick.privacy.mechanisms.noise import check_epsilon, laplace, laplace_scale
from bailiwick.privacy.releases import MechanismUse
from bailiwick.privacy.terms import ReleaseTerms


@dataclass(frozen=True, slots=True)
class Sum:
    """A clamped sum in whole steps with discrete Laplace noise. Without bounds there is none.

    Args:
        terms: the sensitivity follows from cap, adjacency and the column's bounds.
        column: made from the same terms.
        epsilon: of the release.
    """

    terms: ReleaseTerms
    column: NumericColumn
    epsilon: float

    def __post_init__(self) -> None:
        check_epsilon(self.epsilon)
        own_column(self.terms, self.column)

    @property
    def sensitivity(self) -> int:
        """How far one unit can move the sum, in steps."""
        return changes(self.terms) * cap_of(self.terms) * self.column.largest

    @property
    def uses(self) -> tuple[MechanismUse, ...]:
        """See `Calibrated`."""
        return (sum_use(f"sum of {self.column.name}", self.column, self.sensitivity, self.epsilon),)

    @property
    def steps(self) -> tuple[tuple[Mechanism, int], ...]:
        """See `Calibrated`."""
        return ((Laplace(self.epsilon, self.sensitivity), 1),)

    @property
    def errors(self) -> tuple[ExpectedError, ...]:
        """See `Calibrated`."""
        scale = self.column.value(1) * self.sensitivity / self.epsilon
        return (ExpectedError(f"sum of {self.column.name}", self.column.name, scale, laplace_quantile(scale)),)

    def release(self, rows: BoundedRows) -> Mapping[str, Any]:
        """The noisy sum, a whole number of steps."""
        same_terms(self.terms, rows)
        noisy = laplace([sum(values_of(rows, self.column))], self.sensitivity, self.epsilon)
        return {"sum": self.column.value(int(noisy[0]))}


def own_column(terms: ReleaseTerms, column: NumericColumn) -> None:
    """Refuse a column whose limits are not those of the terms.

    Raises:
        InvalidInput: they are not, or the terms state none.
    """
    if NumericColumn.of(terms, column.name, column.decimals) != column:
        raise InvalidInput(f"column {column.name!r} was bounded by other terms", what=f"bounds.{column.name}")


def values_of(rows: BoundedRows, column: NumericColumn) -> tuple[int, ...]:
    """The column's clamped values, in steps.

    Raises:
        InvalidInput: the rows were not bounded with it.
    """
    if rows.numeric.get(column.name) != column:
        raise InvalidInput(f"the rows were not bounded with the column {column.name!r}", what=column.name)
    return rows.numbers[column.name]


def sum_use(of: str, column: NumericColumn, sensitivity: int, epsilon: float) -> MechanismUse:
    """Discrete Laplace noise on a clamped sum, for the plan."""
    return MechanismUse(
        name="discrete laplace",
        parameters={
            "of": of,
            "unit": column.name,
            "l1_sensitivity": column.value(sensitivity),
            "scale": column.value(1) * laplace_scale(sensitivity, epsilon),
            "grid": column.value(1),
            "epsilon": epsilon,
        },
        map="epsilon = l1_sensitivity / scale",
    )
