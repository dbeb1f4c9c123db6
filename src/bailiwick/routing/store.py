"""The tables of routing: what was published, revision by revision, and the log of decisions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
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
    case,
    delete,
    func,
    select,
    update,
)

from bailiwick.routing.analytics import Entry
from bailiwick.routing.logged import LoggedDecision, features_from
from bailiwick.routing.model import Candidate, Mode, RouteMethod
from bailiwick.routing.rewards import FAILED, Judged
from bailiwick.storage.database import Database
from bailiwick.storage.schema import Json, UtcDateTime, metadata

RULES, MODE, POLICY = "rules", "mode", "policy"

_LEARNED_FROM = (
    *("request_id", "at", "domain", "propensity", "seen", "context"),
    *("metric", "value", "latency_ms", "tokens", "follow_up", "mode", "draw"),
)

routing_revision = Table(
    "routing_revision",
    metadata,
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(20), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=True),
    Column("digest", String(64), nullable=False),
    Column("by_hand", Boolean, nullable=False),
    Column("body", Json, nullable=False),
    Index("ix_routing_revision_kind", "kind", "revision"),
)

routing_decision = Table(
    "routing_decision",
    metadata,
    Column("request_id", String(100), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("mode", String(10), nullable=False),
    Column("method", String(20), nullable=False),
    Column("domain", String(64), nullable=False),
    Column("proposed", String(64), nullable=False),
    Column("propensity", Float(53), nullable=False),
    Column("detected", String(64), nullable=False),
    Column("context", String(200), nullable=False),
    Column("draw", Float(53), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("rule", String(64), nullable=False),
    Column("follow_up", Boolean, nullable=False),
    Column("answered", String(64), nullable=False),
    Column("version", String(200), nullable=False),
    Column("status", Integer, nullable=False),
    Column("latency_ms", Float(53), nullable=True),
    Column("tokens", BigInteger, nullable=True),
    Column("seen", Json, nullable=False),
    Column("metric", String(200), nullable=True),
    Column("value", Float(53), nullable=True),
    Column("right_domain", String(64), nullable=True),
    Column("judged_at", UtcDateTime, nullable=True),
    Index("ix_routing_decision_at", "at"),
    Index("ix_routing_decision_judged", "judged_at"),
)


def newest_revision(connection: Connection) -> int:
    """The counter that moves with every change; 0 before the first."""
    return connection.scalar(select(func.max(routing_revision.c.revision))) or 0


def newest(connection: Connection, kind: str) -> Row[Any] | None:
    """The newest revision of a kind."""
    table = routing_revision.c
    query = select(routing_revision).where(table.kind == kind).order_by(table.revision.desc()).limit(1)
    return connection.execute(query).first()


def newest_by_hand(connection: Connection) -> Row[Any] | None:
    """The newest policy that a person published; the learner's are passed over without reading their bodies."""
    table = routing_revision.c
    query = select(routing_revision).where(table.kind == POLICY, table.by_hand.is_(True))
    return connection.execute(query.order_by(table.revision.desc()).limit(1)).first()


def one(connection: Connection, revision: int) -> Row[Any] | None:
    """A revision by its number."""
    return connection.execute(select(routing_revision).where(routing_revision.c.revision == revision)).first()


def history(connection: Connection, limit: int) -> Sequence[Row[Any]]:
    """Revisions without their bodies, newest first."""
    columns = [column for column in routing_revision.c if column.name != "body"]
    return connection.execute(select(*columns).order_by(routing_revision.c.revision.desc()).limit(limit)).all()


def append(database: Database, connection: Connection, row: dict[str, Any]) -> bool:
    """Add a revision; False where somebody else took its number."""
    return database.insert_new(connection, routing_revision, row)


def write_decisions(database: Database, connection: Connection, decisions: Sequence[LoggedDecision]) -> None:
    """Add decisions; a request id that is known keeps what it said first."""
    unique = {each.request_id: each.row() for each in reversed(decisions)}
    database.upsert(connection, routing_decision, [unique[key] for key in sorted(unique)], update=[])


def judge(connection: Connection, request_id: str, metric: str, value: float, at: datetime) -> bool:
    """Write a judgement to a decision; whether there is one that was answered."""
    return _judge(connection, request_id, {"metric": metric, "value": value, "judged_at": at})


def judge_domain(connection: Connection, request_id: str, metric: str, right: str, at: datetime) -> bool:
    """Write which domain would have been right; where nothing else was said, that judges the answer too."""
    table = routing_decision.c
    value = func.coalesce(table.value, case((table.answered == right, 1.0), else_=0.0))
    values = {"metric": func.coalesce(table.metric, metric), "value": value, "right_domain": right, "judged_at": at}
    return _judge(connection, request_id, values)


