"""Adds, shows, tests and removes endpoints; shows deliveries and lets dead ones live again."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bailiwick.clock import Clock
from bailiwick.errors import Conflict, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.governance.notifications import store
from bailiwick.governance.notifications.dispatcher import Dispatcher
from bailiwick.governance.notifications.endpoints import (
    MAX_ENDPOINTS,
    check_name,
    check_url,
    check_variable,
    endpoint_document,
)
from bailiwick.governance.notifications.model import Delivery, DeliveryStatus, Endpoint, Event, Format, Outcome
from bailiwick.governance.notifications.outbox import Outbox
from bailiwick.governance.notifications.patterns import check_patterns
from bailiwick.governance.notifications.sealing import Sealing
from bailiwick.governance.notifications.signing import secret_text
from bailiwick.network.addresses import OutsideOnly
from bailiwick.storage.database import Database
from bailiwick.storage.ids import new_id

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class AddedEndpoint:
    """An endpoint that was just added.

    Args:
        secret: the generated secret, to be handed over now; it is never shown again. None where the caller has it.
    """

    endpoint: Endpoint
    secret: str | None = field(repr=False)


class NotificationService:
    """Who is told of what.

    Args:
        rule: where webhooks may go to.
        sealing: of generated secrets.
        outbox: see there.
        dispatcher: see there.
        tree_size: how many entries have a place.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        rule: OutsideOnly,
        outbox: Outbox,
        dispatcher: Dispatcher,
        tree_size: Callable[[], int],
        sealing: Sealing,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._rule = rule
        self.outbox = outbox
        self.dispatcher = dispatcher
        self._tree_size = tree_size
        self._sealing = sealing

    def add(
        self,
        name: str,
        url: str,
        patterns: Iterable[str],
        *,
        actor: Actor,
        form: Format = Format.JSON,
        secret_variable: str | None = None,
    ) -> AddedEndpoint:
        """Tell an endpoint of every matching change from now on.

        Args:
            name: of the endpoint.
            url: where to.
            patterns: of actions; see `patterns.matches`.
            actor: who adds it.
            form: of the bodies.
            secret_variable: the environment variable of the servers with the secret; None: one is generated.

        Raises:
            InvalidInput: something is malformed, or the address may not be called.
            Conflict: the name is taken, or there are fifty endpoints.
        """
        secret = secret_text(secrets.token_bytes(_SECRET_BYTES)) if secret_variable is None else None
        endpoint = Endpoint(
            name=check_name(name),
            url=check_url(url, self._rule),
            patterns=check_patterns(patterns),
            format=form,
            secret_variable=None if secret_variable is None else check_variable(secret_variable),
            secret=None if secret is None else self._sealing.seal(secret, name),
            cursor=self._tree_size(),
            created_at=self._clock.now(),
            created_by=actor.name,
        )
        with self._database.write() as connection:
            present = {each.name for each in store.endpoints(connection)}
            if name in present:
                raise Conflict(f"there is a webhook {name!r} already", what="name", remedy="remove it first")
            if len(present) >= MAX_ENDPOINTS:
                raise Conflict(f"there are {MAX_ENDPOINTS} webhooks already", what="name", allowed=MAX_ENDPOINTS)
            store.add_endpoint(connection, endpoint)
            after = {key: value for key, value in endpoint_document(endpoint).items() if not key.startswith("created")}
            self._audit.record(connection, actor, "webhook.add", f"webhook:{name}", after=after)
        return AddedEndpoint(endpoint, secret)

    def endpoints(self) -> Sequence[Endpoint]:
        """Every endpoint, by name."""
        with self._database.read() as connection:
            return store.endpoints(connection)

    def get(self, name: str) -> Endpoint:
        """One endpoint.

        Raises:
            NotFound: there is none of that name.
        """
        with self._database.read() as connection:
            return _found(store.endpoint(connection, name), name)

    def remove(self, name: str, *, actor: Actor) -> None:
        """Tell it nothing more; what waits for it is not sent.

        Raises:
            NotFound: there is none of that name.
        """
        with self._database.write() as connection:
            endpoint = _found(store.endpoint(connection, name, lock=True), name)
            store.remove_endpoint(connection, name)
            before = {key: value for key, value in endpoint_document(endpoint).items() if not key.startswith("created")}
            self._audit.record(connection, actor, "webhook.remove", f"webhook:{name}", before=before)

    def test(self, name: str, *, actor: Actor) -> Outcome:
        """Send an event ``webhook.test`` at once, and say what came of it. It is not kept.

        Raises:
            NotFound: there is none of that name.
        """
        endpoint, now = self.get(name), self._clock.now()
        event = Event("webhook.test", f"webhook:{name}", now, {"actor": actor.name, "reason": actor.reason})
        return self.dispatcher.send(endpoint, new_id("test", now), event)

    def deliveries(self, name: str, *, status: DeliveryStatus | None = None, limit: int = 100) -> Sequence[Delivery]:
        """Deliveries to an endpoint, newest event first.

        Raises:
            NotFound: there is none of that name.
        """
        with self._database.read() as connection:
            _found(store.endpoint(connection, name), name)
            return store.listed(connection, name, status, limit)

    def counts(self) -> Mapping[tuple[str, str], int]:
        """How many deliveries there are by endpoint and status."""
        with self._database.read() as connection:
            return store.counts(connection)

    def oldest_waiting_s(self) -> Mapping[str, float]:
        """Seconds since what the oldest waiting delivery of each endpoint tells of; only of those with one."""
        with self._database.read() as connection:
            places = store.oldest_waiting(connection)
            told = {name: self._audit.following(connection, place, 1) for name, place in places.items()}
        now = self._clock.now()
        return {name: max(0.0, (now - found[0].at).total_seconds()) for name, found in told.items() if found}

    def retry(self, name: str, delivery_id: str | None = None, *, actor: Actor) -> int:
        """Send dead deliveries again, all or one; returns how many.

        Raises:
            NotFound: there is no such endpoint, or no such dead delivery.
        """
        with self._database.write() as connection:
            _found(store.endpoint(connection, name), name)
            revived = store.revive(connection, name, delivery_id, self._clock.now())
            if not revived and delivery_id is not None:
                raise NotFound(
                    f"{delivery_id!r} is no dead delivery of {name!r}", what="delivery", requested=delivery_id
                )
            if revived:
                after = {"deliveries": revived}
                self._audit.record(connection, actor, "webhook.retry", f"webhook:{name}", after=after)
        return revived

    def close(self) -> None:
        """See `Dispatcher.close`."""
        self.dispatcher.close()


def _found(endpoint: Endpoint | None, name: str) -> Endpoint:
    if endpoint is None:
        raise NotFound(
            f"there is no webhook {name[:100]!r}",
            what="name",
            requested=name[:100],
            remedy="see `bailiwick webhook list`",
        )
    return endpoint
