"""The tables of experiment plans and of the holdout: every revision of each."""

from __future__ import annotations

from collections.abc import Sequence
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
    func,
    insert,
    select,
    tuple_,
)

from bailiwick.storage.schema import Json, UtcDateTime, metadata
from bailiwick.traffic.experiment_document import experiment_document, parse_experiment
from bailiwick.traffic.model import ExperimentRecord, Holdout

experiment_plan = Table(
    "experiment_plan",
    metadata,
    Column("experiment", String(64), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("domain", String(64), nullable=False),
    Column("running", Boolean, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("change", String(100), nullable=False),
    Column("reason", Text, nullable=True),
    Column("plan", Json, nullable=False),
    Index("ix_experiment_plan_domain", "domain"),
)

traffic_holdout = Table(
    "traffic_holdout",
    metadata,
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=True),
    Column("salt", String(100), nullable=False),
    Column("slots", Integer, nullable=False),
)


def append_experiment(connection: Connection, record: ExperimentRecord) -> None:
    """Add the next revision of an experiment's plan. The caller holds the lock of `store` and moves its counter."""
    connection.execute(
        insert(experiment_plan).values(
            experiment=record.plan.experiment,
            revision=record.revision,
            domain=record.plan.domain,
            running=record.running,
            epoch=record.plan.split.revision,
            at=record.at,
            actor=record.actor,
            change=record.change,
            reason=record.reason,
            plan=experiment_document(record.plan),
        )
    )


def newest_experiment(connection: Connection, experiment: str) -> ExperimentRecord | None:
    """The newest revision of an experiment's plan, whether it runs or not."""
    query = _of(experiment).order_by(experiment_plan.c.revision.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else _record(row)


def experiment_history(connection: Connection, experiment: str) -> Sequence[ExperimentRecord]:
    """Every revision, newest first."""
    return [_record(row) for row in connection.execute(_of(experiment).order_by(experiment_plan.c.revision.desc()))]


def running_experiments(connection: Connection, domain: str | None = None) -> Sequence[ExperimentRecord]:
    """The newest revision of each experiment (of one domain) that runs, by id."""
    last = select(experiment_plan.c.experiment, func.max(experiment_plan.c.revision)).group_by(
        experiment_plan.c.experiment
    )
    key = tuple_(experiment_plan.c.experiment, experiment_plan.c.revision)
    query = select(experiment_plan).where(key.in_(last), experiment_plan.c.running.is_(True))
    if domain is not None:
        query = query.where(experiment_plan.c.domain == domain)
    records = (_record(row) for row in connection.execute(query))
    return sorted(records, key=lambda record: record.plan.experiment)


def ended_experiments(connection: Connection) -> frozenset[str]:
    """Ids of the experiments that ran and no longer run."""
    last = select(experiment_plan.c.experiment, func.max(experiment_plan.c.revision)).group_by(
        experiment_plan.c.experiment
    )
    key = tuple_(experiment_plan.c.experiment, experiment_plan.c.revision)
    query = select(experiment_plan.c.experiment).where(key.in_(last), experiment_plan.c.running.is_(False))
    return frozenset(connection.scalars(query))


def newest_holdout(connection: Connection) -> tuple[int, Holdout]:
    """The holdout in force with its revision; revision 0 and nobody before the first."""
    row = connection.execute(select(traffic_holdout).order_by(traffic_holdout.c.revision.desc()).limit(1)).first()
    return (0, Holdout()) if row is None else (row.revision, Holdout(row.salt, row.slots))


def append_holdout(
    connection: Connection, revision: int, holdout: Holdout, at: datetime, actor: str, reason: str | None
) -> None:
    """Add the next revision of the holdout. The caller holds the lock of `store` and moves its counter."""
    connection.execute(
        insert(traffic_holdout).values(
            revision=revision, at=at, actor=actor, reason=reason, salt=holdout.salt, slots=holdout.slots
        )
    )


def _of(experiment: str) -> Select[Any]:
    return select(experiment_plan).where(experiment_plan.c.experiment == experiment)


def _record(row: Row[Any]) -> ExperimentRecord:
    return ExperimentRecord(
        plan=parse_experiment(row.plan),
        revision=row.revision,
        running=row.running,
        at=row.at,
        actor=row.actor,
        change=row.change,
        reason=row.reason,
    )
