"""Rollups of hours and days, made from those of minutes by one process at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    LargeBinary,
    Row,
    String,
    Table,
    bindparam,
    delete,
    select,
    update,
)

from bailiwick.metrics.experiment_store.tables import insert_or, lock, metric_state
from bailiwick.metrics.model import Point, SeriesKey
from bailiwick.metrics.observations import SHADOW_ARM
from bailiwick.metrics.resolution import Kept, Resolution, Span
from bailiwick.metrics.rollup import Rollup
from bailiwick.metrics.store import metric_rollup, point_key, rollup_of, rollup_row
from bailiwick.storage.schema import UtcDateTime, metadata

metric_history = Table(
    "metric_history",
    metadata,
    Column("resolution", String(10), primary_key=True),
    Column("domain", String(64), primary_key=True),
    Column("at", UtcDateTime, primary_key=True),
    Column("metric", String(200), primary_key=True),
    Column("version", String(200), primary_key=True),
    Column("arm", String(200), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("total", Float(53), nullable=False),
    Column("squares", Float(53), nullable=False),
    Column("minimum", Float(53), nullable=False),
    Column("maximum", Float(53), nullable=False),
    Column("sketch", LargeBinary, nullable=False),
)

_COMPACTED = "compacted"
_PURGED = "purged"
_MEASURES = ("count", "total", "squares", "minimum", "maximum", "sketch")


def kept(connection: Connection, hours_since: datetime) -> Kept:
    """What is compacted and what was forgotten. ``hours_since``: hours before it are forgotten."""
    rows = connection.execute(select(metric_state.c.name, metric_state.c.until)).all()
    until = {row.name: row.until for row in rows}
    return Kept(until.get(_COMPACTED), until.get(_PURGED), hours_since)


def compact(connection: Connection, until: datetime, most: int) -> int:
    """Make the hours that have new minutes, and their days, afresh from all their minutes.

    An hour is a function of its minutes, which stay: doing it twice, or again after a crash or for late minutes, gives
    the same. So nothing can count twice.

    Args:
        connection: of a write unit.
        until: minutes from here on are left for later; the beginning of an hour.
        most: hours that are made at most, the oldest first.

    Returns:
        How many hours were made, over all domains. Fewer than ``most``: there is nothing more.
    """
    lock(connection, _COMPACTED)
    hours = _fresh_hours(connection, until, most)
    for domain, hour in hours:
        _make_hour(connection, domain, hour)
    for domain, day in sorted({(domain, Resolution.DAY.floor(hour)) for domain, hour in hours}):
        _make_day(connection, domain, day)
    if len(hours) < most:
        connection.execute(update(metric_state).where(metric_state.c.name == _COMPACTED).values(until=until))
    return len(hours)


def history(
    connection: Connection,
    domain: str,
    span: Span,
    *,
    metric: str | None = None,
    version: str | None = None,
    arm: str | None = None,
) -> Sequence[Point]:
    """Rollups of hours or days of a domain, oldest first; the span says which. Shadows only if ``arm`` asks."""
    table = metric_history.c
    query = select(metric_history).where(
        table.resolution == span.resolution.value, table.domain == domain, table.at >= span.since, table.at < span.until
    )
    for column, wanted in ((table.metric, metric), (table.version, version), (table.arm, arm)):
        if wanted is not None:
            query = query.where(column == wanted)
    if arm is None:
        query = query.where(table.arm != SHADOW_ARM)
    found = connection.execute(query.order_by(table.at, table.version, table.arm, table.metric))
    return [Point(_key(row), rollup_of(row)) for row in found]


def purge(connection: Connection, minutes_since: datetime, hours_since: datetime) -> int:
    """Forget minutes before an hour, though none that is not compacted yet, and hours. Returns how many rows.

    From then on minutes that come for what is forgotten are not made into hours (they would take its place), but
    forgotten in turn; the recorder refuses observations that are so old.
    """
    lock(connection, _COMPACTED)
    purged_until = lock(connection, _PURGED).until
    table, hours = metric_rollup.c, metric_history.c
    waiting = select(table.minute).where(table.compacted.is_(False)).order_by(table.minute).limit(1)
    if purged_until is not None:
        waiting = waiting.where(table.minute >= purged_until)
    oldest = connection.execute(waiting).scalar()
    limit = minutes_since if oldest is None else min(minutes_since, Resolution.HOUR.floor(oldest))
    gone = connection.execute(delete(metric_rollup).where(table.minute < limit)).rowcount
    if purged_until is None or limit > purged_until:
        connection.execute(update(metric_state).where(metric_state.c.name == _PURGED).values(until=limit))
    old = hours.resolution == Resolution.HOUR.value, hours.at < hours_since
    return gone + connection.execute(delete(metric_history).where(*old)).rowcount


def _fresh_hours(connection: Connection, until: datetime, most: int) -> Sequence[tuple[str, datetime]]:
    table = metric_rollup.c
    query = (
        select(table.domain, table.minute)
        .where(table.compacted.is_(False), table.minute < until)
        .distinct()
        .order_by(table.minute, table.domain)
    )
    purged_until = connection.execute(select(metric_state.c.until).where(metric_state.c.name == _PURGED)).scalar()
    if purged_until is not None:
        query = query.where(table.minute >= purged_until)
    found: dict[tuple[str, datetime], None] = {}
    for domain, minute in connection.execute(query.limit(most * 60)):
        found.setdefault((domain, Resolution.HOUR.floor(minute)))
        if len(found) >= most:
            break
    return list(found)


def _make_hour(connection: Connection, domain: str, hour: datetime) -> None:
    table = metric_rollup.c
    within = table.domain == domain, table.minute >= hour, table.minute < hour + timedelta(hours=1)
    # locked in the order in which writers write them, so that a late minute waits and is then seen as new again
    rows = connection.execute(
        select(metric_rollup).where(*within).order_by(table.writer, table.part).with_for_update()
    ).all()
    made = _merged((replace(point_key(row), minute=hour), rollup_of(row)) for row in rows)
    _write(connection, Resolution.HOUR, made)
    connection.execute(
        update(metric_rollup)
        .where(table.writer == bindparam("by"), table.part == bindparam("number"))
        .values(compacted=True),
        [{"by": row.writer, "number": row.part} for row in rows if not row.compacted],
    )


def _make_day(connection: Connection, domain: str, day: datetime) -> None:
    hours = history(connection, domain, Span(Resolution.HOUR, day, day + timedelta(days=1)))
    _write(connection, Resolution.DAY, _merged((replace(each.key, minute=day), each.rollup) for each in hours))


def _merged(parts: Iterable[tuple[SeriesKey, Rollup]]) -> Mapping[SeriesKey, Rollup]:
    found: dict[SeriesKey, list[Rollup]] = {}
    for key, rollup in parts:
        found.setdefault(key, []).append(rollup)
    return {key: Rollup.merged(rollups) for key, rollups in found.items()}


def _write(connection: Connection, resolution: Resolution, made: Mapping[SeriesKey, Rollup]) -> None:
    rows = [
        {
            "resolution": resolution.value,
            "domain": key.domain,
            "at": key.minute,
            "metric": key.metric,
            "version": key.version,
            "arm": key.arm,
            **rollup_row(rollup),
        }
        for key, rollup in made.items()
    ]
    insert_or(connection, metric_history, rows, _MEASURES)


def _key(row: Row[Any]) -> SeriesKey:
    return SeriesKey(row.domain, row.version, row.arm, row.metric, row.at)
