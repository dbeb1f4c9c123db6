"""The tables of the privacy ledger. Entries are only added; charges and balances move by conditional updates."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    and_,
)

from bailiwick.privacy.accounts import AccountKey
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

privacy_lineage = Table(
    "privacy_lineage",
    metadata,
    Column("lineage", String(200), primary_key=True),
    Column("namespace", String(200), nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

privacy_content = Table(
    "privacy_content",
    metadata,
    Column("content", String(64), primary_key=True),
    Column("lineage", String(200), nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

privacy_terms = Table(
    "privacy_terms",
    metadata,
    *_key_columns(primary=True),
    Column("document", Json, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)


def key_values(key: AccountKey) -> dict[str, str]:
    """The columns that name an account, with their values."""
    return {"namespace": key.namespace, "lineage": key.lineage, "domain": key.domain}


def is_key(table: Table, key: AccountKey) -> ColumnElement[bool]:
    """The rows of one account."""
    return and_(table.c.namespace == key.namespace, table.c.lineage == key.lineage, table.c.domain == key.domain)
