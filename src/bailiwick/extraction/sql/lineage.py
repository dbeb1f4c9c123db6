"""From `Flow` and a schema to lineage: which columns of which tables every output derives from.

One walk per statement gives all outputs at once; sub-queries are resolved once, however many outputs use them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bailiwick.extraction.model import LineageFact
from bailiwick.extraction.sql.query import Flow, Output, Query, Select, Source, Step

_NAMES = {step: step.name.lower() for step in Step}


class Origin(NamedTuple):
    """Where a column comes from: (table, column) pairs, the steps on the way, and whether all of it is known."""

    columns: frozenset[tuple[str, str]] = frozenset()
    step: Step = Step.IDENTITY
    known: bool = True


@dataclass(frozen=True, slots=True)
class Star:
    """All columns of a table of which none are known."""

    table: str


@dataclass(frozen=True, slots=True)
class Relation:
    """The columns of a query's result, in order. ``open_table`` accepts any column name."""

    items: tuple[tuple[str, Origin] | Star, ...] = ()
    open_table: str | None = None
    by_name: Mapping[str, Origin] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Iterable[tuple[str, Origin] | Star]) -> Relation:
        """A relation from its items; a single star leaves it open."""
        kept = tuple(items)
        stars = [item.table for item in kept if item.__class__ is Star]
        names = {item[0]: item[1] for item in reversed(kept) if not isinstance(item, Star)}
        return cls(kept, stars[0] if len(stars) == 1 else None, names)

    def declared(self, column: str) -> Origin | None:
        """The origin of a column that is certainly here."""
        return self.by_name.get(column)


@dataclass(frozen=True, slots=True)
class BaseTable:
    """A table of the schema, or one that is not there and so open. Origins are made only for columns asked for."""

    name: str
    columns: Collection[str] | None

    @property
    def open_table(self) -> str | None:
        """Its name where its columns are not known."""
        return None if self.columns else self.name

    @property
    def items(self) -> tuple[tuple[str, Origin] | Star, ...]:
        """All columns with their origins, or a star."""
        if not self.columns:
            return (Star(self.name),)
        return tuple((column, Origin(frozenset(((self.name, column),)))) for column in self.columns)

    def declared(self, column: str) -> Origin | None:
        """The origin of a column that is certainly here."""
        if self.columns and column in self.columns:
            return Origin(frozenset(((self.name, column),)))
        return None


_Rows = Relation | BaseTable


