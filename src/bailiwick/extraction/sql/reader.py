"""The two passes over a file of SQL. Pure: text in, facts out.

A file is parsed once: the first pass keeps what lineage needs as flows, without the syntax trees, and a worker that
does the second pass on the same text finds them in its cache.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlglot import exp

from bailiwick.extraction.model import (
    EXCERPT_CHARACTERS,
    ColumnFact,
    FileFacts,
    LineageFact,
    Outcome,
    Schema,
    StatementOutcome,
    TableFact,
)
from bailiwick.extraction.sql import commands, fallback, variables
from bailiwick.extraction.sql.definitions import Catalogue
from bailiwick.extraction.sql.dialect import SqlDialect, detect, dialect_named
from bailiwick.extraction.sql.flows import Movement, movement
from bailiwick.extraction.sql.lineage import Resolved, Star, resolve
from bailiwick.extraction.sql.parse import collector_paused, parse
from bailiwick.extraction.sql.query import Flow
from bailiwick.extraction.sql.scopes import Scopes
from bailiwick.extraction.sql.split import RawStatement, split
from bailiwick.graph.model import NodeKind

_MAX_LEFT_CHARACTERS: Final = 32_000_000
_BATCH_CHARACTERS: Final = 100_000
_PATTERN = "pattern"


@dataclass(slots=True)
class _Unit:
    """A statement after the first pass."""

    raw: RawStatement
    kind: str
    outcome: Outcome
    parser: str
    message: str | None = None
    flows: tuple[Flow, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    defined: tuple[str, tuple[str, ...]] | None = None  # a table that is redefined here, with its columns
    created: str | None = None  # a table whose columns the flow gives


@dataclass(slots=True)
class _File:
    dialect: str
    units: list[_Unit]
    tables: dict[str, TableFact]


def read_definitions(text: str, path: str, dialect: str) -> FileFacts:
    """First pass: what a file defines. Outcomes and lineage come with `read_statements`.

    Tables made by a query have the columns that its text gives; ``projection`` in their properties lists columns and
    stars in order where a star needs the schema of other files; `Schema.of` expands it.

    Args:
        text: the whole file.
        path: for the facts; temporary tables are named after it, since they mean nothing outside of it.
        dialect: a name from `dialect.NAMES`, ``auto``, or any that sqlglot knows.
    """
    file = _read(text, path, dialect)
    return FileFacts(path, dialect=file.dialect, tables=tuple(file.tables.values()))


def read_statements(text: str, path: str, dialect: str, schema: Schema) -> FileFacts:
    """Second pass: every statement's outcome, table and column lineage, and the definitions with their stars expanded.

    Args:
        text: as given to `read_definitions`.
        path: as given to `read_definitions`.
        dialect: as given to `read_definitions`.
        schema: the columns of the tables of all files. What this file defines itself goes before it.
    """
    file = _read(text, path, dialect, last=True)
    known = _Known(schema)
    with collector_paused():
        return _resolved(file, path, known)


def _resolved(file: _File, path: str, known: _Known) -> FileFacts:
    tables = dict(file.tables)
    outcomes: list[StatementOutcome] = []
    lineage: list[LineageFact] = []
    for unit in file.units:
        found = _Found(unit)
        for flow in unit.flows:
            found.add(flow, known)
        if unit.parser == _PATTERN:
            found.guess()
        if unit.defined is not None:
            known.local[unit.defined[0]] = unit.defined[1]
        if unit.created is not None and found.columns is not None and unit.created in tables:
            known.local[unit.created] = found.columns
            tables[unit.created] = _with_columns(tables[unit.created], found.columns)
        outcomes.append(found.outcome(path))
        lineage += found.lineage
    return FileFacts(
        path, dialect=file.dialect, tables=tuple(tables.values()), lineage=tuple(lineage), outcomes=tuple(outcomes)
    )


class _Known:
    """Columns of tables: first what the file has made so far, then the schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema.columns
        self.local: dict[str, tuple[str, ...]] = {}

    def columns_of(self, table: str) -> Collection[str] | None:
        found = self.local.get(table)
        if found:
            return found
        columns = self._schema.get(table)
        if columns is None and "." in table:
            columns = self._schema.get(table.rpartition(".")[2])
        return columns or None


