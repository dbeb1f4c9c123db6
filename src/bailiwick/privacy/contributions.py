"""From raw rows to rows that one unit can only influence so much. Pure; every mechanism takes what comes out here.

Three things are done, in this order. Rows that are outside the terms go: no unit, a category that is not on the
public list, a number that is none. Numbers are clamped to their public bounds and turned into whole steps. Of the rows
that one unit has left, at most the cap are kept.

Which rows are kept depends on that unit's own rows and on a public constant only, through a hash of their content:
never on the order of the file, and never on another unit's rows, or removing one person could exchange the rows of
another and the sensitivity would be larger than the cap. The constant need not be secret: the guarantee holds whichever
rows it picks.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from bailiwick.errors import InvalidInput
from bailiwick.privacy.terms import Adjacency, ColumnBounds, ReleaseTerms

_SALT = b"bailiwick/contributions/1"
_MOST_STEPS = 2**40

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class NumericColumn:
    """A column of numbers as whole steps of ``10 ** -decimals`` between public limits.

    Args:
        name: of the column, as in the terms.
        decimals: digits kept after the point; a public choice.
        lower, upper: the limits, in steps.
    """

    name: str
    decimals: int
    lower: int
    upper: int

    @classmethod
    def of(cls, terms: ReleaseTerms, name: str, decimals: int = 0) -> NumericColumn:
        """The column with the bounds that the terms state.

        Raises:
            InvalidInput: the terms state none, or the steps are too many to be counted exactly.
        """
        terms.check(numeric=[name])
        bounds: ColumnBounds = terms.bounds[name]
        if not 0 <= decimals <= 9:
            raise InvalidInput(f"{decimals!r} decimals", what="decimals", requested=decimals, allowed="0 to 9")
        column = cls(name, decimals, _steps(bounds.lower, decimals), _steps(bounds.upper, decimals))
        if column.lower >= column.upper or max(abs(column.lower), abs(column.upper)) > _MOST_STEPS:
            raise InvalidInput(
                f"bounds {bounds.lower!r} to {bounds.upper!r} of {name!r} hold no sensible number of steps",
                what=f"bounds.{name}",
                requested=[bounds.lower, bounds.upper],
                allowed=f"at least one step, at most {_MOST_STEPS} from zero",
                remedy="keep more or fewer decimals",
            )
        return column

    def steps(self, value: Value) -> int | None:
        """The value in steps, clamped; None where it is no number."""
        if isinstance(value, bool | int):
            exact = int(value) * int(10**self.decimals)
        elif isinstance(value, float) and not math.isnan(value):
            if math.isinf(value) or abs(value) > _MOST_STEPS:
                exact = self.upper if value > 0 else self.lower
            else:
                exact = _steps(value, self.decimals)
        else:
            return None
        return min(max(exact, self.lower), self.upper)

    def value(self, steps: int) -> float:
        """Steps as a number: a function of the whole number alone, so nothing else shines through its digits."""
        return float(Decimal(steps).scaleb(-self.decimals))

    @property
    def largest(self) -> int:
        """The largest magnitude that one value can have, in steps."""
        return max(abs(self.lower), abs(self.upper))


@dataclass(frozen=True, slots=True)
class BoundedRows:
    """Rows after bounding. Made by `bound` only.

    Args:
        terms: what they were bounded by.
        units: the unit of each row; no unit has more rows than the cap.
        categories: per categorical column, the value of each row, each on the public list or, where the column has no
            list, any text.
        numbers: per numeric column, the value of each row in steps.
        numeric: how those steps are to be read.
        distinct: no unit has two rows with the same categories.
    """

    terms: ReleaseTerms
    units: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, tuple[int, ...]]
    numeric: Mapping[str, NumericColumn]
    distinct: bool = False

    def __len__(self) -> int:
        return len(self.units)


def changes(terms: ReleaseTerms) -> int:
    """How often neighbouring data sets differ by one unit's contribution: one to add, or one out and one in."""
    return 1 if terms.adjacency is Adjacency.ADD_REMOVE else 2


def cap_of(terms: ReleaseTerms) -> int:
    """The contribution cap.

    Raises:
        InvalidInput: the terms lack something.
    """
    terms.check()
    assert terms.contribution_cap is not None
    return terms.contribution_cap


def bound(
    terms: ReleaseTerms,
    units: Sequence[str | None],
    *,
    categorical: Mapping[str, Sequence[Value]] | None = None,
    numeric: Mapping[NumericColumn, Sequence[Value]] | None = None,
    open_columns: Sequence[str] = (),
    distinct: bool = False,
) -> BoundedRows:
    """Rows within the terms.

    Args:
        terms: unit, cap, bounds and categories.
        units: the unit of each row; rows without one are left out.
        categorical: values by column. Those not on the column's public list are left out with their row.
        numeric: values by column. Rows with something else than a number there are left out.
        open_columns: categorical columns whose values come from the data: only for partition selection.
        distinct: of rows of one unit with equal categories, keep one.

    Raises:
        InvalidInput: the terms lack a bound or a list, or columns differ in length.
    """
    categorical, numeric = categorical or {}, numeric or {}
    terms.check(
        numeric=[column.name for column in numeric],
        categorical=[name for name in categorical if name not in open_columns],
    )
    cap = cap_of(terms)
    if any(len(values) != len(units) for values in (*categorical.values(), *numeric.values())):
        raise InvalidInput("columns differ in length", what="columns")
    listed = {name: None if name in open_columns else set(terms.categories[name].values) for name in categorical}
    by_unit: dict[str, list[tuple[tuple[str, ...], tuple[int, ...]]]] = {}
    for position, unit in enumerate(units):
        row = _row(position, categorical, listed, numeric)
        if unit is not None and row is not None:
            by_unit.setdefault(unit, []).append(row)
    kept: list[tuple[str, tuple[str, ...], tuple[int, ...]]] = []
    for unit in sorted(by_unit):
        rows = by_unit[unit]
        if distinct:
            rows = list({row[0]: row for row in sorted(rows, reverse=True)}.values())
        if len(rows) > cap:
            rows = sorted(rows, key=lambda row, unit=unit: _order(unit, row))[:cap]  # type: ignore[misc]
        kept.extend((unit, *row) for row in rows)
    return BoundedRows(
        terms=terms,
        units=tuple(unit for unit, _, _ in kept),
        categories={name: tuple(row[1][at] for row in kept) for at, name in enumerate(categorical)},
        numbers={column.name: tuple(row[2][at] for row in kept) for at, column in enumerate(numeric)},
        numeric={column.name: column for column in numeric},
        distinct=distinct,
    )


def _row(
    position: int,
    categorical: Mapping[str, Sequence[Value]],
    listed: Mapping[str, set[str] | None],
    numeric: Mapping[NumericColumn, Sequence[Value]],
) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
    texts: list[str] = []
    for name, values in categorical.items():
        value, allowed = values[position], listed[name]
        if not isinstance(value, str) or (allowed is not None and value not in allowed):
            return None
        texts.append(value)
    numbers: list[int] = []
    for column, values in numeric.items():
        steps = column.steps(values[position])
        if steps is None:
            return None
        numbers.append(steps)
    return tuple(texts), tuple(numbers)


def _order(unit: str, row: tuple[tuple[str, ...], tuple[int, ...]]) -> bytes:
    content = "\x1f".join([unit, *row[0], *map(str, row[1])])
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), key=_SALT, digest_size=16).digest()


def _steps(value: float, decimals: int) -> int:
    return int(Decimal(repr(float(value))).scaleb(decimals).to_integral_value(ROUND_HALF_EVEN))
