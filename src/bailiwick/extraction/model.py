"""The facts that readers take from files, before they become nodes and edges of the graph.

Facts are plain values: they travel between worker processes and are kept as JSON for the incremental cache
(`FileFacts.to_json`, `FileFacts.from_json`). Names of tables are qualified as written (``database.table``, or ``table``
where the file names no database) and case-folded by the rules of the dialect, lower case being the canonical form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Provenance

EXCERPT_CHARACTERS: Final = 4_000
"""The most characters of a statement's text that a fact keeps."""


class Outcome(StrEnum):
    """What became of a statement. Every statement has exactly one; none is dropped in silence."""

    PARSED = "parsed"
    FALLBACK = "fallback"  # the parser refused it; names were recovered by patterns, with lower confidence
    ERROR = "error"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class StatementOutcome:
    """One statement of a file and what was learned from it.

    Args:
        file: the path as the run names it.
        line: of the statement's first word, from 1.
        index: position in the file, from 0.
        kind: ``create_table``, ``create_view``, ``alter_table``, ``insert``, ``merge``, ``update``, ``delete``,
            ``select``, ``drop``, ``set``, ``use``, ... or ``other``.
        parser: which reader produced the facts, such as ``sqlglot:hive`` or ``pattern``.
        message: why it is not ``parsed``; None where there is nothing to say.
        text: the statement's text, cut at `EXCERPT_CHARACTERS`.
        reads: tables that data is read from, qualified and folded, sorted.
        writes: tables that are written or defined.
        columns_resolved: output columns whose sources are fully known.
        columns_total: output columns that have a lineage question at all; 0 where the statement moves no data.
    """

    file: str
    line: int
    index: int
    kind: str
    outcome: Outcome
    parser: str
    message: str | None = None
    text: str = ""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    columns_resolved: int = 0
    columns_total: int = 0


