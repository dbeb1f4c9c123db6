"""The tables of deployments and of what people said of those that wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
    Select,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)

from bailiwick.delivery.model import Approval, Deployment, DeploymentStatus, GateResult
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
    Column("environment", String(64), nullable=False, server_default="production"),
    Column("policy_revision", Integer, nullable=False, server_default="0"),
    Column("artefact_sha256", String(64), nullable=True),
    Column("approvals_needed", Integer, nullable=False, server_default="0"),
    Column("expires_at", UtcDateTime, nullable=True),
    Column("outcome", Text, nullable=True),
    UniqueConstraint("id", name="uq_deployment_id"),
    Index("ix_deployment_domain", "domain", "sequence"),
    Index("ix_deployment_plan", "domain", "plan_revision"),
)

deployment_approval = Table(
    "deployment_approval",
    metadata,
    Column("sequence", BigId, primary_key=True, autoincrement=True),
    Column("deployment", String(100), nullable=False),
    Column("approver", String(200), nullable=False),
    Column("approved", Boolean, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("reason", Text, nullable=True),
    UniqueConstraint("deployment", "approver", name="uq_deployment_approval_approver"),
)


def add(connection: Connection, made: Deployment) -> None:
    """Write a new deployment."""
    values = {name: value for name, value in asdict(made).items() if name != "approvals"}
    connection.execute(
        insert(deployment).values(**{**values, "status": made.status.value, "gates": _gates_out(made.gates)})
    )


def set_status(
    connection: Connection, id: str, status: DeploymentStatus, at: datetime, by: str, outcome: str | None = None
) -> None:
    """Say what became of a deployment."""
    connection.execute(
        update(deployment)
        .where(deployment.c.id == id)
        .values(status=status.value, changed_at=at, changed_by=by, outcome=outcome)
    )


def enact(connection: Connection, made: Deployment) -> None:
    """Write that a deployment which waited is in service now: its status, share, plan, and what served before."""
    connection.execute(
        update(deployment)
        .where(deployment.c.id == made.id)
        .values(
            status=made.status.value,
            share=made.share,
            previous=made.previous,
            plan_revision=made.plan_revision,
            gates=_gates_out(made.gates),
            changed_at=made.changed_at,
            changed_by=made.changed_by,
        )
    )


def add_approval(connection: Connection, given: Approval) -> None:
    """Write what somebody said.

    Raises:
        sqlalchemy.exc.IntegrityError: they have said something before.
    """
    connection.execute(insert(deployment_approval).values(asdict(given)))


def one(connection: Connection, id: str) -> Deployment | None:
    """A deployment, with its approvals."""
    found = _read(connection, select(deployment).where(deployment.c.id == id))
    return found[0] if found else None


def waiting(
    connection: Connection, domain: str | None = None, status: DeploymentStatus = DeploymentStatus.WAITING
) -> Sequence[Deployment]:
    """Deployments that wait for approval, or that have it and have not begun, oldest first."""
    query = select(deployment).where(deployment.c.status == status.value)
    if domain is not None:
        query = query.where(deployment.c.domain == domain)
    return _read(connection, query.order_by(deployment.c.sequence))


def serving_since(
    connection: Connection, since: datetime, statuses: Collection[DeploymentStatus]
) -> Sequence[Deployment]:
    """Deployments of these statuses that were put in service since an instant, by domain, the newest first."""
    query = select(deployment).where(
        deployment.c.status.in_([status.value for status in statuses]), deployment.c.changed_at >= since
    )
    return _read(connection, query.order_by(deployment.c.domain, deployment.c.plan_revision.desc()))


def latest_by_version(
    connection: Connection, domain: str, up_to_revision: int | None = None
) -> Mapping[str, Deployment]:
    """The last deployment of each version that ever got traffic, in the order in which they got it.

    Args:
        connection: of the caller's unit.
        domain: where.
        up_to_revision: only those whose plan was no later than this one.
    """
    last = select(func.max(deployment.c.plan_revision)).where(
        deployment.c.domain == domain, deployment.c.plan_revision.is_not(None)
    )
    if up_to_revision is not None:
        last = last.where(deployment.c.plan_revision <= up_to_revision)
    query = (
        select(deployment)
        .where(deployment.c.domain == domain, deployment.c.plan_revision.in_(last.group_by(deployment.c.version)))
        .order_by(deployment.c.plan_revision)
    )
    return {made.version: made for made in _read(connection, query)}


def listed(connection: Connection, domain: str | None, limit: int) -> Sequence[Deployment]:
    """Deployments, newest first."""
    query = select(deployment).order_by(deployment.c.sequence.desc()).limit(limit)
    if domain is not None:
        query = query.where(deployment.c.domain == domain)
    return _read(connection, query)


def _read(connection: Connection, query: Select[Any]) -> list[Deployment]:
    rows = connection.execute(query).all()
    said = _approvals(connection, [row.id for row in rows if row.approvals_needed])
    return [_deployment(row, said.get(row.id, [])) for row in rows]


def _approvals(connection: Connection, ids: Sequence[str]) -> Mapping[str, list[Approval]]:
    found: dict[str, list[Approval]] = {}
    if not ids:
        return found
    table = deployment_approval
    for row in connection.execute(select(table).where(table.c.deployment.in_(ids)).order_by(table.c.sequence)):
        approval = Approval(row.deployment, row.approver, row.approved, row.at, row.reason)
        found.setdefault(row.deployment, []).append(approval)
    return found


def _gates_out(gates: Sequence[GateResult]) -> list[dict[str, Any]]:
    return [asdict(gate) for gate in gates]


def _deployment(row: Row[Any], approvals: Sequence[Approval]) -> Deployment:
    values = dict(row._mapping)
    del values["sequence"]
    values["status"] = DeploymentStatus(row.status)
    values["gates"] = tuple(GateResult(**gate) for gate in row.gates)
    return Deployment(**values, approvals=tuple(approvals))
