"""The table of model versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import BigInteger, Column, Connection, Index, String, Table, select, update

from bailiwick.registry.model import ModelVersion
from bailiwick.storage.database import Database
from bailiwick.storage.schema import Json, UtcDateTime, metadata

model_version = Table(
    "model_version",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("domain", String(64), nullable=False),
    Column("family", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("artefact_sha256", String(64), nullable=True),
    Column("artefact_bytes", BigInteger, nullable=False),
    Column("training_run", String(100), nullable=True),
    Column("parent", String(100), nullable=True),
    Column("dataset_sha256", String(64), nullable=True),
    Column("card", Json, nullable=False),
    Column("metrics", Json, nullable=False),
    Index("ix_model_version_domain", "domain", "created_at"),
)


def insert(database: Database, connection: Connection, version: ModelVersion) -> bool:
    """Add a version; False when its id is taken."""
    return database.insert_new(connection, model_version, asdict(version))


def find(connection: Connection, version_id: str, *, to_change: bool = False) -> ModelVersion | None:
    """The version of that id; ``to_change``: nobody else changes it until the unit ends."""
    query = select(model_version).where(model_version.c.id == version_id)
    row = connection.execute(query.with_for_update() if to_change else query).mappings().first()
    return ModelVersion(**row) if row else None


def listing(connection: Connection, domain: str | None) -> Sequence[ModelVersion]:
    """Versions, newest first."""
    query = select(model_version).order_by(model_version.c.created_at.desc(), model_version.c.id.desc())
    if domain is not None:
        query = query.where(model_version.c.domain == domain)
    return [ModelVersion(**row) for row in connection.execute(query).mappings()]


def set_metrics(connection: Connection, version_id: str, metrics: Mapping[str, float]) -> None:
    """Replace the metrics of a version."""
    connection.execute(update(model_version).where(model_version.c.id == version_id).values(metrics=dict(metrics)))