class _Found:
    """What the flows of one statement add up to."""

    def __init__(self, unit: _Unit) -> None:
        self._unit = unit
        self._outcome, self._message = unit.outcome, unit.message
        self._reads, self._writes = set(unit.reads), set(unit.writes)
        self._resolved = self._total = 0
        self.lineage: list[LineageFact] = []
        self.columns: tuple[str, ...] | None = None

    def add(self, flow: Flow, known: _Known) -> None:
        try:
            found: Resolved = resolve(flow, known.columns_of, self._unit.raw.index)
        except RecursionError:
            self._message = "nested too deeply for lineage"
            return
        self._reads |= found.reads
        if flow.target:
            self._writes.add(flow.target)
        self._resolved += found.columns_resolved
        self._total += found.columns_total
        self.lineage += found.facts
        if flow.creates and not any(isinstance(item, Star) for item in found.outputs):
            names = [item[0] for item in found.outputs if not isinstance(item, Star)]
            self.columns = (*flow.columns[: len(names)], *names[len(flow.columns) :])

    def guess(self) -> None:
        """Table lineage of a statement that patterns read: everything it reads may flow into what it writes."""
        index = self._unit.raw.index
        pairs = [(target, source) for target in sorted(self._writes) for source in sorted(self._reads)]
        self.lineage += [
            LineageFact(target, None, source, None, "table", index, fallback.CONFIDENCE)
            for target, source in pairs[:100]
            if target != source
        ]

    def outcome(self, path: str) -> StatementOutcome:
        unit = self._unit
        return StatementOutcome(
            path,
            unit.raw.line,
            unit.raw.index,
            unit.kind,
            self._outcome,
            unit.parser,
            self._message,
            unit.raw.text[:EXCERPT_CHARACTERS],
            tuple(sorted(self._reads)),
            tuple(sorted(self._writes)),
            self._resolved,
            self._total,
        )


def _with_columns(table: TableFact, names: Sequence[str]) -> TableFact:
    known = {column.name: column for column in table.columns}
    columns = tuple(replace(known.get(n) or ColumnFact(n, None), ordinal=i) for i, n in enumerate(names))
    properties = {key: value for key, value in table.properties.items() if key != "projection"}
    return replace(table, columns=columns, properties=properties)


def _read(text: str, path: str, dialect: str, *, last: bool = False) -> _File:
    """A file's statements. The first pass leaves them for the second, which takes them away."""
    key = (text, path, dialect)
    file = _left.pop(key, None) or _read_file(text, path, dialect)
    if not last:
        _left[key] = file
        while len(_left) > 1 and sum(len(known) for known, _, _ in _left) > _MAX_LEFT_CHARACTERS:
            del _left[next(iter(_left))]
    return file


_left: dict[tuple[str, str, str], _File] = {}


def _batch(statements: Iterator[RawStatement]) -> Iterator[RawStatement]:
    """Statements of about a hundred kilobytes: so much garbage may pile up before it is collected."""
    taken = 0
    for raw in statements:
        yield raw
        taken += len(raw.text)
        if taken > _BATCH_CHARACTERS:
            return


def forget() -> None:
    """Drop what first passes have left for second ones."""
    _left.clear()


def _read_file(text: str, path: str, dialect: str) -> _File:
    name = detect(text) if dialect == "auto" else dialect
    reader = _FileReader(dialect_named(name), path)
    statements = split(text, backslash=reader.dialect.backslash)
    while batch := list(_batch(statements)):
        with collector_paused(collect=True):
            for raw in batch:
                reader.statement(raw)
    return _File(name, reader.units, reader.catalogue.tables)


