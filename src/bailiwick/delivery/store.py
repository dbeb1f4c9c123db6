"""The table of deployments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)

from bailiwick.delivery.model import Deployment, DeploymentStatus, GateResult
from bailiwick.storage.schema import BigId, Json, UtcDateTime, metadata

deployment = Table(
    "deployment",
    metadata,
    Column("sequence", BigId, primary_key=True, autoincrement=True),
    Column("id", String(100), nullable=False),
    Column("domain", String(64), nullable=False),
    Column("version", String(200), nullable=False),
    Column("previous", String(200), nullable=True),
    Column("status", String(20), nullable=False),
    Column("share", Integer, nullable=False),
    Column("gates", Json, nullable=False),
    Column("forced", Boolean, nullable=False),
    Column("plan_revision", Integer, nullable=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=True),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("changed_by", String(200), nullable=False),
    UniqueConstraint("id", name="uq_deployment_id"),
    Index("ix_deployment_domain", "domain", "sequence"),
)


def add(connection: Connection, made: Deployment) -> None:
    """Write a new deployment."""
    connection.execute(
        insert(deployment).values(**{**asdict(made), "status": made.status.value, "gates": _gates_out(made.gates)})
    )


def set_status(connection: Connection, id: str, status: DeploymentStatus, at: datetime, by: str) -> None:
    """Say what became of a deployment."""
    connection.execute(
        update(deployment).where(deployment.c.id == id).values(status=status.value, changed_at=at, changed_by=by)
    )


def latest_by_version(connection: Connection, domain: str) -> Mapping[str, Deployment]:
    """The last deployment of each version that was not held, in the order of deployment."""
    last = (
        select(func.max(deployment.c.sequence))
        .where(deployment.c.domain == domain, deployment.c.status != DeploymentStatus.HELD.value)
        .group_by(deployment.c.version)
    )
    rows = connection.execute(select(deployment).where(deployment.c.sequence.in_(last)).order_by(deployment.c.sequence))
    return {row.version: _deployment(row) for row in rows}


def listed(connection: Connection, domain: str | None, limit: int) -> Sequence[Deployment]:
    """Deployments, newest first."""
    query = select(deployment).order_by(deployment.c.sequence.desc()).limit(limit)
    if domain is not None:
        query = query.where(deployment.c.domain == domain)
    return [_deployment(row) for row in connection.execute(query)]


def _gates_out(gates: Sequence[GateResult]) -> list[dict[str, Any]]:
    return [asdict(gate) for gate in gates]


def _deployment(row: Row[Any]) -> Deployment:
    values = dict(row._mapping)
    del values["sequence"]
    values["status"] = DeploymentStatus(row.status)
    values["gates"] = tuple(GateResult(**gate) for gate in row.gates)
    return Deployment(**values)
