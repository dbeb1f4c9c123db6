"""Accounts and the entries of their history, in the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from bailiwick.privacy.accounts import Account, AccountKey, Balance, Entry, EntryKind
from bailiwick.privacy.canonical import canonical
from bailiwick.privacy.costs import Cost, Currency
from bailiwick.privacy.store.tables import is_key, key_values, privacy_account, privacy_entry
from bailiwick.privacy.terms import Adjacency, Lifetime, PrivacyUnit


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account with its balance, the hash of its last entry, and when its present period began."""

    account: Account
    balance: Balance
    head: str
    period_started_at: datetime


def add_account(connection: Connection, account: Account, cap: int, cap_delta: int) -> None:
    """Insert an account that has spent nothing.

    Raises:
        sqlalchemy.exc.IntegrityError: it exists.
    """
    connection.execute(
        insert(privacy_account).values(
            **key_values(account.key),
            unit_column=account.unit.column,
            adjacency=account.adjacency.value,
            currency=account.currency.value,
            cap=cap,
            cap_delta=cap_delta,
            reset_days=account.lifetime.reset_days,
            created_at=account.created_at,
            period_started_at=account.created_at,
            spent=0,
            held=0,
            spent_delta=0,
            held_delta=0,
            entries=0,
            head="",
        )
    )


def accounts(
    connection: Connection, keys: Sequence[AccountKey] | None = None, *, lock: bool = False
) -> list[AccountRow]:
    """Accounts in the order of their keys: those named that exist, or all.

    Args:
        connection: of any unit; of a write unit to lock.
        keys: which ones; None means all.
        lock: nobody else changes them until the unit ends; taken in key order, so two units never wait in a circle.
    """
    table = privacy_account
    query = select(table).order_by(table.c.namespace, table.c.lineage, table.c.domain)
    if keys is not None:
        query = query.where(or_(*(is_key(table, key) for key in keys)))
    if lock:
        query = query.with_for_update()
    return [_account_row(row) for row in connection.execute(query)]


def post(connection: Connection, row: AccountRow, entry: Entry, *, period_started_at: datetime | None = None) -> bool:
    """Add an entry and move the balance by it, in one conditional update.

    Returns:
        False, with nothing changed, where the balance would leave its cap or the account has moved on.
    """
    table = privacy_account
    moved = connection.execute(
        update(table)
        .where(
            is_key(table, entry.key),
            table.c.entries == entry.number - 1,
            table.c.spent + table.c.held + (entry.spent + entry.held) <= table.c.cap,
            table.c.spent_delta + table.c.held_delta + (entry.spent_delta + entry.held_delta) <= table.c.cap_delta,
        )
        .values(
            spent=table.c.spent + entry.spent,
            held=table.c.held + entry.held,
            spent_delta=table.c.spent_delta + entry.spent_delta,
            held_delta=table.c.held_delta + entry.held_delta,
            entries=entry.number,
            head=entry.hash,
            period_started_at=period_started_at or row.period_started_at,
        )
    )
    if moved.rowcount != 1:
        return False
    connection.execute(
        insert(privacy_entry).values(
            **key_values(entry.key),
            number=entry.number,
            at=entry.at,
            kind=entry.kind.value,
            charge=entry.charge,
            spent=entry.spent,
            held=entry.held,
            spent_delta=entry.spent_delta,
            held_delta=entry.held_delta,
            actor=entry.actor,
            document=entry.document,
            previous=entry.previous,
            hash=entry.hash,
        )
    )
    return True


def entries(connection: Connection, key: AccountKey, *, newest: int | None = None) -> tuple[list[Entry], list[str]]:
    """Entries of an account in order, with their stored hashes; all, or the newest few."""
    query = (
        select(privacy_entry).where(is_key(privacy_entry, key)).order_by(privacy_entry.c.number.desc()).limit(newest)
    )
    rows = list(connection.execute(query))[::-1]
    return [_entry(row) for row in rows], [row.hash for row in rows]


def was_charged(connection: Connection, key: AccountKey) -> bool:
    """Whether a charge of the account ever started, or is held now. One that was refunded touched nothing."""
    started = select(privacy_entry.c.sequence).where(
        is_key(privacy_entry, key), privacy_entry.c.kind == EntryKind.START.value
    )
    held = select(privacy_account.c.lineage).where(
        is_key(privacy_account, key), or_(privacy_account.c.held > 0, privacy_account.c.held_delta > 0)
    )
    return any(connection.execute(query.limit(1)).first() is not None for query in (started, held))


def opening_document(account: Account, cap: int, cap_delta: int) -> str:
    """What the first entry of an account says of it: everything that must never change."""
    return canonical(
        {
            "unit": account.unit,
            "adjacency": account.adjacency,
            "currency": account.currency,
            "cap": cap,
            "cap_delta": cap_delta,
            "reset_days": account.lifetime.reset_days,
        }
    )


def _account_row(row: Row[Any]) -> AccountRow:
    key = AccountKey(row.namespace, row.lineage, row.domain)
    currency = Currency(row.currency)
    cap = Cost(0, row.cap_delta, row.cap) if currency is Currency.ZCDP else Cost(row.cap, row.cap_delta)
    account = Account(
        key=key,
        unit=PrivacyUnit(row.unit_column, row.namespace),
        adjacency=Adjacency(row.adjacency),
        currency=currency,
        cap=cap,
        lifetime=Lifetime(row.reset_days),
        created_at=row.created_at,
    )
    balance = Balance(
        key=key,
        currency=currency,
        cap=row.cap,
        spent=row.spent,
        held=row.held,
        cap_delta=row.cap_delta,
        spent_delta=row.spent_delta,
        held_delta=row.held_delta,
        entries=row.entries,
    )
    return AccountRow(account, balance, row.head, row.period_started_at)


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        key=AccountKey(row.namespace, row.lineage, row.domain),
        number=row.number,
        at=row.at,
        kind=EntryKind(row.kind),
        charge=row.charge,
        spent=row.spent,
        held=row.held,
        spent_delta=row.spent_delta,
        held_delta=row.held_delta,
        actor=row.actor,
        document=row.document,
        previous=row.previous,
    )
