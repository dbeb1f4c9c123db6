"""The tables of the privacy ledger. Entries are only added; charges and balances move by conditional updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
    insert,
    or_,
    select,
    update,
)

from bailiwick.privacy.model import (
    Account,
    AccountKey,
    Adjacency,
    Balance,
    Charge,
    ChargeState,
    Cost,
    Currency,
    Entry,
    EntryKind,
    Lifetime,
    PrivacyUnit,
    canonical,
)
from bailiwick.storage.schema import BigId, Json, UtcDateTime, metadata


def _key_columns(*, primary: bool) -> list[Column[Any]]:
    return [
        Column(name, String(200), primary_key=primary, nullable=False) for name in ("namespace", "lineage", "domain")
    ]


privacy_account = Table(
    "privacy_account",
    metadata,
    *_key_columns(primary=True),
    Column("unit_column", String(200), nullable=False),
    Column("adjacency", String(20), nullable=False),
    Column("currency", String(20), nullable=False),
    Column("cap", BigInteger, nullable=False),
    Column("cap_delta", BigInteger, nullable=False),
    Column("reset_days", Integer, nullable=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("period_started_at", UtcDateTime, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("spent_delta", BigInteger, nullable=False),
    Column("held_delta", BigInteger, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("head", String(64), nullable=False),
    CheckConstraint("spent >= 0 AND held >= 0 AND spent + held <= cap", name="within_cap"),
    CheckConstraint(
        "spent_delta >= 0 AND held_delta >= 0 AND spent_delta + held_delta <= cap_delta", name="within_cap_delta"
    ),
)

privacy_entry = Table(
    "privacy_entry",
    metadata,
    Column("sequence", BigId, primary_key=True, autoincrement=True),
    *_key_columns(primary=False),
    Column("number", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("charge", String(64), nullable=True),
    Column("spent", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("spent_delta", BigInteger, nullable=False),
    Column("held_delta", BigInteger, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("document", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("namespace", "lineage", "domain", "number"),
)

privacy_charge = Table(
    "privacy_charge",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("idempotency_key", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    Column("accounts", Json, nullable=False),
    Column("epsilon_nano", BigInteger, nullable=False),
    Column("delta_atto", BigInteger, nullable=False),
    Column("rho_nano", BigInteger, nullable=False),
    Column("plan_hash", String(64), nullable=False),
    Column("plan", Text, nullable=False),
    Column("held_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime, nullable=True),
    Column("ended_at", UtcDateTime, nullable=True),
    Index("ix_privacy_charge_state", "state", "expires_at"),
)
# A refunded charge gives its key back: the request that never touched data may be made again.
Index(
    "uq_privacy_charge_idempotency_key",
    privacy_charge.c.idempotency_key,
    unique=True,
    sqlite_where=privacy_charge.c.state != "refunded",
    postgresql_where=privacy_charge.c.state != "refunded",
)

privacy_release = Table(
    "privacy_release",
    metadata,
    Column("charge", String(64), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("card", Text, nullable=False),
    Column("output", Text, nullable=False),
    Column("output_hash", String(64), nullable=False),
    Index("ix_privacy_release_at", "at"),
)

privacy_terms = Table(
    "privacy_terms",
    metadata,
    *_key_columns(primary=True),
    Column("document", Json, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account with its balance, the hash of its last entry, and when its present period began."""

    account: Account
    balance: Balance
    head: str
    period_started_at: datetime


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """The card and the output of a release as the canonical JSON that was hashed."""

    at: datetime
    card: str
    output: str
    output_hash: str


def add_account(connection: Connection, account: Account, cap: int, cap_delta: int) -> None:
    """Insert an account that has spent nothing.

    Raises:
        sqlalchemy.exc.IntegrityError: it exists.
    """
    connection.execute(
        insert(privacy_account).values(
            **_key_values(account.key),
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
        query = query.where(or_(*(_is(table, key) for key in keys)))
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
            _is(table, entry.key),
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
            **_key_values(entry.key),
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
    query = select(privacy_entry).where(_is(privacy_entry, key)).order_by(privacy_entry.c.number.desc()).limit(newest)
    rows = list(connection.execute(query))[::-1]
    return [_entry(row) for row in rows], [row.hash for row in rows]


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


def add_release(connection: Connection, identifier: str, stored: StoredRelease) -> None:
    """Keep what a charge released.

    Raises:
        sqlalchemy.exc.IntegrityError: it already released something.
    """
    connection.execute(
        insert(privacy_release).values(
            charge=identifier, at=stored.at, card=stored.card, output=stored.output, output_hash=stored.output_hash
        )
    )


def release(connection: Connection, identifier: str) -> StoredRelease | None:
    """What a charge released, if it got so far."""
    row = connection.execute(select(privacy_release).where(privacy_release.c.charge == identifier)).one_or_none()
    return None if row is None else StoredRelease(row.at, row.card, row.output, row.output_hash)


def releases(connection: Connection, limit: int) -> list[tuple[str, StoredRelease]]:
    """Releases by charge, newest first."""
    query = select(privacy_release).order_by(privacy_release.c.at.desc(), privacy_release.c.charge).limit(limit)
    return [
        (row.charge, StoredRelease(row.at, row.card, row.output, row.output_hash)) for row in connection.execute(query)
    ]


def terms(connection: Connection, key: AccountKey) -> Mapping[str, Any] | None:
    """The default terms that were set for an account."""
    found: Mapping[str, Any] | None = connection.execute(
        select(privacy_terms.c.document).where(_is(privacy_terms, key))
    ).scalar_one_or_none()
    return found


def terms_row(key: AccountKey, document: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """A row of `privacy_terms`, for the upsert."""
    return {**_key_values(key), "document": document, "at": at}


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


def _key_values(key: AccountKey) -> dict[str, str]:
    return {"namespace": key.namespace, "lineage": key.lineage, "domain": key.domain}


def _is(table: Table, key: AccountKey) -> ColumnElement[bool]:
    return and_(table.c.namespace == key.namespace, table.c.lineage == key.lineage, table.c.domain == key.domain)


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
