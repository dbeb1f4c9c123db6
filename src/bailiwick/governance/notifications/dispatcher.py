"""Sends what waits in the outbox: each endpoint on a thread of its own, so that a slow one delays nobody else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Protocol

from sqlalchemy import Connection

from bailiwick.clock import Clock
from bailiwick.errors import BailiwickError
from bailiwick.governance.audit import AuditTrail
from bailiwick.governance.notifications import store
from bailiwick.governance.notifications.backoff import pause_after
from bailiwick.governance.notifications.message import body_of
from bailiwick.governance.notifications.model import Delivery, DeliveryStatus, Endpoint, Event, Outcome
from bailiwick.governance.notifications.outbox import event_of
from bailiwick.governance.notifications.sealing import Sealing
from bailiwick.governance.notifications.signing import key_of, signature_headers
from bailiwick.storage.database import Database

_log = logging.getLogger(__name__)
_BATCH = 50
_CLOSING_S = 3.0


class Posts(Protocol):
    """How a message leaves; `Sender` is one."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Post a JSON body; never raises for what fails on the way."""
        ...


class Dispatcher:
    """Sends deliveries. Two of them at once send some messages twice, under the same id, and lose none.

    Args:
        environment: where secrets are looked up that endpoints name.
        sealing: opens the generated ones.
        rng: for the jitter of pauses.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditTrail,
        clock: Clock,
        sender: Posts,
        environment: Mapping[str, str],
        sealing: Sealing,
        rng: Random | None = None,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._sender = sender
        self._environment = environment
        self._sealing = sealing
        self._rng = rng or Random()  # noqa: S311 - jitter, not a secret
        self._busy: dict[str, threading.Thread] = {}
        self._stop = threading.Event()

    def dispatch(self) -> int:
        """Begin to send to every endpoint that has something waiting and is not being sent to; returns to how many."""
        with self._database.read() as connection:
            names = store.endpoints_with_due(connection, self._clock.now())
        begun = [name for name in names if not self._is_busy(name) and not self._stop.is_set()]
        for name in begun:
            thread = threading.Thread(target=self._work, args=(name,), name=f"webhook-{name}", daemon=True)
            self._busy[name] = thread
            thread.start()
        return len(begun)

    def settle(self) -> None:
        """Wait until everything that was begun is finished."""
        for thread in list(self._busy.values()):
            thread.join()

    def close(self) -> None:
        """Begin nothing more, and wait a little for what is under way; what is not settled is sent again."""
        self._stop.set()
        until = time.monotonic() + _CLOSING_S
        for thread in list(self._busy.values()):
            thread.join(max(0.0, until - time.monotonic()))

    def send(self, endpoint: Endpoint, message_id: str, event: Event) -> Outcome:
        """One attempt."""
        try:
            key = key_of(self._secret(endpoint))
        except BailiwickError as error:
            return Outcome(None, error.message)
        body = body_of(event, endpoint.format)
        return self._sender.post(endpoint.url, body, signature_headers(message_id, self._clock.now(), body, key))

    def _secret(self, endpoint: Endpoint) -> str:
        if endpoint.secret_variable is not None:
            return self._environment.get(endpoint.secret_variable, "")
        return self._sealing.open(endpoint.secret or "", endpoint.name)

    def _is_busy(self, name: str) -> bool:
        thread = self._busy.get(name)
        return thread is not None and thread.is_alive()

    def _work(self, name: str) -> None:
        try:
            while not self._stop.is_set() and self._send_some(name):
                pass
        except BailiwickError as error:
            _log.warning("the webhook %s waits: %s", name, error)
        except Exception:  # noqa: BLE001 - logged with its trace; the next round begins afresh
            _log.exception("the webhook %s waits", name)

    def _send_some(self, name: str) -> bool:
        with self._database.read() as connection:
            endpoint = store.endpoint(connection, name)
            waiting = store.due(connection, name, self._clock.now(), _BATCH)
            events = {each.position: self._event(connection, each.position) for each in waiting}
        if endpoint is None:
            return False
        for delivery in waiting:
            if self._stop.is_set():
                return False
            event = events[delivery.position]
            outcome = (
                self.send(endpoint, delivery.id, event) if event else Outcome(None, "its entry is gone", final=True)
            )
            with self._database.write() as connection:
                store.settle(connection, self._settled(delivery, outcome))
        return bool(waiting)

    def _event(self, connection: Connection, position: int) -> Event | None:
        entries = self._audit.following(connection, position, 1)
        return event_of(entries[0]) if entries and entries[0].position == position else None

    def _settled(self, delivery: Delivery, outcome: Outcome) -> Delivery:
        now = self._clock.now()
        tried = replace(
            delivery,
            attempts=delivery.attempts + 1,
            status_code=outcome.status_code,
            problem=outcome.problem,
            changed_at=now,
        )
        if outcome.problem is None:
            return replace(tried, status=DeliveryStatus.DELIVERED)
        pause = None if outcome.final else pause_after(tried.attempts, self._rng)
        if pause is None:
            _log.warning("the webhook %s is given up for %s: %s", tried.endpoint, tried.id, outcome.problem)
            return replace(tried, status=DeliveryStatus.DEAD)
        return replace(tried, next_at=now + pause)
