"""The tables of observations: rollups per minute, the log of requests, and feedback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    delete,
    false,
    func,
    select,
    text,
    true,
    update,
)

from bailiwick.metrics.events import digest
from bailiwick.metrics.model import Feedback, FeedbackSummary, Mark, Point, SeriesKey
from bailiwick.metrics.observations import SHADOW_ARM, ServedRequest, measured
from bailiwick.metrics.rollup import Rollup
from bailiwick.metrics.sketch import Sketch
from bailiwick.metrics.window import Row as WindowRow
from bailiwick.storage.database import Database
from bailiwick.storage.schema import Json, UtcDateTime, metadata

_FRESH = text("NOT compacted")

metric_rollup = Table(
    "metric_rollup",
    metadata,
    Column("writer", String(40), primary_key=True),
    Column("part", BigInteger, primary_key=True, autoincrement=False),
    Column("domain", String(64), nullable=False),
    Column("version", String(200), nullable=False),
    Column("arm", String(200), nullable=False),
    Column("metric", String(200), nullable=False),
    Column("minute", UtcDateTime, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("total", Float(53), nullable=False),
    Column("squares", Float(53), nullable=False),
    Column("minimum", Float(53), nullable=False),
    Column("maximum", Float(53), nullable=False),
    Column("sketch", LargeBinary, nullable=False),
    Column("compacted", Boolean, nullable=False, server_default=false()),
    Index("ix_metric_rollup_series", "domain", "minute", "metric"),
    Index("ix_metric_rollup_fresh", "minute", sqlite_where=_FRESH, postgresql_where=_FRESH),
)

request_log = Table(
    "request_log",
    metadata,
    Column("request_id", String(100), primary_key=True),
    Column("domain", String(64), nullable=False),
    Column("version", String(200), nullable=False),
    Column("arm", String(200), nullable=False),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("unit", String(32), nullable=True),
    Column("outcomes", Json, nullable=True),
)

feedback = Table(
    "feedback",
    metadata,
    Column("request_id", String(100), primary_key=True),
    Column("metric", String(200), primary_key=True),
    Column("value", Float(53), nullable=True),
    Column("label", Text, nullable=True),
    Column("comment", Text, nullable=True),
    Column("domain", String(64), nullable=True),
    Column("version", String(200), nullable=True),
    Column("arm", String(200), nullable=False),
    Column("joined", Boolean, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("pending", Boolean, nullable=False, server_default=true()),
    Index("ix_feedback_domain", "domain", "at"),
    Index("ix_feedback_at", "at"),
    Index("ix_feedback_joined", "joined"),
    Index("ix_feedback_pending", "request_id", sqlite_where=text("pending"), postgresql_where=text("pending")),
)

_JOIN_CHUNK = 1000


def write_rows(database: Database, connection: Connection, writer: str, rows: Sequence[WindowRow]) -> None:
    """Write this process's rows, over their earlier state."""
    database.upsert(
        connection,
        metric_rollup,
        [
            {
                "writer": writer,
                "part": row.part,
                **asdict(row.key),
                **rollup_row(row.rollup),
                "compacted": False,
            }
            for row in sorted(rows, key=lambda each: each.part)
        ],
    )


def write_requests(database: Database, connection: Connection, requests: Sequence[ServedRequest], key: bytes) -> None:
    """Add requests to the log; an id that is known keeps what it said first.

    Args:
        database: of the connection.
        connection: of a write unit.
        requests: any number.
        key: of the digests of units.
    """
    unique = {
        request.request_id: {
            "request_id": request.request_id,
            "domain": request.domain,
            "version": request.version,
            "arm": request.arm,
            "at": request.at,
            "unit": digest(request.unit, key) if request.unit else None,
            "outcomes": measured(request.values),
        }
        for request in reversed(requests)
    }
    database.upsert(connection, request_log, [unique[key] for key in sorted(unique)], update=[])


def points(
    connection: Connection,
    domain: str,
    since: datetime,
    until: datetime,
    *,
    metric: str | None = None,
    version: str | None = None,
    arm: str | None = None,
) -> Sequence[Point]:
    """The rollups per series and minute, merged over the processes, oldest first. ``until`` is excluded.

    Of shadows only if ``arm`` asks for them.
    """
    table = metric_rollup.c
    query = select(metric_rollup).where(table.domain == domain, table.minute >= since, table.minute < until)
    for column, wanted in ((table.metric, metric), (table.version, version), (table.arm, arm)):
        if wanted is not None:
            query = query.where(column == wanted)
    if arm is None:
        query = query.where(table.arm != SHADOW_ARM)
    found: dict[SeriesKey, list[Rollup]] = {}
    for row in connection.execute(query.order_by(table.minute, table.version, table.arm, table.metric)):
        found.setdefault(point_key(row), []).append(rollup_of(row))
    return [Point(key, Rollup.merged(rollups)) for key, rollups in found.items()]


def logged_request(connection: Connection, request_id: str) -> ServedRequest | None:
    """A request of the log, without its numbers."""
    row = connection.execute(select(request_log).where(request_log.c.request_id == request_id)).first()
    return None if row is None else ServedRequest(row.at, row.request_id, row.domain, row.version, {}, row.arm)


def write_feedback(database: Database, connection: Connection, given: Feedback) -> None:
    """Write feedback over an earlier one on the same request and metric."""
    database.upsert(connection, feedback, [{**asdict(given), "pending": True}])


