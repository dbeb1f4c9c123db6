"""The tables of data sets: what is known of each snapshot, and its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Column, Connection, Index, Integer, LargeBinary, RowMapping, String, Table, Text, select

from bailiwick.datasets.model import Dataset, Findings
from bailiwick.storage.database import Database
from bailiwick.storage.schema import Json, UtcDateTime, metadata

dataset = Table(
    "dataset",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("source", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("domains", Json, nullable=False),
    Column("labels", Json, nullable=False),
    Column("findings", Json, nullable=False),
    Column("content", String(64), nullable=True),
    Index("ix_dataset_name", "name", "created_at"),
)

dataset_content = Table(
    "dataset_content",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)


def insert(database: Database, connection: Connection, snapshot: Dataset) -> bool:
    """Add a data set's record; False when it is there already."""
    return database.insert_new(connection, dataset, asdict(snapshot))


def insert_content(database: Database, connection: Connection, sha256: str, content: bytes) -> None:
    """Add the rows of a snapshot, unless they are there already."""
    database.insert_new(connection, dataset_content, {"sha256": sha256, "content": content})


def find(connection: Connection, id_or_name: str) -> Dataset | None:
    """The data set of that id, else the newest of that name."""
    query = (
        select(dataset)
        .where((dataset.c.id == id_or_name) | (dataset.c.name == id_or_name))
        .order_by((dataset.c.id == id_or_name).desc(), dataset.c.created_at.desc(), dataset.c.id)
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    return _dataset(row) if row else None


def listing(connection: Connection, name: str | None) -> Sequence[Dataset]:
    """Every data set, newest first."""
    query = select(dataset).order_by(dataset.c.created_at.desc(), dataset.c.id)
    if name is not None:
        query = query.where(dataset.c.name == name)
    return [_dataset(row) for row in connection.execute(query).mappings()]


def content(connection: Connection, sha256: str) -> bytes | None:
    """The packed rows of a snapshot."""
    found: bytes | None = connection.execute(
        select(dataset_content.c.content).where(dataset_content.c.sha256 == sha256)
    ).scalar()
    return found


def _dataset(row: RowMapping) -> Dataset:
    values: dict[str, Any] = dict(row)
    findings = values.pop("findings")
    return Dataset(**values, findings=Findings(**{**findings, "examples": tuple(findings["examples"])}))
