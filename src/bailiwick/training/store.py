"""The table of training runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Float, Index, RowMapping, String, Table, Text, select, update

from bailiwick.models.model import EpochLoss
from bailiwick.storage.schema import Json, UtcDateTime, metadata
from bailiwick.training.model import RunStatus, TrainingRun

training_run = Table(
    "training_run",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("domain", String(64), nullable=False),
    Column("dataset", String(100), nullable=False),
    Column("dataset_sha256", String(64), nullable=False),
    Column("family", String(64), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("status", String(20), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("started_by", String(200), nullable=False),
    Column("worker", String(300), nullable=False),
    Column("settings", Json, nullable=False),
    Column("start_version", String(100), nullable=True),
    Column("error", Text, nullable=True),
    Column("losses", Json, nullable=False),
    Column("cpu_s", Float, nullable=True),
    Column("finished_at", UtcDateTime, nullable=True),
    Column("version", String(100), nullable=True),
    Index("ix_training_run_domain", "domain", "started_at"),
)


def insert(connection: Connection, run: TrainingRun) -> None:
    """Add a run."""
    connection.execute(training_run.insert().values(**asdict(run)))


def change(connection: Connection, run_id: str, **values: Any) -> bool:
    """Overwrite columns of a run that has not ended; False when it has."""
    running = (training_run.c.id == run_id) & (training_run.c.status == RunStatus.RUNNING)
    return connection.execute(update(training_run).where(running).values(**values)).rowcount == 1


def find(connection: Connection, run_id: str) -> TrainingRun | None:
    """The run of that id."""
    row = connection.execute(select(training_run).where(training_run.c.id == run_id)).mappings().first()
    return _run(row) if row else None


def listing(
    connection: Connection, *, domain: str | None = None, status: RunStatus | None = None
) -> Sequence[TrainingRun]:
    """Runs, newest first."""
    query = select(training_run).order_by(training_run.c.started_at.desc(), training_run.c.id.desc())
    if domain is not None:
        query = query.where(training_run.c.domain == domain)
    if status is not None:
        query = query.where(training_run.c.status == status)
    return [_run(row) for row in connection.execute(query).mappings()]


def _run(row: RowMapping) -> TrainingRun:
    values: dict[str, Any] = dict(row)
    losses = tuple(EpochLoss(**loss) for loss in values.pop("losses"))
    return TrainingRun(**{**values, "status": RunStatus(values["status"])}, losses=losses)
