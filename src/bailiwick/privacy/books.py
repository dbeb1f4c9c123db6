"""Reading the ledger: balances, histories, charges and what they released."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from bailiwick.errors import Conflict
from bailiwick.privacy.accounts import Account, AccountKey, Balance, Entry
from bailiwick.privacy.charging import add_up, period_begun
from bailiwick.privacy.posting import found
from bailiwick.privacy.refusals import unknown_charge
from bailiwick.privacy.releases import Charge, Release
from bailiwick.privacy.store import account_rows, charge_rows, identity_rows, release_rows
from bailiwick.storage.database import Database


class Books:
    """What the ledger of one database says. Safe for any number of threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def balance(self, key: AccountKey) -> Balance:
        """What an account has spent, holds and has left.

        Raises:
            NotFound: it does not exist.
        """
        with self._database.read() as connection:
            return found(account_rows.accounts(connection, [key]), [key])[0].balance

    def funds(self, keys: Sequence[AccountKey], now: datetime) -> list[Balance]:
        """The balances as a charge would find them now: after the reset that is due, if one is.

        Raises:
            NotFound: an account does not exist.
        """
        with self._database.read() as connection:
            rows = found(account_rows.accounts(connection, keys), keys)
        return [
            replace(row.balance, spent=0, spent_delta=0)
            if period_begun(row.account.lifetime, row.period_started_at, now)
            else row.balance
            for row in rows
        ]

    def account(self, key: AccountKey) -> Account:
        """What was fixed when an account was created.

        Raises:
            NotFound: it does not exist.
        """
        with self._database.read() as connection:
            return found(account_rows.accounts(connection, [key]), [key])[0].account

    def accounts_of(self, keys: Sequence[AccountKey]) -> Mapping[AccountKey, Account]:
        """What was fixed when several accounts were created.

        Raises:
            NotFound: one does not exist.
        """
        with self._database.read() as connection:
            rows = found(account_rows.accounts(connection, keys), keys)
        return {row.account.key: row.account for row in rows}

    def accounts(self) -> list[tuple[Account, Balance]]:
        """Every account with its balance, in the order of their keys."""
        with self._database.read() as connection:
            return [(row.account, row.balance) for row in account_rows.accounts(connection)]

    def entries(self, key: AccountKey, *, newest: int | None = None) -> Sequence[Entry]:
        """The history of an account, oldest first: all of it, or the newest few entries."""
        with self._database.read() as connection:
            return account_rows.entries(connection, key, newest=newest)[0]

    def recompute(self, key: AccountKey) -> Balance:
        """The balance as the entries alone give it, with every hash checked, compared with the one kept.

        Raises:
            NotFound: the account does not exist.
            Conflict: an entry was altered or removed, or the balance or the account's terms were changed without one.
        """
        with self._database.read() as connection:
            row = found(account_rows.accounts(connection, [key]), [key])[0]
            entries, hashes = account_rows.entries(connection, key)
        spent, held = add_up(key, entries, hashes)
        kept = row.balance
        computed = replace(
            kept,
            spent=spent.main,
            held=held.main,
            spent_delta=spent.delta,
            held_delta=held.delta,
            entries=len(entries),
        )
        document = account_rows.opening_document(row.account, kept.cap, kept.cap_delta)
        if computed != kept or not entries or entries[0].document != document or hashes[-1] != row.head:
            raise Conflict(
                f"the privacy budget {str(key)!r} does not follow from its entries",
                what="privacy_account",
                where=str(key),
                requested={"spent": kept.spent, "held": kept.held, "entries": kept.entries},
                allowed={"spent": computed.spent, "held": computed.held, "entries": computed.entries},
                remedy="release nothing from it; restore the database from a backup and compare",
            )
        return computed

    def charge(self, identifier: str) -> Charge:
        """One charge as it stands now.

        Raises:
            NotFound: there is none of that id.
        """
        with self._database.read() as connection:
            found = charge_rows.charge(connection, identifier)
        if found is None:
            raise unknown_charge(identifier)
        return found

    def released(self, charge: Charge) -> Release | None:
        """What a charge released, exactly as it was first given; None if it never got so far.

        Raises:
            NotFound: there is no charge of that id.
        """
        kept = self.charge(charge.id)
        with self._database.read() as connection:
            stored = release_rows.release(connection, kept.id)
        return None if stored is None else release_of(kept, stored, replayed=True)

    def was_charged(self, key: AccountKey) -> bool:
        """Whether data was ever paid for from the account, or is about to be."""
        with self._database.read() as connection:
            return account_rows.was_charged(connection, key)

    def unclaimed(self, contents: Collection[str]) -> set[str]:
        """Those of the contents that no account has yet."""
        with self._database.read() as connection:
            return identity_rows.unclaimed(connection, contents)

    def unfinished(self, *, started_before: datetime, expired_at: datetime) -> list[Charge]:
        """Charges that started before an instant, and held ones that had expired at another; the oldest first."""
        with self._database.read() as connection:
            return charge_rows.unfinished(connection, started_before=started_before, expired_at=expired_at)

    def releases(self, *, limit: int = 50) -> list[Release]:
        """Stored releases, newest first."""
        with self._database.read() as connection:
            found = release_rows.releases(connection, limit)
        return [release_of(self.charge(identifier), stored, replayed=True) for identifier, stored in found]


def release_of(charge: Charge, stored: release_rows.StoredRelease, *, replayed: bool) -> Release:
    """A stored release as its readers see it."""
    return Release(charge, json.loads(stored.card), json.loads(stored.output), replayed)