@dataclass(frozen=True, slots=True)
class ColumnFact:
    """A column as a file declares it.

    Args:
        type: in the dialect's own spelling, lower case; None where it is not known.
        nullable: None where the file does not say.
        ordinal: position in the table, from 0.
        statistics: what sample rows showed (``null_ratio``, ``distinct``, ...); JSON values.
    """

    name: str
    type: str | None
    nullable: bool | None = None
    comment: str | None = None
    default: str | None = None
    partition: bool = False
    primary_key: bool = False
    ordinal: int = 0
    statistics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns of the owning table that refer to columns of ``table``, pairwise.

    Args:
        references: empty where the declaration leaves it to the primary key of ``table``.
        inferred: True where nobody declared it; then ``confidence`` says how sure we are.
        line: where another statement than the table's own declares it; the place is no part of its identity.
    """

    columns: tuple[str, ...]
    table: str
    references: tuple[str, ...]
    name: str | None = None
    inferred: bool = False
    confidence: float = 1.0
    line: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TableFact:
    """A table or view, or a piece of one: an ``ALTER`` in another file adds to the same name; see `merge_tables`.

    Args:
        name: qualified and folded.
        kind: ``NodeKind.TABLE`` or ``NodeKind.VIEW``.
        properties: ``location``, ``format``, ``serde``, ``partitioned_by``, ``buckets``, ``comment``,
            ``tblproperties``, ``external``, ``temporary``, ``like``, ``dropped``, ...; JSON values. ``projection``
            lists columns by name and stars as ``{"star": table}``, in order, where a table made by a query takes
            columns from tables that its file does not define; `merge_tables` expands it.
        defines: False where the file only adds to or mentions the table, so that its columns may be incomplete.
    """

    name: str
    kind: NodeKind
    columns: tuple[ColumnFact, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    line: int | None = None
    parser: str = ""
    confidence: float = 1.0
    properties: Mapping[str, Any] = field(default_factory=dict)
    defines: bool = True

    def renamed(self, spell: Callable[[str], str]) -> TableFact:
        """The fact with ``spell`` applied to every table name in it: its own, its keys', its projection's."""
        properties = dict(self.properties)
        if "projection" in properties:
            properties["projection"] = [
                {"star": spell(item["star"])} if isinstance(item, Mapping) else item
                for item in properties["projection"]
            ]
        return replace(
            self,
            name=spell(self.name),
            foreign_keys=tuple(replace(key, table=spell(key.table)) for key in self.foreign_keys),
            properties=properties,
        )


@dataclass(frozen=True, slots=True)
class LineageFact:
    """Data flows from the source to the target. Both columns None: a flow between whole tables.

    Args:
        target_table: empty where the statement is a query whose result goes to its caller or to files; then
            ``target_column`` is a column of that result.
        transformation: ``identity``, ``expression``, ``aggregate``, ``window``, ``table``.
        statement_index: of the `StatementOutcome` that says so.
    """

    target_table: str
    target_column: str | None
    source_table: str
    source_column: str | None
    transformation: str
    statement_index: int
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class FileFacts:
    """All that one file said.

    Args:
        path: as the run names it.
        content_sha256: of the file's bytes, hex; empty where the reader was given text only.
        outcomes: one per statement, in order.
        nodes: graph elements of readers that need no further resolution (jobs, conditions).
    """

    path: str
    content_sha256: str = ""
    dialect: str | None = None
    tables: tuple[TableFact, ...] = ()
    lineage: tuple[LineageFact, ...] = ()
    outcomes: tuple[StatementOutcome, ...] = ()
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()

    def depends_on(self) -> frozenset[str]:
        """Tables whose definition the lineage of this file rests on: when one of them changes, read it again."""
        return frozenset(name for outcome in self.outcomes for name in (*outcome.reads, *outcome.writes))

    def to_json(self) -> dict[str, Any]:
        """JSON values from which `from_json` builds an equal object."""
        return {
            "path": self.path,
            "content_sha256": self.content_sha256,
            "dialect": self.dialect,
            "tables": [_table_json(table) for table in self.tables],
            "lineage": [_plain(fact) for fact in self.lineage],
            "outcomes": [_plain(fact) for fact in self.outcomes],
            "nodes": [_element_json(node) for node in self.nodes],
            "edges": [_element_json(edge) for edge in self.edges],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FileFacts:
        """The inverse of `to_json`.

        >>> facts = FileFacts("a.sql", tables=(TableFact("t", NodeKind.TABLE, (ColumnFact("c", "int"),)),))
        >>> FileFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts
        True
        """
        return cls(
            path=value["path"],
            content_sha256=value["content_sha256"],
            dialect=value["dialect"],
            tables=tuple(_table_from(table) for table in value["tables"]),
            lineage=tuple(LineageFact(**fact) for fact in value["lineage"]),
            outcomes=tuple(_outcome_from(outcome) for outcome in value["outcomes"]),
            nodes=tuple(
                Node(**{**node, "kind": NodeKind(node["kind"]), "provenance": Provenance(**node["provenance"])})
                for node in value["nodes"]
            ),
            edges=tuple(
                Edge(**{**edge, "kind": EdgeKind(edge["kind"]), "provenance": Provenance(**edge["provenance"])})
                for edge in value["edges"]
            ),
        )


@dataclass(frozen=True)
class Schema:
    """The columns of every known table, merged over all files: what lineage needs to resolve names.

    Args:
        columns: table to column to type; columns in declared order; types may be empty.
    """

    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, tables: Iterable[TableFact]) -> Schema:
        """The schema of table facts, given in the order in which they apply.

        >>> Schema.of([TableFact("t", NodeKind.TABLE, (ColumnFact("c", "int"),))]).columns
        {'t': {'c': 'int'}}
        """
        merged = merge_tables(tables)
        return cls(
            {
                name: {column.name: column.type or "" for column in table.columns}
                for name, table in sorted(merged.items())
                if table.columns
            }
        )

    @cached_property
    def digest(self) -> str:
        """Equal for equal schemas, in every process: the key of caches."""
        text = json.dumps([[name, list(columns.items())] for name, columns in sorted(self.columns.items())])
        return hashlib.sha256(text.encode()).hexdigest()


def merge_tables(tables: Iterable[TableFact]) -> dict[str, TableFact]:
    """One fact per table name. A definition wins over mentions; keys and columns that mentions add are kept.

    >>> key = ForeignKey(("c",), "u", ("id",))
    >>> pieces = [TableFact("t", NodeKind.TABLE, foreign_keys=(key,), defines=False),
    ...           TableFact("t", NodeKind.TABLE, (ColumnFact("c", "int"),))]
    >>> merge_tables(pieces)["t"].foreign_keys == (key,), merge_tables(pieces)["t"].defines
    (True, True)
    """
    merged: dict[str, TableFact] = {}
    for table in tables:
        known = merged.get(table.name)
        merged[table.name] = table if known is None else _join(known, table)
    expanded: dict[str, tuple[ColumnFact, ...]] = {}
    for name, table in merged.items():
        if "projection" in table.properties:
            merged[name] = replace(table, columns=_expanded(table, merged, expanded, frozenset()))
    return merged


def _expanded(
    table: TableFact,
    tables: Mapping[str, TableFact],
    done: dict[str, tuple[ColumnFact, ...]],
    within: frozenset[str],
) -> tuple[ColumnFact, ...]:
    """The columns of a table whose projection holds stars; a view that selects from itself adds nothing."""
    projection = table.properties.get("projection")
    if projection is None:
        return table.columns
    if table.name in done:
        return done[table.name]
    own = {column.name: column for column in table.columns}
    columns: dict[str, ColumnFact] = {}
    for item in projection:
        if isinstance(item, str):
            columns.setdefault(item, own.get(item) or ColumnFact(item, None))
        elif item["star"] in tables and item["star"] not in within | {table.name}:
            for column in _expanded(tables[item["star"]], tables, done, within | {table.name}):
                columns.setdefault(column.name, replace(column, primary_key=False, partition=False, statistics={}))
    found = tuple(replace(column, ordinal=i) for i, column in enumerate(columns.values()))
    if not within:
        done[table.name] = found
    return found


def _join(first: TableFact, second: TableFact) -> TableFact:
    base, extra = (second, first) if _rank(second) > _rank(first) else (first, second)
    additions = {column.name: column for column in extra.columns}
    columns = [_enrich(column, additions.pop(column.name, None)) for column in base.columns]
    columns += [replace(column, ordinal=len(columns) + i) for i, column in enumerate(additions.values())]
    keys = dict.fromkeys((*base.foreign_keys, *extra.foreign_keys))
    return replace(
        base,
        columns=tuple(columns),
        foreign_keys=tuple(keys),
        properties={**extra.properties, **base.properties},
    )


def _rank(table: TableFact) -> tuple[bool, float, bool]:
    return (table.defines, table.confidence, bool(table.columns))


def _enrich(column: ColumnFact, other: ColumnFact | None) -> ColumnFact:
    if other is None:
        return column
    return replace(
        column,
        type=column.type or other.type,
        nullable=other.nullable if column.nullable is None else column.nullable,
        comment=column.comment or other.comment,
        default=column.default or other.default,
        partition=column.partition or other.partition,
        primary_key=column.primary_key or other.primary_key,
        statistics={**other.statistics, **column.statistics},
    )


def _plain(value: Any) -> dict[str, Any]:
    return {
        name: list(item) if isinstance(item, tuple) else dict(item) if isinstance(item, Mapping) else item
        for name in value.__slots__
        for item in (getattr(value, name),)
    }


def _table_json(table: TableFact) -> dict[str, Any]:
    return {
        **_plain(table),
        "columns": [_plain(column) for column in table.columns],
        "foreign_keys": [_plain(key) for key in table.foreign_keys],
    }


def _table_from(value: Mapping[str, Any]) -> TableFact:
    keys = (
        ForeignKey(**{**key, "columns": tuple(key["columns"]), "references": tuple(key["references"])})
        for key in value["foreign_keys"]
    )
    columns = tuple(ColumnFact(**column) for column in value["columns"])
    return TableFact(**{**value, "kind": NodeKind(value["kind"]), "columns": columns, "foreign_keys": tuple(keys)})


def _outcome_from(value: Mapping[str, Any]) -> StatementOutcome:
    tuples = {"reads": tuple(value["reads"]), "writes": tuple(value["writes"])}
    return StatementOutcome(**{**value, **tuples, "outcome": Outcome(value["outcome"])})


def _element_json(element: Node | Edge) -> dict[str, Any]:
    return {**_plain(element), "provenance": _plain(element.provenance)}