def _judge(connection: Connection, request_id: str, values: dict[str, Any]) -> bool:
    table = routing_decision.c
    answered = update(routing_decision).where(table.request_id == request_id, table.answered != "")
    return connection.execute(answered.values(**values)).rowcount > 0


def judged_until(connection: Connection) -> datetime | None:
    """When the newest judgement was given."""
    found: datetime | None = connection.scalar(select(func.max(routing_decision.c.judged_at)))
    return found


def judged(connection: Connection, mode: Mode | None, since: datetime, limit: int) -> list[Judged]:
    """Judged decisions of learning (no rules) since an instant: the newest so many, oldest first."""
    table = routing_decision.c
    query = select(*(table[name] for name in _LEARNED_FROM)).where(
        table.at >= since, table.value.is_not(None), table.method != RouteMethod.USER_RULE.value
    )
    if mode is not None:
        query = query.where(table.mode == mode.value)
    rows = connection.execute(query.order_by(table.at.desc(), table.request_id).limit(limit)).all()
    return [_judged(row) for row in reversed(rows)]


def entries(connection: Connection, since: datetime, until: datetime, limit: int) -> list[Entry]:
    """The decisions of a span for analytics, the newest so many."""
    table = routing_decision.c
    query = select(routing_decision).where(table.at >= since, table.at < until)
    rows = connection.execute(query.order_by(table.at.desc(), table.request_id).limit(limit))
    return [_entry(row) for row in rows]


def counts_by_detected(connection: Connection, since: datetime, until: datetime) -> dict[str, int]:
    """How many queries were detected as which domain; the empty name for none. Follow-ups are left out."""
    table = routing_decision.c
    query = (
        select(table.detected, func.count())
        .where(table.at >= since, table.at < until, table.follow_up.is_(False))
        .group_by(table.detected)
    )
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def count(connection: Connection, mode: Mode, since: datetime) -> int:
    """How many decisions of learning were made in a mode."""
    table = routing_decision.c
    query = select(func.count()).where(
        table.at >= since, table.mode == mode.value, table.method != RouteMethod.USER_RULE.value
    )
    return connection.scalar(query) or 0


def judged_share(connection: Connection, mode: Mode | None, since: datetime) -> float:
    """Of the answers since an instant to decisions of learning, how many were judged; 1 where there was no answer."""
    table = routing_decision.c
    judged_one = case((table.value.is_not(None), 1), else_=0)
    query = select(func.count(), func.coalesce(func.sum(judged_one), 0)).where(
        table.at >= since,
        table.answered != "",
        table.method != RouteMethod.USER_RULE.value,
        table.metric.is_(None) | (table.metric != FAILED),
    )
    if mode is not None:
        query = query.where(table.mode == mode.value)
    answers, known = connection.execute(query).one()
    return int(known) / int(answers) if answers else 1.0


def decision(connection: Connection, request_id: str) -> Row[Any] | None:
    """One decision."""
    return connection.execute(select(routing_decision).where(routing_decision.c.request_id == request_id)).first()


def purge(connection: Connection, before: datetime) -> int:
    """Forget decisions older than an instant, and the learner's policies of then but for the one in force."""
    table = routing_revision.c
    in_force = select(func.max(table.revision)).where(table.kind == POLICY).scalar_subquery()
    outdated = (table.kind == POLICY, table.by_hand.is_(False), table.at < before, table.revision < in_force)
    connection.execute(delete(routing_revision).where(*outdated))
    return connection.execute(delete(routing_decision).where(routing_decision.c.at < before)).rowcount


def candidates_from(seen: dict[str, Any]) -> tuple[Candidate, ...]:
    """The candidates in a logged decision."""
    return tuple(Candidate(domain, *map(float, numbers)) for domain, *numbers in seen["candidates"])


def _entry(row: Row[Any]) -> Entry:
    learns = row.value is not None and row.method != RouteMethod.USER_RULE.value and row.mode == Mode.ON.value
    return Entry(
        request_id=row.request_id,
        domain=row.domain,
        method=row.method,
        detected=row.detected,
        score=float(row.seen["ranking"][0][1]) if row.seen["ranking"] else 1.0 if row.rule else 0.0,
        propensity=row.propensity,
        status=row.status,
        latency_ms=row.latency_ms,
        follow_up=row.follow_up,
        choices=len(row.seen["candidates"]),
        value=row.value,
        right_domain=row.right_domain,
        judged=_judged(row) if learns else None,
    )


def _judged(row: Row[Any]) -> Judged:
    seen = row.seen
    return Judged(
        request_id=row.request_id,
        at=row.at,
        domain=row.domain,
        propensity=row.propensity,
        features=features_from(seen),
        candidates=candidates_from(seen),
        context=row.context,
        metric=row.metric,
        value=row.value,
        latency_ms=row.latency_ms,
        tokens=row.tokens,
        follow_up=row.follow_up,
        mode=Mode(row.mode),
        draw=row.draw,
    )
