"""Whom a release protects and on which terms: what must be fixed and public before data is touched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from bailiwick.errors import InvalidInput
from bailiwick.privacy.costs import Cost, Level
from bailiwick.privacy.names import named

LARGEST_CAP = 1_000_000
"""Most rows of one unit that a release may use. Beyond it, noise would drown any answer, and sums leave 64 bits."""


class Adjacency(Enum):
    """Which two data sets must be hard to tell apart. The contribution cap says how many rows one unit may touch."""

    ADD_REMOVE = "add-remove"
    """One has all rows of one unit more than the other."""
    REPLACE = "replace"
    """The rows of one unit are exchanged for others."""


@dataclass(frozen=True, slots=True)
class PrivacyUnit:
    """Whom a release protects: everything that carries one value of a column.

    Args:
        column: the column that names the unit, such as ``customer``.
        namespace: where that value means the same person, such as ``bank-customers``. Budgets add up inside it.
    """

    column: str
    namespace: str

    def __post_init__(self) -> None:
        named(self.column, "unit.column")
        named(self.namespace, "unit.namespace")


@dataclass(frozen=True, slots=True)
class ColumnBounds:
    """Public limits that values of a column are clamped to. Inclusive, in the column's own unit."""

    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lower) and math.isfinite(self.upper) and self.lower < self.upper):
            raise InvalidInput(
                f"bounds [{self.lower!r}, {self.upper!r}] are no interval",
                what="bounds",
                requested=f"[{self.lower!r}, {self.upper!r}]",
                allowed="two finite numbers, the lower one first",
            )


@dataclass(frozen=True, slots=True)
class Categories:
    """The public list of values that a column may have. Any other value is left out of a release."""

    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise InvalidInput(
                f"categories {self.values!r} are empty or repeat a value", what="categories", allowed="distinct values"
            )


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a promise lasts.

    Args:
        reset_days: None: for ever, what is spent stays spent. Else the account starts afresh after so many days, and
            the promise covers one such period only.
    """

    reset_days: int | None = None

    def __post_init__(self) -> None:
        if self.reset_days is not None and (isinstance(self.reset_days, bool) or self.reset_days < 1):
            raise InvalidInput(f"a reset after {self.reset_days!r} days is none", what="lifetime", allowed=">= 1 day")

    @property
    def words(self) -> str:
        """The reset policy in words, as report cards show it.

        >>> Lifetime().words, Lifetime(30).words
        ('never reset', 'reset every 30 days')
        """
        return "never reset" if self.reset_days is None else f"reset every {self.reset_days} days"


@dataclass(frozen=True, slots=True)
class ReleaseTerms:
    """What must be fixed and public before data is touched. None means: not stated.

    Args:
        unit: whom the release protects.
        adjacency: which change of the data is to be hidden.
        contribution_cap: at most so many rows of one unit are used; the others are dropped.
        bounds: clamping limits by numeric column.
        categories: allowed values by categorical column.
        lifetime: how long the promise lasts; must be that of the account.
    """

    unit: PrivacyUnit | None = None
    adjacency: Adjacency | None = Adjacency.ADD_REMOVE
    contribution_cap: int | None = None
    bounds: Mapping[str, ColumnBounds] = field(default_factory=dict)
    categories: Mapping[str, Categories] = field(default_factory=dict)
    lifetime: Lifetime | None = None

    def missing(self, *, numeric: Sequence[str] = (), categorical: Sequence[str] = ()) -> list[str]:
        """What is not stated, of what a release over these columns needs.

        >>> ReleaseTerms(lifetime=Lifetime()).missing(numeric=["amount"])
        ['unit', 'contribution_cap', 'bounds.amount']
        """
        stated = {
            "unit": self.unit,
            "adjacency": self.adjacency,
            "contribution_cap": self.contribution_cap,
            "lifetime": self.lifetime,
        }
        return [
            *(name for name, value in stated.items() if value is None),
            *(f"bounds.{column}" for column in numeric if column not in self.bounds),
            *(f"categories.{column}" for column in categorical if column not in self.categories),
        ]

    def check(self, *, numeric: Sequence[str] = (), categorical: Sequence[str] = ()) -> None:
        """Refuse terms that cannot carry a release over these columns.

        Args:
            numeric: columns whose values enter sums, means or quantiles.
            categorical: columns whose values are grouped by or counted.

        Raises:
            InvalidInput: naming everything that is missing, or a contribution cap outside 1 to `LARGEST_CAP`.
        """
        absent = self.missing(numeric=numeric, categorical=categorical)
        if absent:
            raise InvalidInput(
                f"the terms of the release do not state {', '.join(absent)}",
                what=absent[0],
                requested="a private release",
                remedy="state it from public knowledge, before looking at the data",
            )
        check_cap(self.contribution_cap)


def check_cap(cap: object) -> None:
    """Refuse what is no contribution cap.

    Raises:
        InvalidInput: it is no whole number from 1 to `LARGEST_CAP`.
    """
    if isinstance(cap, bool) or not isinstance(cap, int) or not 1 <= cap <= LARGEST_CAP:
        raise InvalidInput(
            f"contribution cap {cap!r}", what="contribution_cap", requested=cap, allowed=f"1 to {LARGEST_CAP:,} rows"
        )


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    """What an account's releases use, fixed once it was charged. All of it public, none of it learnt from the data.

    Args:
        contribution_cap: rows of one unit that are used at most.
        bounds: clamping limits by column.
        categories: allowed values by column.
        level: what one release costs that names no epsilon.
        price: the same as an epsilon with its delta, where none of the levels fits; only one of both is stated.
    """

    contribution_cap: int | None = None
    bounds: Mapping[str, ColumnBounds] = field(default_factory=dict)
    categories: Mapping[str, Categories] = field(default_factory=dict)
    level: Level | None = None
    price: Cost | None = None

    @property
    def default_cost(self) -> Cost | None:
        """What a release costs that names neither an epsilon nor a level; None: it must name one.

        >>> PrivacySettings(price=Cost.of("0.3")).default_cost.words
        'epsilon 0.3'
        """
        return self.price or (self.level.cost if self.level else None)
