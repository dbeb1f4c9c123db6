"""One file in, facts out: the functions that worker processes run. Readers are pure; only this module opens files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import sqlglot
from sqlglot._version import __version__ as sqlglot_version

from bailiwick.errors import InvalidInput
from bailiwick.extraction import sql
from bailiwick.extraction.control_m import read_control_m
from bailiwick.extraction.files import MAX_FILE_BYTES, Unreadable, Unrecognised, decode, read_bytes, sha256
from bailiwick.extraction.json_table import read_json
from bailiwick.extraction.model import FileFacts, Schema
from bailiwick.extraction.sql.dialect import NAMES

READER_VERSION: Final = "2"
"""Raise it when a reader changes what it gives: cached results of older versions are read again."""

_HIVE_ENDINGS = {".hql", ".hive", ".q"}
_CSV_DIALECT = "sqlite"  # the DDL.csv of a folder of JSON tables


@dataclass(frozen=True, slots=True)
class ReadTask:
    """A file to read. ``content_sha256`` (second pass only) is what the first pass saw."""

    name: str
    path: Path
    kind: str
    dialect: str
    folder: str
    content_sha256: str = ""


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What reading gave: facts, or why there are none. ``failed`` is False for a sound file that no reader knows."""

    name: str
    content_sha256: str = ""
    facts: FileFacts | None = None
    message: str | None = None
    line: int | None = None
    failed: bool = False


def reader_version(dialect: str) -> str:
    """The key under which results stay valid: our readers, the SQL parser, the dialect."""
    return f"{READER_VERSION}:sqlglot-{sqlglot_version}:{dialect}"


def check_dialect(name: str) -> None:
    """Refuse a dialect that the SQL parser does not know.

    Raises:
        InvalidInput: there is no such dialect.
    """
    known = sorted({*NAMES, *(dialect.value for dialect in sqlglot.Dialects if dialect.value)})
    if name not in known:
        raise InvalidInput(f"there is no SQL dialect {name!r}", what="dialect", requested=name, allowed=known)


def read_first(shared: None, task: ReadTask) -> ReadResult:
    """First pass: all that JSON, CSV and XML hold, and the definitions in SQL."""
    return _guarded(task, lambda data: _first_facts(task, data))


def read_second(shared: Mapping[str, Schema], task: ReadTask) -> ReadResult:
    """Second pass over SQL: statements and lineage, now that every definition is known.

    Args:
        shared: the schema as each folder sees it.
        task: a file of kind ``sql``.
    """

    def facts(data: bytes) -> FileFacts:
        if sha256(data) != task.content_sha256:
            raise Unreadable("changed while it was being read; run again")
        text, _ = decode(data)
        return sql.read_statements(text, task.name, _dialect(task), shared[task.folder])

    return _guarded(task, facts)


def _guarded(task: ReadTask, read: Callable[[bytes], FileFacts]) -> ReadResult:
    digest = ""
    try:
        data = read_bytes(task.path, limit=MAX_FILE_BYTES)
        digest = sha256(data)
        facts = read(data)
    except Unrecognised as error:
        return ReadResult(task.name, digest, message=error.message, line=error.line)
    except Unreadable as error:
        return ReadResult(task.name, digest, message=error.message, line=error.line, failed=True)
    return ReadResult(task.name, digest, replace(facts, path=task.name, content_sha256=digest))


def _first_facts(task: ReadTask, data: bytes) -> FileFacts:
    if task.kind == "xml":
        return read_control_m(data, task.name)
    text, _ = decode(data)
    if task.kind == "json":
        return read_json(text, task.name)
    if task.kind == "csv":
        return _read_ddl_csv(text, task.name)
    return sql.read_definitions(text, task.name, _dialect(task))


def _read_ddl_csv(text: str, path: str) -> FileFacts:
    """A CSV with the columns ``table_name`` and ``DDL``, one CREATE statement per row."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    csv.field_size_limit(MAX_FILE_BYTES)
    facts: list[FileFacts] = []
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        if "ddl" not in header:
            raise Unrecognised("a CSV without a DDL column: data, not a schema")
        column, line = header.index("ddl"), reader.line_num + 1
        for row in reader:
            if len(row) > column and row[column].strip():
                facts.append(_shifted(sql.read_statements(row[column], path, _CSV_DIALECT, Schema()), line - 1, facts))
            line = reader.line_num + 1
    except csv.Error as error:
        raise Unreadable(f"not a CSV file: {error}", line=reader.line_num) from error
    return FileFacts(
        path,
        dialect=_CSV_DIALECT,
        tables=tuple(table for part in facts for table in part.tables),
        outcomes=tuple(outcome for part in facts for outcome in part.outcomes),
    )


def _shifted(facts: FileFacts, lines: int, before: list[FileFacts]) -> FileFacts:
    """Facts of a part of a file, with the places that they have in the whole file."""
    index = sum(len(part.outcomes) for part in before)
    return replace(
        facts,
        tables=tuple(replace(table, line=(table.line or 1) + lines) for table in facts.tables),
        outcomes=tuple(
            replace(outcome, line=outcome.line + lines, index=outcome.index + index) for outcome in facts.outcomes
        ),
    )


def _dialect(task: ReadTask) -> str:
    return "hive" if task.path.suffix.lower() in _HIVE_ENDINGS else task.dialect