def join_feedback(connection: Connection) -> int:
    """Join feedback that came before its request was in the log. Returns how many were joined."""
    waiting = connection.execute(
        select(feedback.c.request_id, request_log.c.domain, request_log.c.version, request_log.c.arm)
        .join(request_log, request_log.c.request_id == feedback.c.request_id)
        .where(feedback.c.joined.is_(False))
        .distinct()
        .order_by(feedback.c.request_id)  # every process locks the rows in this order, so none waits in a circle
        .limit(_JOIN_CHUNK)
    ).all()
    for row in waiting:
        connection.execute(
            update(feedback)
            .where(feedback.c.request_id == row.request_id)
            .values(domain=row.domain, version=row.version, arm=row.arm, joined=True)
        )
    return len(waiting)


def feedback_of(connection: Connection, domain: str, limit: int) -> Sequence[Feedback]:
    """Feedback on a domain, newest first."""
    query = select(feedback).where(feedback.c.domain == domain).order_by(feedback.c.at.desc()).limit(limit)
    known = Feedback.__dataclass_fields__
    return [Feedback(**{name: row[name] for name in known}) for row in connection.execute(query).mappings()]


def feedback_summaries(
    connection: Connection, domain: str, since: datetime, until: datetime
) -> Sequence[FeedbackSummary]:
    """Count and moments of the values by version, arm and metric."""
    table = feedback.c
    query = (
        select(
            table.version,
            table.arm,
            table.metric,
            func.count(table.value).label("count"),
            func.coalesce(func.sum(table.value), 0.0).label("total"),
            func.coalesce(func.sum(table.value * table.value), 0.0).label("squares"),
        )
        .where(table.domain == domain, table.at >= since, table.at < until)
        .group_by(table.version, table.arm, table.metric)
        .order_by(table.version, table.arm, table.metric)
    )
    return [FeedbackSummary(**row) for row in connection.execute(query).mappings()]


def feedback_points(
    connection: Connection,
    domain: str,
    metric: str,
    since: datetime,
    until: datetime,
    *,
    floor: Callable[[datetime], datetime] | None = None,
    version: str | None = None,
    arm: str | None = None,
) -> Sequence[Point]:
    """What was said of answers, by when it was said, as rollups; of what no version is known for, nothing.

    Args:
        connection: to read.
        domain: of the answers.
        metric: that was judged.
        since: from then on.
        until: excluded.
        floor: to the first instant of a point; None: one point per version and arm, which costs no more for many
            opinions than the database needs to count them.
        version: only of this one.
        arm: only of this one.
    """
    table = feedback.c
    within = [table.domain == domain, table.metric == metric, table.at >= since, table.at < until]
    within += [table.value.is_not(None), table.version.is_not(None)]
    within += [
        column == wanted for column, wanted in ((table.version, version), (table.arm, arm)) if wanted is not None
    ]
    found: dict[SeriesKey, list[tuple[float, int]]] = {}
    if floor is None:
        grouped = select(table.version, table.arm, table.value, func.count().label("times")).where(*within)
        for row in connection.execute(grouped.group_by(table.version, table.arm, table.value)):
            found.setdefault(SeriesKey(domain, row.version, row.arm, metric, since), []).append((row.value, row.times))
    else:
        each = select(table.version, table.arm, table.value, table.at).where(*within).order_by(table.at)
        for row in connection.execute(each):
            found.setdefault(SeriesKey(domain, row.version, row.arm, metric, floor(row.at)), []).append((row.value, 1))
    return [
        Point(key, Rollup.of(np.repeat([value for value, _ in said], [times for _, times in said])))
        for key, said in found.items()
    ]


def mark(connection: Connection, domain: str, since: datetime) -> Mark:
    """How much was observed in the minutes from an instant on."""
    rollups, given = metric_rollup.c, feedback.c
    observed = select(func.coalesce(func.sum(rollups.count), 0)).where(
        rollups.domain == domain, rollups.minute >= since
    )
    judged = select(func.count(), func.max(given.at)).where(given.domain == domain, given.at >= since)
    opinions, latest = connection.execute(judged).one()
    return Mark(int(connection.execute(observed).scalar_one()), int(opinions), latest)


def purge_requests(connection: Connection, before: datetime) -> int:
    """Forget requests older than an instant; feedback that was joined keeps what it learned."""
    return connection.execute(delete(request_log).where(request_log.c.at < before)).rowcount


def rollup_row(rollup: Rollup) -> dict[str, Any]:
    """The columns of a rollup."""
    return {
        "count": rollup.count,
        "total": rollup.total,
        "squares": rollup.squares,
        "minimum": rollup.minimum,
        "maximum": rollup.maximum,
        "sketch": rollup.sketch.to_bytes(),
    }


def point_key(row: Row[Any]) -> SeriesKey:
    """What a row of minutes is about."""
    return SeriesKey(row.domain, row.version, row.arm, row.metric, row.minute)


def rollup_of(row: Row[Any]) -> Rollup:
    """The rollup in a row, read back."""
    # "count" is a method of every row
    values = row._mapping
    return Rollup(
        count=values["count"],
        total=values["total"],
        squares=values["squares"],
        minimum=values["minimum"],
        maximum=values["maximum"],
        sketch=Sketch.from_bytes(values["sketch"]),
    )
