"""The tables of detection: learned states with their artefact files, and reports of runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    String,
    Table,
    delete,
    func,
    select,
)

from bailiwick.storage.schema import BigId, Json, UtcDateTime, metadata

KEPT_STATES = 3
"""Learned states that are kept: the current one, and what readers may still be loading."""

KEPT_RUNS = 100

detection_state = Table(
    "detection_state",
    metadata,
    Column("revision", BigId, primary_key=True, autoincrement=True),
    Column("fingerprint", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("report", Json, nullable=False),
    sqlite_autoincrement=True,
)

detection_state_file = Table(
    "detection_state_file",
    metadata,
    Column("revision", BigId, primary_key=True, autoincrement=False),
    Column("name", String(200), primary_key=True),
    Column("content", LargeBinary, nullable=False),
    ForeignKeyConstraint(["revision"], ["detection_state.revision"], ondelete="CASCADE"),
)

detection_run = Table(
    "detection_run",
    metadata,
    Column("sequence", BigId, primary_key=True, autoincrement=True),
    Column("run", String(100), nullable=False, unique=True),
    Column("finished_at", UtcDateTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("tagged_nodes", Integer, nullable=False),
    Column("report", Json, nullable=False),
)


def newest_revision(connection: Connection) -> int:
    """The revision of the newest learned state; 0: none."""
    return int(connection.execute(select(func.coalesce(func.max(detection_state.c.revision), 0))).scalar_one())


def state(connection: Connection, revision: int) -> Mapping[str, Any] | None:
    """One learned state without its files."""
    row = connection.execute(select(detection_state).where(detection_state.c.revision == revision)).mappings().first()
    return None if row is None else dict(row)


def state_files(connection: Connection, revision: int) -> dict[str, bytes]:
    """The artefact of one learned state."""
    query = select(detection_state_file.c.name, detection_state_file.c.content)
    rows = connection.execute(query.where(detection_state_file.c.revision == revision))
    return {name: bytes(content) for name, content in rows}


def add_state(connection: Connection, values: Mapping[str, Any], files: Mapping[str, bytes]) -> int:
    """Store a learned state as the newest, and drop the oldest beyond `KEPT_STATES`."""
    inserted = connection.execute(detection_state.insert().values(**values))
    assert inserted.inserted_primary_key is not None
    revision = int(inserted.inserted_primary_key[0])
    for name, content in files.items():  # one by one: an artefact may have tens of megabytes
        connection.execute(detection_state_file.insert().values(revision=revision, name=name, content=content))
    newest = select(detection_state.c.revision).order_by(detection_state.c.revision.desc()).limit(KEPT_STATES)
    kept = connection.execute(newest).scalars().all()
    connection.execute(delete(detection_state).where(detection_state.c.revision < min(kept)))
    return revision


def add_run(connection: Connection, values: Mapping[str, Any]) -> None:
    """Store the report of a run, and drop the oldest beyond `KEPT_RUNS`."""
    connection.execute(detection_run.insert().values(**values))
    newest = select(detection_run.c.sequence).order_by(detection_run.c.sequence.desc()).limit(KEPT_RUNS)
    kept = connection.execute(newest).scalars().all()
    connection.execute(delete(detection_run).where(detection_run.c.sequence < min(kept)))


def run_report(connection: Connection, run: str | None) -> Mapping[str, Any] | None:
    """The report of a run, or of the latest."""
    query = select(detection_run.c.report)
    query = query.where(detection_run.c.run == run) if run else query.order_by(detection_run.c.sequence.desc()).limit(1)
    found: Mapping[str, Any] | None = connection.execute(query).scalar_one_or_none()
    return found
