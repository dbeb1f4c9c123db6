"""Queries reduced to what lineage needs: which sources, which outputs, which references. Free of the parser's trees.

A `Flow` is a fraction of the size of its syntax tree and does not depend on the schema, so a statement is parsed once,
in the first pass, and resolved in the second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum


class Step(IntEnum):
    """How an output is made from what it refers to. Of two steps in a row the greater one names the whole way."""

    IDENTITY = 0
    EXPRESSION = 1
    WINDOW = 2
    AGGREGATE = 3


@dataclass(slots=True)
class Output:
    """One item of a SELECT list.

    Args:
        references: parts of column names as written, such as ``("t", "a")`` or ``("a",)``.
        queries: scalar sub-queries inside the expression.
        star: None for a column; for a star the qualifier, empty where it has none.
        excluded: columns that a star leaves out.
    """

    name: str
    references: tuple[tuple[str, ...], ...] = ()
    queries: tuple[Query, ...] = ()
    step: Step = Step.IDENTITY
    star: str | None = None
    excluded: tuple[str, ...] = ()


@dataclass(slots=True)
class Source:
    """What FROM, JOIN or LATERAL brings in: a table, a query, or columns generated from expressions.

    Args:
        alias: the name by which columns are qualified.
        table: qualified name, None where it is not a table.
        local: whether ``table`` was written without a database, so that a WITH name may be meant.
        columns: names that replace those of the source, in order.
        references: what generated columns are made from (``explode(x)``, ``unnest(x)``).
    """

    alias: str
    table: str | None = None
    local: str = ""
    query: Query | None = None
    columns: tuple[str, ...] = ()
    references: tuple[tuple[str, ...], ...] = ()


@dataclass(slots=True)
class Select:
    """One SELECT.

    Args:
        using: columns that joins merge by USING or NATURAL.
        filters: queries outside of the SELECT list (in WHERE, ON, HAVING): they are read, nothing derives from them.
    """

    sources: list[Source] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    using: tuple[str, ...] = ()
    filters: list[Query] = field(default_factory=list)


@dataclass(slots=True)
class CommonTable:
    """A query with a name, from a WITH clause."""

    name: str
    query: Query
    columns: tuple[str, ...] = ()


@dataclass(slots=True)
class Query:
    """WITH clauses and the branches that UNION, INTERSECT or EXCEPT put together."""

    branches: list[Select] = field(default_factory=list)
    common: list[CommonTable] = field(default_factory=list)
    recursive: bool = False


@dataclass(slots=True)
class Flow:
    """Data that a statement moves.

    Args:
        target: table written, None for a query whose result goes to the caller or to files.
        columns: target columns in the order of the outputs, where the statement names them.
        fixed: target columns that outputs do not fill: partitions with a given value.
        by_name: outputs carry the names of the target columns (CREATE AS, UPDATE, MERGE), instead of their positions.
        creates: the target takes its columns from the query.
    """

    query: Query
    target: str | None = None
    columns: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    by_name: bool = False
    creates: bool = False