def _find_in(rows: _Rows, column: str) -> Origin | None:
    """The column's origin; a guess at the open table where there is one; None where it cannot be here."""
    found = rows.declared(column)
    if found is None and rows.open_table is not None:
        return Origin(frozenset(((rows.open_table, column),)))
    return found


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a flow gave.

    Args:
        outputs: names and origins of the result, stars where tables are unknown.
    """

    facts: tuple[LineageFact, ...]
    reads: frozenset[str]
    outputs: tuple[tuple[str, Origin] | Star, ...]
    columns_resolved: int
    columns_total: int


_Scope = list[tuple[str, _Rows]]
_UNKNOWN = Origin(known=False)


def resolve(flow: Flow, columns_of: Callable[[str], Collection[str] | None], statement_index: int) -> Resolved:
    """Column and table lineage of a flow.

    Args:
        flow: what the statement moves.
        columns_of: the columns of a table in order, None where they are not known.
        statement_index: for the facts.
    """
    resolver = _Resolver(columns_of)
    relation = resolver.query(flow.query, {}, [])
    items = relation.items
    columns = [item for item in items if not isinstance(item, Star)]
    facts = _facts(flow, items, resolver.reads, columns_of, statement_index)
    resolved = sum(origin.known for _, origin in columns)
    return Resolved(facts, frozenset(resolver.reads), items, resolved, len(items))


def _facts(
    flow: Flow,
    items: Sequence[tuple[str, Origin] | Star],
    reads: Iterable[str],
    columns_of: Callable[[str], Collection[str] | None],
    index: int,
) -> tuple[LineageFact, ...]:
    target = flow.target or ""
    found: list[LineageFact] = []
    names = _target_columns(flow, items, columns_of)
    for name, item in zip(names, items, strict=True):
        if isinstance(item, Star) or name is None:
            continue
        columns, step, _ = item[1]
        for table, column in sorted(columns) if len(columns) > 1 else columns:
            found.append(LineageFact(target, name, table, column, _NAMES[step], index))
    if len(set(names)) < len(names):
        found = list(dict.fromkeys(found))
    if target:
        found += [LineageFact(target, None, table, None, "table", index) for table in sorted(reads) if table != target]
    return tuple(found)


def _target_columns(
    flow: Flow, items: Sequence[tuple[str, Origin] | Star], columns_of: Callable[[str], Collection[str] | None]
) -> list[str | None]:
    """The target column of every output: by position where the order of the target is known, else by name."""
    names = [None if isinstance(item, Star) else item[0] for item in items]
    if flow.by_name:
        return names
    order: Sequence[str] = flow.columns
    if not order and flow.target:
        order = [column for column in columns_of(flow.target) or () if column not in flow.fixed]
    if not order or any(isinstance(item, Star) for item in items) or len(order) < len(names):
        return [None if name in flow.fixed else name for name in names]
    return list(order[: len(names)])


class _Resolver:
    def __init__(self, columns_of: Callable[[str], Collection[str] | None]) -> None:
        self._columns_of = columns_of
        self._tables: dict[str, BaseTable] = {}
        self.reads: set[str] = set()

    def query(self, query: Query, common: Mapping[str, _Rows], outer: list[_Scope]) -> Relation:
        """The result of a query.

        Args:
            query: what to resolve.
            common: relations of the WITH clauses around it.
            outer: scopes of the queries around it, the innermost last, for correlated references.
        """
        if query.common:
            visible = dict(common)
            for table in query.common:
                if query.recursive and len(table.query.branches) > 1:
                    anchor = Query(table.query.branches[:1], table.query.common)
                    visible[table.name] = _renamed(self.query(anchor, visible, outer), table.columns)
                visible[table.name] = _renamed(self.query(table.query, visible, outer), table.columns)
            common = visible
        branches = [self._select(select, common, outer) for select in query.branches]
        if not branches:
            return Relation()
        return branches[0] if len(branches) == 1 else _union(branches)

    def _select(self, select: Select, common: Mapping[str, _Rows], outer: list[_Scope]) -> Relation:
        scope: _Scope = []
        scopes = [*outer, scope]
        for source in select.sources:
            scope.append((source.alias, self._source(source, common, scopes)))
        for query in select.filters:
            self.query(query, common, scopes)
        items: list[tuple[str, Origin] | Star] = []
        earlier: dict[str, Origin] = {}
        for output in select.outputs:
            if output.star is not None:
                items += _expand(output, scope, select.using)
                continue
            origin = self._origin(output, common, scopes, earlier)
            items.append((output.name, origin))
            earlier.setdefault(output.name, origin)
        return Relation.of(items)

    def _source(self, source: Source, common: Mapping[str, _Rows], scopes: list[_Scope]) -> _Rows:
        if source.query is not None:
            return _renamed(self.query(source.query, common, scopes), source.columns)
        if source.table is None:
            origin = _join([self._find(parts, scopes, {}) for parts in source.references], Step.EXPRESSION)
            return Relation.of([(column, origin) for column in source.columns])
        if source.local and source.local in common:
            return _renamed(common[source.local], source.columns)
        return _renamed(self._table(source.table), source.columns)

    def _table(self, name: str) -> BaseTable:
        known = self._tables.get(name)
        if known is None:
            self.reads.add(name)
            known = self._tables[name] = BaseTable(name, self._columns_of(name))
        return known

    def _origin(
        self, output: Output, common: Mapping[str, _Rows], scopes: list[_Scope], earlier: Mapping[str, Origin]
    ) -> Origin:
        found = [self._find(parts, scopes, earlier) for parts in output.references]
        if len(found) == 1 and not output.queries and output.step is Step.IDENTITY:
            return found[0]
        for query in output.queries:
            items = self.query(query, common, scopes).items
            found += [item[1] for item in items if not isinstance(item, Star)]
        return _join(found, output.step)

    def _find(self, parts: tuple[str, ...], scopes: list[_Scope], earlier: Mapping[str, Origin]) -> Origin:
        """The origin of a reference: the innermost scope that has it wins, then an earlier output of the SELECT."""
        if len(parts) == 1:
            column = parts[0]
            for scope in reversed(scopes):
                found = _unqualified(column, scope)
                if found is not None:
                    return found
            return earlier.get(column, _UNKNOWN)
        for at in range(len(parts) - 2, -1, -1):  # t.c, db.t.c, t.struct.field
            for scope in reversed(scopes):
                for alias, relation in scope:
                    if alias == parts[at]:
                        found = _find_in(relation, parts[at + 1])
                        if found is not None:
                            return found if at == len(parts) - 2 else _stepped(found)
        for scope in reversed(scopes):  # struct.field
            found = _unqualified(parts[0], scope)
            if found is not None:
                return _stepped(found)
        return _UNKNOWN


def _unqualified(column: str, scope: _Scope) -> Origin | None:
    for _, relation in scope:
        found = relation.declared(column)
        if found is not None:
            return found
    if not scope:
        return None
    candidates = [relation.open_table for _, relation in scope if relation.open_table is not None]
    if len(candidates) == 1:
        return Origin(frozenset(((candidates[0], column),)))
    return _UNKNOWN if candidates else None


def _expand(output: Output, scope: _Scope, using: Sequence[str]) -> list[tuple[str, Origin] | Star]:
    items: list[tuple[str, Origin] | Star] = []
    merged: set[str] = set()
    for alias, relation in scope:
        if output.star and alias != output.star:
            continue
        for item in relation.items:
            if not isinstance(item, Star):
                if item[0] in output.excluded or item[0] in merged:
                    continue
                if not output.star and item[0] in using:
                    merged.add(item[0])
            items.append(item)
    return items


def _renamed(relation: _Rows, columns: Sequence[str]) -> _Rows:
    if not columns or any(isinstance(item, Star) for item in relation.items):
        return relation
    names = [*columns, *(item[0] for item in relation.items[len(columns) :] if not isinstance(item, Star))]
    origins = (item[1] for item in relation.items if not isinstance(item, Star))
    return Relation.of(zip(names, origins, strict=False))


def _union(branches: Sequence[_Rows]) -> Relation:
    first = branches[0]
    items: list[tuple[str, Origin] | Star] = []
    for i, item in enumerate(first.items):
        others = [branch.items[i] for branch in branches[1:] if i < len(branch.items)]
        if isinstance(item, Star):
            items += dict.fromkeys([item, *(other for other in others if isinstance(other, Star))])
            continue
        origins = [item[1], *(other[1] for other in others if not isinstance(other, Star))]
        complete = len(origins) == len(branches)
        items.append((item[0], _join(origins, Step.IDENTITY, complete)))
    return Relation.of(items)


def _join(origins: Sequence[Origin], step: Step, known: bool = True) -> Origin:
    if len(origins) < 2:
        if not origins:
            return Origin(step=step, known=known)
        only = origins[0]
        return only if step <= only.step and known else Origin(only.columns, max(step, only.step), known and only.known)
    columns: frozenset[tuple[str, str]] = frozenset().union(*(origin.columns for origin in origins))
    steps = max(origin.step for origin in origins)
    return Origin(columns, max(step, steps), known and all(origin.known for origin in origins))


def _stepped(origin: Origin) -> Origin:
    return Origin(origin.columns, max(origin.step, Step.EXPRESSION), origin.known)
