"""The tables of extraction: runs, what went wrong in them, and what each file gave last time."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    delete,
    func,
    select,
)

from bailiwick.errors import NotFound
from bailiwick.extraction.model import FileFacts
from bailiwick.extraction.plain import storable
from bailiwick.extraction.report import ExtractionReport, FileStatus
from bailiwick.storage.database import Database
from bailiwick.storage.schema import Json, UtcDateTime, metadata

extraction_run = Table(
    "extraction_run",
    metadata,
    Column("run", String(60), primary_key=True),
    Column("source", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("summary", Json, nullable=False),
    Index("ix_extraction_run_started_at", "started_at"),
)

extraction_outcome = Table(
    "extraction_outcome",
    metadata,
    Column("run", String(60), ForeignKey("extraction_run.run", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("file", Text, nullable=False),
    Column("line", Integer, nullable=True),
    Column("kind", String(40), nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("parser", String(60), nullable=False),
    Column("message", Text, nullable=True),
)

extraction_file = Table(
    "extraction_file",
    metadata,
    Column("source_hash", String(64), primary_key=True),
    Column("path_hash", String(64), primary_key=True),
    Column("path", Text, nullable=False),
    Column("content_sha256", String(64), nullable=False),
    Column("reader_version", String(100), nullable=False),
    Column("schema_fingerprint", String(64), nullable=False),
    Column("definitions", LargeBinary, nullable=True),
    Column("facts", LargeBinary, nullable=False),
    Column("run", String(60), nullable=False),
)


@dataclass(frozen=True, slots=True)
class CachedFile:
    """What a file gave when it was last read.

    Args:
        schema_fingerprint: of the tables that its lineage rests on; empty where it rests on none.
        definitions: the first pass of an SQL file; None for files that are read in one pass.
    """

    path: str
    content_sha256: str
    reader_version: str
    schema_fingerprint: str
    facts: FileFacts
    definitions: FileFacts | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run that ended. ``summary`` holds the counts of `ExtractionReport.summary`."""

    run: str
    source: str
    started_at: datetime
    finished_at: datetime
    actor: str
    complete: bool
    summary: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RecordedOutcome:
    """A statement that was not simply parsed, or a file that was skipped or failed (``kind`` is ``file``)."""

    run: str
    position: int
    file: str
    line: int | None
    kind: str
    outcome: str
    parser: str
    message: str | None


class ExtractionStore:
    """Reads and writes those tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cached(self, source: str) -> dict[str, CachedFile]:
        """What every file of a source gave last time, by name. A row that cannot be understood is left out."""
        query = select(extraction_file).where(extraction_file.c.source_hash == _key(source))
        found: dict[str, CachedFile] = {}
        with self._database.read() as connection:
            for row in connection.execute(query).mappings():
                try:
                    found[row["path"]] = CachedFile(
                        path=row["path"],
                        content_sha256=row["content_sha256"],
                        reader_version=row["reader_version"],
                        schema_fingerprint=row["schema_fingerprint"],
                        facts=_unpack(row["facts"]),
                        definitions=None if row["definitions"] is None else _unpack(row["definitions"]),
                    )
                except (ValueError, TypeError, KeyError, zlib.error):
                    continue  # written by another version: the file is simply read again
        return found

    def remember(
        self, connection: Connection, source: str, run: str, files: Sequence[CachedFile], gone: Sequence[str]
    ) -> None:
        """Keep what was read anew, forget the files that are gone."""
        rows = [
            {
                "source_hash": _key(source),
                "path_hash": _key(file.path),
                "path": file.path,
                "content_sha256": file.content_sha256,
                "reader_version": file.reader_version,
                "schema_fingerprint": file.schema_fingerprint,
                "definitions": None if file.definitions is None else _pack(file.definitions),
                "facts": _pack(file.facts),
                "run": run,
            }
            for file in files
        ]
        self._database.upsert(connection, extraction_file, rows)
        for path in gone:
            connection.execute(
                delete(extraction_file).where(
                    extraction_file.c.source_hash == _key(source), extraction_file.c.path_hash == _key(path)
                )
            )

    def record(self, connection: Connection, report: ExtractionReport, *, finished_at: datetime, actor: str) -> None:
        """Add a run and all that was not simply read."""
        connection.execute(
            extraction_run.insert().values(
                run=report.run,
                source=report.source,
                started_at=report.started_at,
                finished_at=finished_at,
                actor=actor,
                complete=report.complete,
                summary=report.summary(),
            )
        )
        rows = [
            {
                "file": file.name,
                "line": file.line,
                "kind": "file",
                "outcome": file.status.value,
                "parser": file.kind,
                "message": file.message,
            }
            for file in report.files
            if file.status in {FileStatus.FAILED, FileStatus.SKIPPED}
        ] + [
            {
                "file": statement.file,
                "line": statement.line,
                "kind": statement.kind,
                "outcome": statement.outcome.value,
                "parser": statement.parser,
                "message": statement.message,
            }
            for statement in report.statements
            if statement.outcome.value != "parsed"
        ]
        if rows:
            connection.execute(
                extraction_outcome.insert(),
                [{"run": report.run, "position": position, **row} for position, row in enumerate(rows)],
            )

    def runs(self, *, source: str | None = None, limit: int = 50) -> Sequence[RunRecord]:
        """The latest runs, newest first."""
        query = select(extraction_run).order_by(extraction_run.c.started_at.desc(), extraction_run.c.run).limit(limit)
        if source is not None:
            query = query.where(extraction_run.c.source == source)
        with self._database.read() as connection:
            return [RunRecord(**row) for row in connection.execute(query).mappings()]

    def outcomes(
        self, run: str, *, outcome: str | None = None, limit: int = 1_000, offset: int = 0
    ) -> tuple[int, Sequence[RecordedOutcome]]:
        """How many there are, and one page of them, in file order.

        Raises:
            NotFound: there is no such run.
        """
        where = [extraction_outcome.c.run == run]
        if outcome is not None:
            where.append(extraction_outcome.c.outcome == outcome)
        with self._database.read() as connection:
            if connection.scalar(select(extraction_run.c.run).where(extraction_run.c.run == run)) is None:
                raise NotFound(
                    f"there is no extraction run {run!r}", what="run", remedy="list them: GET /v1/extractions"
                )
            count = connection.scalar(select(func.count()).select_from(extraction_outcome).where(*where)) or 0
            page = select(extraction_outcome).where(*where).order_by(extraction_outcome.c.position)
            rows = connection.execute(page.limit(limit).offset(offset)).mappings()
            return count, [RecordedOutcome(**row) for row in rows]


def _key(text: str) -> str:
    """A fixed-size key: paths may be longer than an index takes."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _pack(facts: FileFacts) -> bytes:
    return zlib.compress(orjson.dumps(storable(facts.to_json())), 1)


def _unpack(data: bytes) -> FileFacts:
    return FileFacts.from_json(orjson.loads(zlib.decompress(data)))
