"""Creating accounts: everything in one is fixed when it is made, and it owns its data under any other name."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy.exc import IntegrityError

from bailiwick.clock import Clock
from bailiwick.errors import InvalidInput
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.privacy.accounts import Account, AccountKey, EntryKind
from bailiwick.privacy.books import Books
from bailiwick.privacy.charging import cap_of
from bailiwick.privacy.identity import Identity
from bailiwick.privacy.posting import Posting, locked
from bailiwick.privacy.refusals import check_agreement, exists
from bailiwick.privacy.store import account_rows
from bailiwick.storage.database import Database


class Budgets(Books):
    """Books in which accounts can be opened."""

    def __init__(self, database: Database, audit: AuditTrail, clock: Clock) -> None:
        super().__init__(database)
        self._posting = Posting(clock)
        self._identity = Identity(database, audit, clock)
        self._audit = audit
        self._clock = clock

    def open(self, account: Account, actor: Actor, *, contents: Iterable[str] = ()) -> Account:
        """Create an account. Nothing in it can be changed later.

        Its lineage belongs to its namespace from then on, and the contents to its lineage, see `Identity`.

        Args:
            account: ``created_at`` is replaced by now. A domain's account must agree with the global one in unit,
                adjacency, currency and lifetime.
            actor: who asks.
            contents: hashes of what the data set's versions hold, as far as there are any yet.

        Raises:
            Conflict: it exists, or another account has the lineage or a content.
            NotFound: a domain's account whose global account does not exist.
            InvalidInput: the cap is in another currency, or the account disagrees with its global one.
        """
        account = replace(account, created_at=self._clock.now())
        cap = cap_of(account.cap, account.currency)
        if account.unit.namespace != account.key.namespace:
            raise InvalidInput(
                f"the unit's namespace is {account.unit.namespace!r}, the account's {account.key.namespace!r}",
                what="unit.namespace",
            )
        with self._database.write() as connection:
            if account.key.domain:
                check_agreement(account, locked(connection, [account.key.whole])[0].account)
            if account_rows.accounts(connection, [account.key]):
                raise exists(account.key)
            self._identity.claim(connection, account.key, contents, actor)
            try:
                account_rows.add_account(connection, account, cap.main, cap.delta)
            except IntegrityError as error:
                raise exists(account.key) from error
            row = locked(connection, [account.key])[0]
            document = account_rows.opening_document(account, cap.main, cap.delta)
            self._posting.post(connection, row, EntryKind.OPEN, None, actor, document=document)
            self._audit.record(
                connection, actor, "privacy_account.create", _subject(account.key), after=json.loads(document)
            )
        return account

    def claim_free(self, key: AccountKey, contents: Iterable[str], actor: Actor) -> None:
        """Bind those of the contents to an account's lineage that no other account has."""
        with self._database.write() as connection:
            self._identity.claim_free(connection, key, contents, actor)


def _subject(key: AccountKey) -> str:
    return f"privacy_account:{key}"[:300]
