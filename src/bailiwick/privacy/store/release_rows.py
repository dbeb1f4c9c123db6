"""Stored releases, and the settings that an account's releases use, in the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.store.tables import is_key, key_values, privacy_release, privacy_terms


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """The card and the output of a release as the canonical JSON that was hashed."""

    at: datetime
    card: str
    output: str
    output_hash: str


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
        select(privacy_terms.c.document).where(is_key(privacy_terms, key))
    ).scalar_one_or_none()
    return found


def terms_row(key: AccountKey, document: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """A row of `privacy_terms`, for the upsert."""
    return {**key_values(key), "document": document, "at": at}
