"""The table of traffic plans: every revision of every domain's plan; and the counter that moves with every change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
    func,
    insert,
    null,
    select,
    tuple_,
    update,
)

from bailiwick.storage.database import Database
from bailiwick.storage.schema import Json, UtcDateTime, metadata
from bailiwick.traffic.model import Comparison, PlanRecord, Shadow, SlotRange, TrafficPlan

traffic_plan = Table(
    "traffic_plan",
    metadata,
    Column("domain", String(64), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("change", String(100), nullable=False),
    Column("reason", Text, nullable=True),
    Column("restores", Integer, nullable=True),
    Column("salt", String(100), nullable=False),
    Column("algorithm", Integer, nullable=False),
    Column("ranges", Json, nullable=False),
    Column("comparison", Json, nullable=True),
    Column("shadow", Json, nullable=True),
    Index("ix_traffic_plan_at", "domain", "at"),
)

traffic_revision = Table(
    "traffic_revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),
)

_ONLY_ROW = 1


def lock(database: Database, connection: Connection) -> None:
    """Wait until this unit is the only one that may change plans; held until it ends."""
    database.upsert(connection, traffic_revision, [{"id": _ONLY_ROW, "revision": 0}], update=[])
    connection.execute(
        select(traffic_revision.c.revision).where(traffic_revision.c.id == _ONLY_ROW).with_for_update()
    ).one()


def revision(connection: Connection) -> int:
    """The counter over all domains; 0 before the first change."""
    return int(connection.scalar(select(traffic_revision.c.revision).where(traffic_revision.c.id == _ONLY_ROW)) or 0)


def append(connection: Connection, record: PlanRecord) -> None:
    """Add the next revision of a plan and move the counter. The caller holds the lock.

    Raises:
        sqlalchemy.exc.IntegrityError: the revision exists, which the lock rules out.
    """
    plan = record.plan
    connection.execute(
        insert(traffic_plan).values(
            domain=plan.domain,
            revision=plan.revision,
            at=record.at,
            actor=record.actor,
            change=record.change,
            reason=record.reason,
            restores=record.restores,
            salt=plan.salt,
            algorithm=plan.algorithm,
            ranges=[[piece.first, piece.end, piece.version] for piece in plan.ranges],
            comparison=asdict(plan.comparison) if plan.comparison else null(),
            shadow=[plan.shadow.version, plan.shadow.share] if plan.shadow else null(),
        )
    )
    move_revision(connection)


def move_revision(connection: Connection) -> None:
    """Let every gateway know that something changed. The caller holds the lock."""
    connection.execute(
        update(traffic_revision)
        .where(traffic_revision.c.id == _ONLY_ROW)
        .values(revision=traffic_revision.c.revision + 1)
    )


def newest(connection: Connection, domain: str) -> PlanRecord | None:
    """The plan in force."""
    return _first(connection, _of(domain).order_by(traffic_plan.c.revision.desc()))


def at(connection: Connection, domain: str, instant: datetime) -> PlanRecord | None:
    """The plan that was in force at an instant; None before the first."""
    return _first(connection, _of(domain).where(traffic_plan.c.at <= instant).order_by(traffic_plan.c.revision.desc()))


def history(connection: Connection, domain: str, limit: int | None = None) -> Sequence[PlanRecord]:
    """Revisions, newest first."""
    query = _of(domain).order_by(traffic_plan.c.revision.desc()).limit(limit)
    return [_record(row) for row in connection.execute(query)]


def all_newest(connection: Connection) -> Sequence[PlanRecord]:
    """The plan in force of every domain that has one, by domain."""
    last = select(traffic_plan.c.domain, func.max(traffic_plan.c.revision)).group_by(traffic_plan.c.domain)
    query = (
        select(traffic_plan)
        .where(tuple_(traffic_plan.c.domain, traffic_plan.c.revision).in_(last))
        .order_by(traffic_plan.c.domain)
    )
    return [_record(row) for row in connection.execute(query)]


def _of(domain: str) -> Select[Any]:
    return select(traffic_plan).where(traffic_plan.c.domain == domain)


def _first(connection: Connection, query: Select[Any]) -> PlanRecord | None:
    row = connection.execute(query.limit(1)).first()
    return None if row is None else _record(row)


def _record(row: Row[Any]) -> PlanRecord:
    plan = TrafficPlan(
        domain=row.domain,
        revision=row.revision,
        salt=row.salt,
        ranges=tuple(SlotRange(first, end, version) for first, end, version in row.ranges),
        algorithm=row.algorithm,
        comparison=None
        if row.comparison is None
        else Comparison(**{**row.comparison, "control": tuple(row.comparison["control"])}),
        shadow=None if row.shadow is None else Shadow(*row.shadow),
    )
    return PlanRecord(
        plan=plan, at=row.at, actor=row.actor, change=row.change, reason=row.reason, restores=row.restores
    )
