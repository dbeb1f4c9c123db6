"""What every upstream backend of a gateway shares: the HTTP client, and what is known of each replica."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Literal
from weakref import WeakValueDictionary

from bailiwick.backends.breaker import BreakerRules
from bailiwick.backends.connections import Http1Client
from bailiwick.backends.health import check_forever
from bailiwick.backends.origin import Origin
from bailiwick.backends.ports import UpstreamClient
from bailiwick.backends.replicas import Replica, ReplicaReport, ReplicaSet
from bailiwick.domains.model import Backend
from bailiwick.network.addresses import allowed_address

ClientKind = Literal["own", "aiohttp"]


class UpstreamPool:
    """Made anywhere; its connections live in the event loop that first sends with it.

    Args:
        kind: ``own`` costs least; ``aiohttp`` also reads compressed answers. A proxy needs aiohttp, so it is chosen.
        proxy: address of an HTTP proxy that every request to an upstream goes through.
        allows: whether a resolved IP address may be connected to.
    """

    def __init__(
        self, kind: ClientKind = "own", *, proxy: str | None = None, allows: Callable[[str], bool] = allowed_address
    ) -> None:
        self.kind: ClientKind = "aiohttp" if proxy else kind
        self.allows = allows
        self.client = _client(self.kind, proxy, allows)
        self._replicas: WeakValueDictionary[tuple[str, Origin], Replica] = WeakValueDictionary()
        self._sets: WeakValueDictionary[tuple[str, tuple[Origin, ...], bool], ReplicaSet] = WeakValueDictionary()
        self._lock = threading.Lock()  # snapshots are compiled in a thread of their own
        self._checks: asyncio.Task[None] | None = None

    def replicas(self, domain: str, origins: Sequence[Origin], backend: Backend, rng: Random) -> ReplicaSet:
        """The replicas of a domain, with what is known of them from before while any backend still uses them."""
        with self._lock:
            return self._known(domain, tuple(origins), backend, rng)

    def _known(self, domain: str, origins: tuple[Origin, ...], backend: Backend, rng: Random) -> ReplicaSet:
        found = []
        for index, origin in enumerate(origins):
            replica = self._replicas.get((domain, origin)) or Replica(domain, origin)
            replica.weight = backend.weights[index] if backend.weights else 1.0
            replica.rules = BreakerRules(failures=backend.breaker_failures)
            replica.health_path = backend.health_path
            self._replicas[domain, origin] = replica
            found.append(replica)
        key = (domain, origins, backend.hedge)
        kept = self._sets.get(key) or ReplicaSet(found, rng, hedged=backend.hedge)
        self._sets[key] = kept
        return kept

    def reports(self) -> list[ReplicaReport]:
        """Every replica, by domain and address."""
        now_s = time.monotonic()
        return sorted(
            (replica.report(now_s) for replica in self._held()),
            key=lambda report: (report.domain, report.replica),
        )

    def retried(self) -> dict[str, tuple[int, int, int]]:
        """By domain: calls sent again, retries that the budget refused, and hedges."""
        totals: dict[str, tuple[int, int, int]] = {}
        with self._lock:
            held = list(self._sets.items())
        for (domain, _, _), each in sorted(held, key=lambda item: item[0][0]):
            again, refused, hedges = totals.get(domain, (0, 0, 0))
            totals[domain] = (again + each.retries, refused + each.retries_refused, hedges + each.hedges)
        return totals

    def start(self) -> None:
        """Begin to check the health of replicas that have a path for it; inside the event loop."""
        self._checks = asyncio.create_task(check_forever(self.client, self._held))

    def _held(self) -> list[Replica]:
        with self._lock:
            return list(self._replicas.values())

    async def close(self) -> None:
        """End the checks and close every connection."""
        if self._checks is not None:
            self._checks.cancel()
            await asyncio.gather(self._checks, return_exceptions=True)
            self._checks = None
        await self.client.close()


def _client(kind: ClientKind, proxy: str | None, allows: Callable[[str], bool]) -> UpstreamClient:
    if kind == "own":
        return Http1Client(allows=allows)
    from bailiwick.backends.aiohttp_client import AiohttpClient  # costs a fifth of a second, so only where it is used

    return AiohttpClient(proxy=proxy, allows=allows)
