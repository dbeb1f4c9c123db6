"""Reads tables that are kept as JSON: their columns, types, gaps and nested paths.

Forms that are known: an array of records; JSON Lines; ``{"table": ..., "columns": [...], "rows": [...]}``; the table
files of Spider 2 (``table_name``, ``column_names``, ``column_types``, ``description``, ``sample_rows``); a schema,
table to column to type; and an object whose values are arrays of records (one table each).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

import orjson

from bailiwick.extraction.files import Unreadable, Unrecognised
from bailiwick.extraction.model import ColumnFact, FileFacts, Outcome, StatementOutcome, TableFact
from bailiwick.extraction.plain import storable
from bailiwick.extraction.type_lattice import Profile
from bailiwick.graph.model import NodeKind

PARSER: Final = "json-table"
MAX_COLUMNS: Final = 5_000
_MAX_DEPTH = 8
_MAX_BAD_LINES = 100
_MAX_NAMED = 20
_INFERRED = 0.9  # confidence of columns that rows show and nobody declared
_NAME_KEYS = ("table_fullname", "table_name", "table", "name")
_COLUMN_KEYS = ("column_names", "columns", "fields")
_ROW_KEYS = ("sample_rows", "rows", "records", "data", "values")
_TYPE = re.compile(
    r"(?i)\s*(tiny|small|medium|big)?(int|integer|serial|number|numeric|decimal|double|float|real|bool|boolean|bit|char"
    r"|character|varchar|varchar2|nvarchar|nchar|string|text|clob|blob|binary|varbinary|bytes|bytea|date|datetime|time"
    r"|timestamp|timestamptz|interval|uuid|json|jsonb|array|map|struct|row|money|geography|geometry|variant|xml)\b.{0,200}",
    re.DOTALL,
)


def read_json(text: str, path: str) -> FileFacts:
    """The tables of one JSON document or JSON Lines file.

    Args:
        text: the file's text.
        path: its name; the table is named after it where the content names none.

    Raises:
        Unreadable: not JSON, truncated, or nested too deep.
        Unrecognised: JSON, but no table in it.
    """
    if not text.strip():
        raise Unrecognised("an empty file")
    stem = PurePosixPath(path).stem
    if PurePosixPath(path).suffix.lower() in {".jsonl", ".ndjson"}:
        return _read_lines(text, path, stem)
    try:
        document = _parse(text)
    except Unreadable:
        if not _looks_like_lines(text):
            raise
        return _read_lines(text, path, stem)
    tables, notes = _tables(document, stem)
    outcomes = tuple(_outcome(path, index, table, notes.get(table.name)) for index, table in enumerate(tables))
    return FileFacts(path, tables=tuple(tables), outcomes=outcomes)


def _parse(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "recursion" in str(error).lower():
            raise Unreadable("nested too deep", line=1) from error
        first = error
    try:
        return json.loads(text)  # NaN and Infinity are written by many tools
    except RecursionError as error:
        raise Unreadable("nested too deep", line=1) from error
    except ValueError as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else first.lineno
        at_end = isinstance(error, json.JSONDecodeError) and error.pos >= len(text.rstrip()) - 1
        truncated = at_end or "Unterminated string" in str(error)
        cause = "ends too early: the file is truncated" if truncated else f"not JSON: {str(error)[:200]}"
        raise Unreadable(cause, line=line) from error


def _looks_like_lines(text: str) -> bool:
    lines = [line for line in text[:100_000].splitlines()[:3] if line.strip()]
    return len(lines) > 1 and all(line.lstrip().startswith("{") and line.rstrip().endswith("}") for line in lines[:2])


def _read_lines(text: str, path: str, stem: str) -> FileFacts:
    rows: list[Mapping[str, Any]] = []
    bad: list[StatementOutcome] = []
    refused = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = _parse(line)
            if not isinstance(row, dict):
                raise Unreadable("a line that is no record")
            rows.append(row)
        except Unreadable as error:
            refused += 1
            if len(bad) < _MAX_BAD_LINES:
                bad.append(
                    StatementOutcome(
                        path, number, len(bad) + 1, "json_record", Outcome.ERROR, PARSER, error.message, line[:200]
                    )
                )
    if not rows:
        raise Unreadable(f"no line of it is a JSON record ({refused} lines)", line=1)
    table = _from_records(stem, rows)
    note = f"{refused} of {refused + len(rows)} lines are not JSON records" if refused else None
    return FileFacts(path, tables=(table,), outcomes=(_outcome(path, 0, table, note), *bad))


def _tables(document: Any, stem: str) -> tuple[list[TableFact], dict[str, str]]:
    """The tables of a document, and what is to be said about some of them."""
    notes: dict[str, str] = {}
    if isinstance(document, list):
        if document and all(isinstance(row, dict) for row in document):
            if all(_described(entry) for entry in document):
                return [_from_description(entry, stem, notes) for entry in document], notes
            return [_from_records(stem, document)], notes
        raise Unrecognised("a JSON array, but not of records")
    if not isinstance(document, dict) or not document:
        raise Unrecognised("a JSON value, but not a table")
    if _described(document):
        return [_from_description(document, stem, notes)], notes
    if all(isinstance(columns, dict) and _is_schema(columns) for columns in document.values()):
        return [_from_schema(name, columns) for name, columns in document.items()], notes
    lists = {name: rows for name, rows in document.items() if _is_records(rows)}
    if lists and len(lists) == len(document):
        return [_from_records(name, rows) for name, rows in lists.items()], notes
    raise Unrecognised("a JSON object, but not a table or a schema")


def _described(document: Mapping[str, Any]) -> bool:
    columns = _first(document, _COLUMN_KEYS)
    return (
        isinstance(columns, list)
        and bool(columns)
        and (_first(document, _ROW_KEYS) is not None or _first(document, _NAME_KEYS) is not None)
    )


def _is_schema(columns: Mapping[str, Any]) -> bool:
    return bool(columns) and all(isinstance(kind, str) and _TYPE.fullmatch(kind) for kind in columns.values())


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _from_schema(name: str, columns: Mapping[str, str]) -> TableFact:
    facts = tuple(
        ColumnFact(folded, kind.strip().lower(), ordinal=ordinal)
        for ordinal, (folded, kind) in enumerate(zip(_fold(list(columns)), columns.values(), strict=True))
    )
    return TableFact(storable(name).lower(), NodeKind.TABLE, facts, line=1, parser=PARSER)


def _from_records(name: str, rows: Sequence[Mapping[str, Any]]) -> TableFact:
    profiles = _profile(rows)
    facts = tuple(
        ColumnFact(
            folded,
            profile.declared_type,
            nullable=True if profile.nulls else None,
            ordinal=ordinal,
            statistics=profile.statistics(len(rows)),
        )
        for ordinal, (folded, profile) in enumerate(zip(_fold(list(profiles)), profiles.values(), strict=True))
    )
    properties = {"rows": len(rows), "format": "json"}
    if len(profiles) >= MAX_COLUMNS:
        properties["columns_cut_at"] = MAX_COLUMNS
    return TableFact(
        storable(name).lower(),
        NodeKind.TABLE,
        facts,
        line=1,
        parser=PARSER,
        confidence=_INFERRED,
        properties=properties,
    )


def _from_description(document: Mapping[str, Any], stem: str, notes: dict[str, str]) -> TableFact:
    name = storable(str(_first(document, _NAME_KEYS) or stem)).lower()
    columns = _first(document, _COLUMN_KEYS)
    names, types, comments, nullables = _declared(columns)
    types = _aligned(document.get("column_types"), types, name, notes, "column_types")
    comments = _aligned(document.get("description"), comments, name, notes, "description")
    rows = [_record(row, names) for row in _first(document, _ROW_KEYS) or () if isinstance(row, dict | list)]
    profiles = _profile(rows)
    undeclared = [path for path in profiles if path not in names and "." not in path and "[]" not in path]
    nested = [path for path in profiles if path not in names]
    facts = []
    for ordinal, (folded, column) in enumerate(zip(_fold([*names, *nested]), [*names, *nested], strict=True)):
        profile = profiles.get(column, Profile(missing=len(rows)))
        declared = ordinal < len(names)
        kind = (types[ordinal] if declared else None) or (profile.declared_type if rows else None)
        facts.append(
            ColumnFact(
                folded,
                kind.lower() if kind else None,
                nullable=nullables[ordinal] if declared else None,
                comment=(comments[ordinal] or None) if declared else None,
                ordinal=ordinal,
                statistics=profile.statistics(len(rows)),
            )
        )
    properties: dict[str, Any] = {"sampled_rows": len(rows), "format": "json"}
    if undeclared:
        properties["undeclared_columns"] = sorted(undeclared)[:_MAX_NAMED]
    return TableFact(name, NodeKind.TABLE, tuple(facts), line=1, parser=PARSER, properties=properties)


def _declared(
    columns: Sequence[Any],
) -> tuple[list[str], list[str | None], list[str | None], list[bool | None]]:
    """Names, types, comments and nullability, from plain names or from one object per column."""
    names: list[str] = []
    types: list[str | None] = []
    comments: list[str | None] = []
    nullables: list[bool | None] = []
    for column in columns[:MAX_COLUMNS]:
        described = column if isinstance(column, dict) else {"name": column}
        names.append(str(described.get("name", described.get("column_name", f"column_{len(names)}"))))
        kind = described.get("type", described.get("data_type"))
        types.append(str(kind) if kind else None)
        comment = described.get("description", described.get("comment"))
        comments.append(str(comment) if comment else None)
        nullable = described.get("nullable")
        nullables.append(nullable if isinstance(nullable, bool) else None)
    return names, types, comments, nullables


def _aligned(given: Any, known: list[str | None], table: str, notes: dict[str, str], what: str) -> list[str | None]:
    if not isinstance(given, list):
        return known
    if len(given) != len(known):
        notes[table] = f"{what} has {len(given)} entries for {len(known)} columns"
    padded = [str(value) if value else None for value in given[: len(known)]]
    return padded + known[len(padded) :]


def _record(row: Mapping[str, Any] | Sequence[Any], names: Sequence[str]) -> Mapping[str, Any]:
    return row if isinstance(row, Mapping) else dict(zip(names, row, strict=False))


def _profile(rows: Sequence[Mapping[str, Any]]) -> dict[str, Profile]:
    profiles: dict[str, Profile] = {}
    for row in rows:
        for path, value in _paths(row, "", 0):
            profile = profiles.get(path)
            if profile is None:
                if len(profiles) >= MAX_COLUMNS:
                    continue
                profile = profiles[path] = Profile()
            profile.add(value)
    for profile in profiles.values():
        profile.missing = max(0, len(rows) - profile.rows)
    return profiles


def _paths(record: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Every field with its path: ``address.city``, and ``items[].sku`` inside arrays of records."""
    for key, value in record.items():
        path = f"{prefix}{key}"
        yield path, value
        if depth >= _MAX_DEPTH:
            continue
        if isinstance(value, dict):
            yield from _paths(value, f"{path}.", depth + 1)
        elif isinstance(value, list):
            for item in value[:100]:
                if isinstance(item, dict):
                    yield from _paths(item, f"{path}[].", depth + 1)


def _fold(names: Sequence[str]) -> list[str]:
    """Lower case; a name that differs from an earlier one in case only keeps its spelling, a twin gets a number."""
    used: set[str] = set()
    folded: list[str] = []
    for name in map(storable, names):
        choice = next((c for c in (name.lower(), name) if c not in used), None)
        number = 2
        while choice is None or choice in used:
            choice, number = f"{name.lower()}#{number}", number + 1
        used.add(choice)
        folded.append(choice)
    return folded


def _first(document: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((document[key] for key in keys if document.get(key) is not None), None)


def _outcome(path: str, index: int, table: TableFact, note: str | None) -> StatementOutcome:
    return StatementOutcome(
        file=path,
        line=table.line or 1,
        index=index,
        kind="json_table",
        outcome=Outcome.FALLBACK if note else Outcome.PARSED,
        parser=PARSER,
        message=note,
        writes=(table.name,),
    )
