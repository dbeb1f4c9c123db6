"""The tables of rollouts: each rollout as it stands, and every move that it made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
    update,
)

from bailiwick.delivery.rollout.model import Rollout, RolloutState, Transition
from bailiwick.delivery.rollout.stored import (
    dump_epochs,
    dump_evidence,
    dump_policy,
    dump_steps,
    load_epochs,
    load_evidence,
    load_policy,
    load_steps,
)
from bailiwick.storage.schema import BigId, Json, UtcDateTime, metadata

canary_deployments = Table(
    "canary_deployments",
    metadata,
    Column("id", String(100), primary_key=True),
    Column("domain", String(64), nullable=False),
    Column("version", String(200), nullable=False),
    Column("baseline", String(200), nullable=False),
    Column("steps", Json, nullable=False),
    Column("policy", Json, nullable=False),
    Column("state", String(20), nullable=False),
    Column("step", Integer, nullable=False),
    Column("weight", Integer, nullable=False),
    Column("seen_s", Float(53), nullable=False),
    Column("ticked_at", UtcDateTime, nullable=False),
    Column("approved_step", Integer, nullable=False),
    Column("row_version", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("plan_revision", Integer, nullable=False),
    Column("base_revision", Integer, nullable=False),
    Column("deployment", String(100), nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("started_by", String(200), nullable=False),
    Column("ended_at", UtcDateTime, nullable=True),
    Column("reason", Text, nullable=False),
    Column("epochs", Json, nullable=False),
    Column("planned", Json, nullable=False),
    Column("evidence", Json, nullable=False),
)
# One active rollout per domain, whoever races.
Index(
    "uq_canary_deployments_active",
    canary_deployments.c.domain,
    unique=True,
    sqlite_where=canary_deployments.c.ended_at.is_(None),
    postgresql_where=canary_deployments.c.ended_at.is_(None),
)
Index("ix_canary_deployments_started", canary_deployments.c.domain, canary_deployments.c.started_at)

rollout_transition = Table(
    "rollout_transition",
    metadata,
    Column("sequence", BigId, primary_key=True, autoincrement=True),
    Column("rollout", String(100), nullable=False),
    Column("row_version", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("action", String(20), nullable=False),
    Column("before", String(20), nullable=True),
    Column("after", String(20), nullable=False),
    Column("step", Integer, nullable=False),
    Column("weight", Integer, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("forced", Boolean, nullable=False),
    Column("fence", Integer, nullable=True),
    Column("plan_revision", Integer, nullable=False),
    Column("evidence", Json, nullable=False),
    UniqueConstraint("rollout", "row_version", name="uq_rollout_transition_rollout_row_version"),
)


def add(connection: Connection, rollout: Rollout) -> None:
    """Write a new rollout.

    Raises:
        sqlalchemy.exc.IntegrityError: the domain has an active one.
    """
    connection.execute(insert(canary_deployments).values(**_values(rollout)))


def save(connection: Connection, rollout: Rollout, *, fence: int | None) -> bool:
    """Write the next row version of a rollout; False where somebody wrote before.

    Args:
        connection: of a write unit.
        rollout: with the row version that it shall have: the one that was read, and one.
        fence: of the controller; None for a person, who needs no lease.
    """
    values = _values(rollout)
    table = canary_deployments.c
    query = update(canary_deployments).where(
        table.id == rollout.id, table.row_version == rollout.row_version - 1, table.ended_at.is_(None)
    )
    if fence is not None:
        query = query.where(table.fence <= fence)
    return connection.execute(query.values(**values)).rowcount == 1


def progress(connection: Connection, rollout: Rollout, *, fence: int) -> bool:
    """Write what a controller saw without moving anything; False where somebody else has written."""
    table = canary_deployments.c
    query = update(canary_deployments).where(
        table.id == rollout.id,
        table.row_version == rollout.row_version,
        table.fence <= fence,
        table.ended_at.is_(None),
    )
    values = {
        "seen_s": rollout.seen_s,
        "ticked_at": rollout.ticked_at,
        "fence": fence,
        "reason": rollout.reason,
        "planned": dict(rollout.planned),
        "evidence": dump_evidence(rollout.evidence),
    }
    return connection.execute(query.values(**values)).rowcount == 1


def record(connection: Connection, made: Transition) -> None:
    """Add a transition."""
    connection.execute(
        insert(rollout_transition).values(
            rollout=made.rollout,
            row_version=made.row_version,
            at=made.at,
            action=made.action,
            before=made.before.value if made.before else None,
            after=made.after.value,
            step=made.step,
            weight=made.weight,
            actor=made.actor,
            reason=made.reason,
            forced=made.forced,
            fence=made.fence,
            plan_revision=made.plan_revision,
            evidence=dump_evidence(made.evidence),
        )
    )


def find(connection: Connection, id: str) -> Rollout | None:
    """The rollout of that id."""
    row = connection.execute(select(canary_deployments).where(canary_deployments.c.id == id)).first()
    return None if row is None else _rollout(row)


def active_of(connection: Connection, domain: str) -> Rollout | None:
    """The active rollout of a domain."""
    query = select(canary_deployments).where(
        canary_deployments.c.domain == domain, canary_deployments.c.ended_at.is_(None)
    )
    row = connection.execute(query).first()
    return None if row is None else _rollout(row)


def listed(
    connection: Connection, domain: str | None = None, *, active: bool = False, limit: int = 100
) -> Sequence[Rollout]:
    """Rollouts, the newest first."""
    query = select(canary_deployments).order_by(canary_deployments.c.started_at.desc(), canary_deployments.c.id.desc())
    if domain is not None:
        query = query.where(canary_deployments.c.domain == domain)
    if active:
        query = query.where(canary_deployments.c.ended_at.is_(None))
    return [_rollout(row) for row in connection.execute(query.limit(limit))]


def transitions(connection: Connection, rollout: str) -> Sequence[Transition]:
    """Every move of a rollout, the first one first."""
    query = (
        select(rollout_transition)
        .where(rollout_transition.c.rollout == rollout)
        .order_by(rollout_transition.c.row_version)
    )
    return [_transition(row) for row in connection.execute(query)]


def _values(rollout: Rollout) -> dict[str, Any]:
    names = (column.name for column in canary_deployments.c)
    return {
        **{name: getattr(rollout, name) for name in names},
        "state": rollout.state.value,
        "steps": dump_steps(rollout.steps),
        "policy": dump_policy(rollout.policy),
        "epochs": dump_epochs(rollout.epochs),
        "planned": dict(rollout.planned),
        "evidence": dump_evidence(rollout.evidence),
    }


def _rollout(row: Row[Any]) -> Rollout:
    values = dict(row._mapping)
    values["state"] = RolloutState(row.state)
    values["steps"] = load_steps(row.steps)
    values["policy"] = load_policy(row.policy)
    values["epochs"] = load_epochs(row.epochs)
    values["evidence"] = load_evidence(row.evidence)
    return Rollout(**values)


def _transition(row: Row[Any]) -> Transition:
    values = dict(row._mapping)
    del values["sequence"]
    values["before"] = RolloutState(row.before) if row.before else None
    values["after"] = RolloutState(row.after)
    values["evidence"] = load_evidence(row.evidence)
    return Transition(**values)
