"""The tables of endpoints and of deliveries to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)

from bailiwick.governance.notifications.model import Delivery, DeliveryStatus, Endpoint, Format
from bailiwick.storage.schema import Json, UtcDateTime, metadata

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("url", Text, nullable=False),
    Column("patterns", Json, nullable=False),
    Column("format", String(20), nullable=False),
    Column("secret_variable", String(100), nullable=True),
    Column("secret", String(200), nullable=True),
    Column("cursor", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(200), nullable=False),
)

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("id", String(120), primary_key=True),
    Column("endpoint", String(64), nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("event", String(100), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("status", String(20), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("status_code", Integer, nullable=True),
    Column("problem", Text, nullable=True),
    Column("changed_at", UtcDateTime, nullable=True),
    Index("ix_webhook_delivery_due", "endpoint", "status", "next_at"),
    Index("uq_webhook_delivery_position", "endpoint", "position", unique=True),
)

_WAITING = webhook_delivery.c.status == DeliveryStatus.WAITING.value


def endpoints(connection: Connection) -> Sequence[Endpoint]:
    """Every endpoint, by name."""
    return [_endpoint(row) for row in connection.execute(select(webhook_endpoint).order_by(webhook_endpoint.c.name))]


def endpoint(connection: Connection, name: str, *, lock: bool = False) -> Endpoint | None:
    """One endpoint; locked, nobody else moves its cursor until the unit ends."""
    query = select(webhook_endpoint).where(webhook_endpoint.c.name == name)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _endpoint(row)


def add_endpoint(connection: Connection, added: Endpoint) -> None:
    """Add an endpoint.

    Raises:
        sqlalchemy.exc.IntegrityError: the name is taken.
    """
    connection.execute(
        insert(webhook_endpoint).values(
            name=added.name,
            url=added.url,
            patterns=list(added.patterns),
            format=added.format.value,
            secret_variable=added.secret_variable,
            secret=added.secret,
            cursor=added.cursor,
            created_at=added.created_at,
            created_by=added.created_by,
        )
    )


def remove_endpoint(connection: Connection, name: str) -> None:
    """Remove an endpoint with its deliveries."""
    connection.execute(delete(webhook_delivery).where(webhook_delivery.c.endpoint == name))
    connection.execute(delete(webhook_endpoint).where(webhook_endpoint.c.name == name))


def move_cursor(connection: Connection, name: str, cursor: int) -> None:
    """Everything before this place was looked at."""
    connection.execute(update(webhook_endpoint).where(webhook_endpoint.c.name == name).values(cursor=cursor))


def add_deliveries(connection: Connection, deliveries: Iterable[Delivery]) -> None:
    """Put deliveries into the outbox."""
    rows = [
        {
            "id": each.id,
            "endpoint": each.endpoint,
            "position": each.position,
            "event": each.event,
            "subject": each.subject,
            "status": each.status.value,
            "attempts": each.attempts,
            "next_at": each.next_at,
        }
        for each in deliveries
    ]
    if rows:
        connection.execute(insert(webhook_delivery), rows)


def endpoints_with_due(connection: Connection, now: datetime) -> Sequence[str]:
    """Names of endpoints that have something to be sent."""
    query = select(webhook_delivery.c.endpoint).where(_WAITING, webhook_delivery.c.next_at <= now).distinct()
    return list(connection.scalars(query))


def due(connection: Connection, name: str, now: datetime, limit: int) -> Sequence[Delivery]:
    """What is to be sent to an endpoint now, in the order of the events."""
    table = webhook_delivery.c
    query = select(webhook_delivery).where(table.endpoint == name, _WAITING, table.next_at <= now)
    return [_delivery(row) for row in connection.execute(query.order_by(table.position).limit(limit))]


def settle(connection: Connection, settled: Delivery) -> bool:
    """Keep what came of an attempt; False when another process has settled that delivery since."""
    result = connection.execute(
        update(webhook_delivery)
        .where(webhook_delivery.c.id == settled.id, _WAITING, webhook_delivery.c.attempts == settled.attempts - 1)
        .values(
            status=settled.status.value,
            attempts=settled.attempts,
            next_at=settled.next_at,
            status_code=settled.status_code,
            problem=settled.problem,
            changed_at=settled.changed_at,
        )
    )
    return result.rowcount == 1


def listed(connection: Connection, name: str, status: DeliveryStatus | None, limit: int) -> Sequence[Delivery]:
    """Deliveries to an endpoint, newest event first."""
    query = select(webhook_delivery).where(webhook_delivery.c.endpoint == name)
    if status is not None:
        query = query.where(webhook_delivery.c.status == status.value)
    return [
        _delivery(row) for row in connection.execute(query.order_by(webhook_delivery.c.position.desc()).limit(limit))
    ]


def counts(connection: Connection) -> Mapping[tuple[str, str], int]:
    """How many deliveries there are by endpoint and status."""
    table = webhook_delivery.c
    query = select(table.endpoint, table.status, func.count()).group_by(table.endpoint, table.status)
    return {(row[0], row[1]): int(row[2]) for row in connection.execute(query)}


def oldest_waiting(connection: Connection) -> Mapping[str, int]:
    """The first place in the audit tree that an endpoint has not been told of, for those that have one."""
    table = webhook_delivery.c
    query = select(table.endpoint, func.min(table.position)).where(_WAITING).group_by(table.endpoint)
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def revive(connection: Connection, name: str, delivery_id: str | None, now: datetime) -> int:
    """Let dead deliveries of an endpoint wait again, from the first attempt; returns how many."""
    table = webhook_delivery.c
    change = update(webhook_delivery).where(table.endpoint == name, table.status == DeliveryStatus.DEAD.value)
    if delivery_id is not None:
        change = change.where(table.id == delivery_id)
    values = {"status": DeliveryStatus.WAITING.value, "attempts": 0, "next_at": now}
    return int(connection.execute(change.values(values)).rowcount)


def forget(connection: Connection, before: datetime) -> int:
    """Remove what was settled before an instant."""
    change = delete(webhook_delivery).where(~_WAITING, webhook_delivery.c.changed_at < before)
    return int(connection.execute(change).rowcount)


def _endpoint(row: Row[Any]) -> Endpoint:
    values = dict(row._mapping)
    return Endpoint(**{**values, "patterns": tuple(values["patterns"]), "format": Format(values["format"])})


def _delivery(row: Row[Any]) -> Delivery:
    values = dict(row._mapping)
    return Delivery(**{**values, "status": DeliveryStatus(values["status"])})
