"""Charges in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, or_, select, update

from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.costs import Cost
from bailiwick.privacy.releases import Charge, ChargeState
from bailiwick.privacy.store.tables import privacy_charge


def add_charge(connection: Connection, charge: Charge, plan: str) -> None:
    """Insert a charge.

    Raises:
        sqlalchemy.exc.IntegrityError: another one that was not refunded has the same idempotency key.
    """
    connection.execute(
        insert(privacy_charge).values(
            id=charge.id,
            idempotency_key=charge.idempotency_key,
            state=charge.state.value,
            accounts=[[key.namespace, key.lineage, key.domain] for key in charge.keys],
            epsilon_nano=charge.cost.epsilon_nano,
            delta_atto=charge.cost.delta_atto,
            rho_nano=charge.cost.rho_nano,
            plan_hash=charge.plan_hash,
            plan=plan,
            held_at=charge.held_at,
            expires_at=charge.expires_at,
        )
    )


def move_charge(connection: Connection, charge: str, before: ChargeState, after: ChargeState, at: datetime) -> bool:
    """Change the state of a charge, if it is what it is believed to be."""
    column = "started_at" if after is ChargeState.STARTED else "ended_at"
    moved = connection.execute(
        update(privacy_charge)
        .where(privacy_charge.c.id == charge, privacy_charge.c.state == before.value)
        .values({"state": after.value, column: at})
    )
    return moved.rowcount == 1


def charge(connection: Connection, identifier: str) -> Charge | None:
    """One charge."""
    row = connection.execute(select(privacy_charge).where(privacy_charge.c.id == identifier)).one_or_none()
    return None if row is None else _charge(row)


def charge_for(connection: Connection, idempotency_key: str) -> Charge | None:
    """The charge that an idempotency key stands for now."""
    query = select(privacy_charge).where(
        privacy_charge.c.idempotency_key == idempotency_key, privacy_charge.c.state != ChargeState.REFUNDED.value
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _charge(row)


def unfinished(connection: Connection, *, started_before: datetime, expired_at: datetime) -> list[Charge]:
    """Charges that started before an instant, and held ones that had expired at another; the oldest first."""
    table = privacy_charge
    query = select(table).where(
        or_(
            and_(table.c.state == ChargeState.STARTED.value, table.c.started_at <= started_before),
            and_(table.c.state == ChargeState.HELD.value, table.c.expires_at <= expired_at),
        )
    )
    return [_charge(row) for row in connection.execute(query.order_by(table.c.held_at, table.c.id))]


def _charge(row: Row[Any]) -> Charge:
    return Charge(
        id=row.id,
        idempotency_key=row.idempotency_key,
        keys=tuple(AccountKey(*parts) for parts in row.accounts),
        cost=Cost(row.epsilon_nano, row.delta_atto, row.rho_nano),
        state=ChargeState(row.state),
        plan_hash=row.plan_hash,
        held_at=row.held_at,
        expires_at=row.expires_at,
    )