@dataclass
class _FileReader:
    """Reads the statements of a file in order: variables, the current database and temporary tables carry over."""

    dialect: SqlDialect
    path: str
    units: list[_Unit] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.scopes = Scopes(self.dialect)
        self.catalogue = Catalogue(self.scopes)

    def statement(self, raw: RawStatement) -> None:
        """Read one statement; every one gives exactly one unit."""
        expansion = variables.expand(raw.text, self.values)
        text = expansion.text
        if commands.eager(text) and (command := commands.recognise(text)) is not None:
            self.units.append(self._command(raw, command))
            return
        if raw.problem is not None:  # another dialect might take half a literal for something else
            self._refused(raw, text, Outcome.ERROR, raw.problem)
            return
        parsed = parse(text, self.dialect)
        if parsed.tree is None:
            self._refused(raw, text, parsed.outcome, parsed.message)
            return
        message = f"no value for {', '.join(expansion.unknown)}" if expansion.unknown else None
        try:
            unit = self._understood(raw, parsed.tree, parsed.parser, message)
        except RecursionError:
            self._refused(raw, text, Outcome.ERROR, "nested too deeply to be analysed")
            return
        except (KeyError, AttributeError, TypeError, ValueError) as error:  # a tree of a shape not met before
            self._refused(raw, text, Outcome.ERROR, f"a form that is not understood: {type(error).__name__}: {error}")
            return
        self.units.append(unit)

    def _command(self, raw: RawStatement, command: commands.Command) -> _Unit:
        if command.kind == "set" and (pair := variables.assignment(raw.text)) is not None:
            self.values[pair[0]] = variables.expand(pair[1], self.values).text
        if command.kind == "use":
            name = fallback.spell(command.argument, self.dialect)
            self.scopes.database = "" if name == "default" else name
        names = [
            tuple(fallback.spell(name, self.dialect, self.scopes.database) for name in group)
            for group in (command.reads, command.writes)
        ]
        return _Unit(raw, command.kind, Outcome.PARSED, "command", reads=names[0], writes=names[1])

    def _refused(self, raw: RawStatement, text: str, outcome: Outcome, message: str | None) -> None:
        """A statement without a tree: a command, or names by patterns."""
        command = commands.recognise(text)
        if command is not None:
            self.units.append(self._command(raw, command))
            return
        found = fallback.recover(text, self.dialect, raw.line, self.scopes.database)
        unit = _Unit(raw, found.kind, outcome, _PATTERN, message, (), found.reads, found.writes)
        if (found.reads or found.writes) and outcome is Outcome.ERROR:
            unit.outcome = Outcome.FALLBACK
        for table in found.tables:
            self.catalogue.put(table)
            if table.columns:
                unit.defined = (table.name, tuple(column.name for column in table.columns))
        self.units.append(unit)

    def _understood(self, raw: RawStatement, tree: Any, parser: str, message: str | None) -> _Unit:
        kind = tree.__class__
        if kind is exp.Create:
            self._scope_temporary(tree)
        moved: Movement = movement(tree, self.scopes, raw.text)
        unit = _Unit(raw, moved.kind, Outcome.PARSED, parser, message, moved.flows, (), moved.writes)
        if kind is exp.Create:
            table = self.catalogue.create(tree, parser, raw.line)
            if table is not None and not moved.flows and table.columns:
                unit.defined = (table.name, tuple(column.name for column in table.columns))
        elif kind is exp.Alter and tree.args["this"].__class__ is exp.Table:
            self.catalogue.alter(tree, parser, raw.line)
            altered = self.catalogue.tables.get(moved.writes[-1]) if moved.writes else None
            if altered is not None and altered.defines and altered.columns and not moved.flows:
                unit.defined = (altered.name, tuple(column.name for column in altered.columns))
        elif kind is exp.Drop:
            self.catalogue.drop(moved.writes)
        elif kind is exp.Comment:
            self.catalogue.comment(tree, parser, raw.line)
        for flow in moved.flows:
            if flow.creates and flow.target:
                unit.created = flow.target
                self._derive(flow, parser, raw.line)
        return unit

    def _scope_temporary(self, tree: Any) -> None:
        """Give a temporary table a name of its own: the same name in another file is another table."""
        group = tree.args.get("properties")
        if group is None or not any(item.__class__ is exp.TemporaryProperty for item in group.args["expressions"]):
            return
        target = tree.args["this"]
        table = target.args["this"] if target.__class__ is exp.Schema else target
        if table.__class__ is exp.Table:
            name = self.scopes.table_name(table)
            if "@" not in name:
                self.scopes.temporary[name] = f"{name.rpartition('.')[2]}@{self.path.replace('.', '_')}"

    def _derive(self, flow: Flow, parser: str, line: int) -> None:
        """Columns of a table made by a query, as far as this file alone tells them."""
        name = flow.target or ""
        table = self.catalogue.tables.get(name) or TableFact(name, NodeKind.TABLE, line=line, parser=parser)
        found = resolve(flow, self._columns_here, 0)
        names: list[str | dict[str, str]] = [
            {"star": item.table} if isinstance(item, Star) else item[0] for item in found.outputs
        ]
        names[: len(flow.columns)] = flow.columns
        plain = [item for item in names if isinstance(item, str)]
        table = replace(_with_columns(table, list(dict.fromkeys(plain))), defines=True)
        if len(plain) < len(names):
            table = replace(table, properties={**table.properties, "projection": names})
        self.catalogue.tables[name] = table

    def _columns_here(self, table: str) -> tuple[str, ...] | None:
        known = self.catalogue.tables.get(table)
        if known is None or not known.defines or "projection" in known.properties:
            return None
        return tuple(column.name for column in known.columns) or None
