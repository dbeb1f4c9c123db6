"""The table of evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Column, Connection, Index, RowMapping, String, Table, select

from bailiwick.evaluation.model import Confusion, Evaluation, LabelScore
from bailiwick.statistics.calibration import ReliabilityBin
from bailiwick.storage.schema import Json, UtcDateTime, metadata

evaluation = Table(
    "evaluation",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("version", String(100), nullable=False),
    Column("domain", String(64), nullable=False),
    Column("dataset", String(100), nullable=False),
    Column("dataset_sha256", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("metrics", Json, nullable=False),
    Column("labels", Json, nullable=False),
    Column("confusion", Json, nullable=False),
    Column("reliability", Json, nullable=False),
    Index("ix_evaluation_version", "version", "created_at"),
)


def insert(connection: Connection, made: Evaluation) -> None:
    """Add an evaluation."""
    connection.execute(evaluation.insert().values(**asdict(made)))


def listing(connection: Connection, version: str) -> Sequence[Evaluation]:
    """Evaluations of a version, newest first."""
    query = (
        select(evaluation)
        .where(evaluation.c.version == version)
        .order_by(evaluation.c.created_at.desc(), evaluation.c.id.desc())
    )
    return [_evaluation(row) for row in connection.execute(query).mappings()]


def _evaluation(row: RowMapping) -> Evaluation:
    values: dict[str, Any] = dict(row)
    return Evaluation(
        **{
            **values,
            "labels": tuple(LabelScore(**score) for score in values["labels"]),
            "confusion": tuple(Confusion(**cell) for cell in values["confusion"]),
            "reliability": tuple(ReliabilityBin(**band) for band in values["reliability"]),
        }
    )
