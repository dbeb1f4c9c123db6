"""Whose budget some data belongs to: one account for the same people and the same data, under whatever name.

A lineage (all versions of a data set) belongs to the namespace that first opened a budget for it, and a content to the
lineage that first had it. Both bindings are for good: a second name would else be a second budget for the same people.
Contents are told apart by a hash of everything that they hold, so data that overlap in part are different contents.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.refusals import content_taken, lineage_taken
from bailiwick.privacy.store import identity_rows
from bailiwick.storage.database import Database


class Identity:
    """Binds lineages to namespaces and contents to lineages, inside the units of the ledger."""

    def __init__(self, database: Database, audit: AuditTrail, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    def claim(self, connection: Connection, key: AccountKey, contents: Iterable[str], actor: Actor) -> None:
        """Bind the lineage of an account to its namespace, and contents to the lineage.

        To be called before the unit writes to the audit trail, whose lock would else be waited for in a circle.

        Raises:
            Conflict: another account has the lineage or a content; it is named.
        """
        namespace = identity_rows.namespace_of(connection, key.lineage) or identity_rows.bind_lineage(
            self._database, connection, key.lineage, key.namespace, self._clock.now()
        )
        if namespace != key.namespace:
            raise lineage_taken(key, AccountKey(namespace, key.lineage))
        for lineage in self._bind(connection, key, contents, actor).values():
            raise content_taken(key, AccountKey(identity_rows.namespace_of(connection, lineage) or namespace, lineage))

    def claim_free(self, connection: Connection, key: AccountKey, contents: Iterable[str], actor: Actor) -> None:
        """Bind those of the contents that no other account has. See `claim`."""
        self._bind(connection, key, contents, actor)

    def _bind(
        self, connection: Connection, key: AccountKey, contents: Iterable[str], actor: Actor
    ) -> Mapping[str, str]:
        """The contents that another lineage has, with that lineage; the others are the account's from now on."""
        now, made, taken = self._clock.now(), [], {}
        # In one order, so that two units that claim the same contents cannot wait for each other in a circle.
        for content in sorted(set(contents)):
            lineage = identity_rows.bind_content(self._database, connection, content, key.lineage, now)
            if lineage is None:
                made.append(content)
            elif lineage != key.lineage:
                taken[content] = lineage
        if made:
            subject = f"privacy_account:{key.whole}"[:300]
            self._audit.record(connection, actor, "privacy_content.bind", subject, after={"contents": made})
        return taken
