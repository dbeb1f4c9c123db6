"""Makes, changes, rotates and revokes keys; sets limits. Every change is one transaction with its audit entry."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.errors import Conflict, NotFound
from bailiwick.governance.access import store
from bailiwick.governance.access.checks import (
    changed_limits,
    check_domain,
    check_domains,
    check_expiry,
    check_grace,
    check_limits,
    check_name,
    check_words,
)
from bailiwick.governance.access.document import audited
from bailiwick.governance.access.model import NO_LIMITS, AccessState, ClientKey, IssuedKey, KeySecret, Limits
from bailiwick.governance.access.secret import ENTROPY_BYTES, digest_of, hint_of, secret_of
from bailiwick.governance.access.usage import KeyUsage
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.storage.database import Database
from bailiwick.storage.ids import new_id

MAX_KEYS = 10_000
DEFAULT_GRACE = timedelta(hours=24)


class AccessService:
    """Who may ask the gateway, and how much.

    Args:
        database: where keys are kept, their secrets only by digest.
        audit: where changes are recorded.
        clock: dates keys.
        entropy: gives that many random bytes.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._entropy = entropy
        self.usage = KeyUsage(database, clock)

    def create(
        self,
        name: str,
        *,
        actor: Actor,
        owner: str = "",
        team: str = "",
        domains: Iterable[str] = (),
        limits: Limits = NO_LIMITS,
        expires_at: datetime | None = None,
    ) -> IssuedKey:
        """Make a key. Its secret is in what is returned, and nowhere else.

        Raises:
            InvalidInput: something is malformed.
            Conflict: the name is or was another key's, or there are ten thousand keys.
        """
        now = self._clock.now()
        secret = secret_of(self._entropy(ENTROPY_BYTES))
        key = ClientKey(
            id=new_id("key", now),
            name=check_name(name),
            owner=check_words(owner, "owner"),
            team=check_words(team, "team"),
            domains=check_domains(domains),
            limits=check_limits(limits),
            hint=hint_of(secret),
            created_at=now,
            created_by=actor.name,
            expires_at=check_expiry(expires_at, now),
        )
        with self._database.write() as connection:
            store.begin_change(self._database, connection)
            if store.key(connection, name) is not None:
                raise Conflict(
                    f"there is or was a key {name!r}",
                    what="name",
                    requested=name,
                    remedy="choose another name, or give the present key a new secret with `bailiwick key rotate`",
                )
            if store.count(connection) >= MAX_KEYS:
                raise Conflict(f"there are {MAX_KEYS} keys already", what="name", allowed=MAX_KEYS)
            store.add_key(connection, key)
            store.add_secret(connection, KeySecret(key.id, digest_of(secret)), now)
            self._audit.record(connection, actor, "key.create", f"key:{key.id}", after=audited(key))
        return IssuedKey(key, secret)

    def list_keys(self) -> Sequence[ClientKey]:
        """Every key, revoked ones too, by name."""
        with self._database.read() as connection:
            return store.keys(connection, self.usage.last_used(connection))

    def get(self, named: str) -> ClientKey:
        """One key, by name or id.

        Raises:
            NotFound: there is none.
        """
        with self._database.read() as connection:
            found = _found(connection, named)
            return replace(found, last_used_at=self.usage.last_used(connection).get(found.id))

    def rotate(self, named: str, *, actor: Actor, grace: timedelta = DEFAULT_GRACE) -> IssuedKey:
        """Give a key a new secret; the old one stays valid for the grace time.

        Raises:
            NotFound: there is no such key.
            Conflict: it is revoked.
            InvalidInput: the grace time is out of bounds.
        """
        now, until = self._clock.now(), self._clock.now() + check_grace(grace)
        secret = secret_of(self._entropy(ENTROPY_BYTES))
        with self._database.write() as connection:
            store.begin_change(self._database, connection)
            before = _living(connection, named)
            after = replace(before, hint=hint_of(secret), rotated_at=now)
            store.end_secrets(connection, before.id, until, now)
            store.add_secret(connection, KeySecret(before.id, digest_of(secret)), now)
            store.change_key(connection, after)
            old = {**audited(before), "until": until.isoformat()}
            self._audit.record(connection, actor, "key.rotate", f"key:{before.id}", before=old, after=audited(after))
        return IssuedKey(after, secret)

    def revoke(self, named: str, *, actor: Actor) -> ClientKey:
        """Let a key in no more, with any of its secrets, for good.

        Raises:
            NotFound: there is no such key.
            Conflict: it is revoked already.
        """
        with self._database.write() as connection:
            store.begin_change(self._database, connection)
            before = _living(connection, named)
            after = replace(before, revoked_at=self._clock.now())
            store.change_key(connection, after)
            self._audit.record(
                connection, actor, "key.revoke", f"key:{before.id}", before=audited(before), after=audited(after)
            )
        return after

    def change(
        self,
        named: str,
        *,
        actor: Actor,
        limits: Mapping[str, int | None] | None = None,
        domains: Iterable[str] | None = None,
        owner: str | None = None,
        team: str | None = None,
        expires_at: datetime | None = None,
        never_expires: bool = False,
    ) -> ClientKey:
        """Change what a key may do. What is not given stays.

        Args:
            named: the key's name or id.
            actor: who changes it.
            limits: by name; None takes a limit away.
            domains: all that it may ask from now on; empty: every domain.
            owner: as for `create`.
            team: as for `create`.
            expires_at: a new end.
            never_expires: take the end away.

        Raises:
            NotFound: there is no such key.
            Conflict: it is revoked.
            InvalidInput: something is malformed.
        """
        end = check_expiry(expires_at, self._clock.now())
        with self._database.write() as connection:
            store.begin_change(self._database, connection)
            before = _living(connection, named)
            after = replace(
                before,
                limits=check_limits(changed_limits(before.limits, limits or {})),
                domains=before.domains if domains is None else check_domains(domains),
                owner=before.owner if owner is None else check_words(owner, "owner"),
                team=before.team if team is None else check_words(team, "team"),
                expires_at=None if never_expires else end or before.expires_at,
            )
            if after == before:
                return before
            store.change_key(connection, after)
            self._audit.record(
                connection, actor, "key.set", f"key:{before.id}", before=audited(before), after=audited(after)
            )
        return after

    def domain_limits(self) -> Mapping[str, Limits]:
        """What everybody together may ask of each domain that is limited."""
        with self._database.read() as connection:
            return dict(store.domain_limits(connection))

    def limit_domain(self, domain: str, changes: Mapping[str, int | None], *, actor: Actor) -> Limits:
        """Limit what everybody together may ask of a domain.

        Args:
            domain: need not exist yet.
            changes: ``requests_per_minute`` and ``tokens_per_minute``; None takes a limit away.
            actor: who changes it.

        Raises:
            InvalidInput: something is malformed.
        """
        check_domain(domain)
        with self._database.write() as connection:
            store.begin_change(self._database, connection)
            before = dict(store.domain_limits(connection)).get(domain, NO_LIMITS)
            after = check_limits(changed_limits(before, changes), of_domain=True)
            if after == before:
                return before
            store.set_domain_limits(connection, domain, after, self._clock.now())
            self._audit.record(
                connection, actor, "domain.limit", f"domain:{domain}", before=before.present(), after=after.present()
            )
        return after

    def revision(self) -> int:
        """How often keys and limits were changed."""
        with self._database.read() as connection:
            return store.revision(connection)

    def state(self) -> AccessState:
        """Everything that admission is compiled from."""
        with self._database.read() as connection:
            return AccessState(
                store.revision(connection),
                tuple(store.keys(connection, {})),
                tuple(store.secrets(connection)),
                tuple(store.domain_limits(connection)),
            )


def _found(connection: Connection, named: str) -> ClientKey:
    found = store.key(connection, named)
    if found is None:
        # A secret in place of a name is a mistake that happens: what was given is not repeated.
        shown = repr(named) if len(named) <= 64 and not named.startswith("bwk_") else "of that name"
        raise NotFound(f"there is no key {shown}", what="name", remedy="see `bailiwick key list`")
    return found


def _living(connection: Connection, named: str) -> ClientKey:
    found = _found(connection, named)
    if found.revoked_at is not None:
        raise Conflict(f"the key {found.name!r} is revoked", what="name", requested=found.name, remedy="create another")
    return found
