"""A domain with registered versions, ready to be deployed, for the tests of delivery and what stands on it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bailiwick.clock import Clock
from bailiwick.delivery.rolling_back import Removed
from bailiwick.delivery.service import DeliveryService
from bailiwick.domains.model import Domain, DomainRevision, Lifecycle
from bailiwick.errors import NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.platform import Platform
from bailiwick.registry.model import ModelVersion
from bailiwick.storage.database import Database
from bailiwick.traffic.service import TrafficService

ADA = Actor("ada")
GOOD = {"accuracy": 0.93, "latency_p95_ms": 4.0, "training_loss": 0.1, "validation_loss": 0.2}


def version(name: str, **metrics: float) -> ModelVersion:
    """A version of the domain `cards` that passes every gate, unless told otherwise."""
    made = datetime(2026, 1, 1, tzinfo=UTC)
    return ModelVersion(name, "cards", "linear", made, "0" * 64, 10, metrics={**GOOD, **metrics})


class Estate:
    """The delivery of one domain, `cards`, with versions v1 to v9, and `bad` whose accuracy is 0.4."""

    def __init__(self, database: Database, clock: Clock, **options: Any) -> None:
        self.registered = {"bad": version("bad", accuracy=0.4)}
        self.registered.update({f"v{number}": version(f"v{number}") for number in range(1, 10)})
        self.lifecycle = Lifecycle.ACTIVE
        self.on_removed: Removed = lambda *_: ()
        self.audit = AuditTrail(database, clock)
        self.traffic = TrafficService(database, self.audit, clock)
        self.delivery = DeliveryService(
            database,
            self.audit,
            clock,
            self.traffic,
            self._version,
            self._versions_of,
            self.domain,
            on_removed=lambda *told: self.on_removed(*told),
            **options,
        )

    def domain(self, domain: str) -> DomainRevision:
        made = datetime(2026, 1, 1, tzinfo=UTC)
        return DomainRevision(Domain(domain, domain.title(), f"agent-{domain}"), 1, self.lifecycle, made, "ada")

    def _version(self, name: str) -> ModelVersion:
        if name not in self.registered:
            raise NotFound(f"no version {name!r}", what="version", requested=name)
        return self.registered[name]

    def _versions_of(self, domain: str) -> list[ModelVersion]:
        return [found for found in reversed(self.registered.values()) if found.domain == domain]

    def rollout(self, stable: str, candidate: str, share: int = 2000) -> None:
        """Deploy one version, then another beside it."""
        self.delivery.deploy("cards", stable, actor=ADA)
        self.delivery.deploy("cards", candidate, share=share, actor=ADA)

    def weights(self) -> dict[str, int]:
        """Of the plan in force."""
        plan = self.traffic.plan("cards")
        return plan.weights if plan else {}

    def actions(self) -> list[tuple[str, str]]:
        """Action and subject of every audit entry, newest first."""
        return [(entry.action, entry.subject) for entry in self.audit.entries(limit=1000)]


def register(platform: Platform, domain: str, count: int, **metrics: float) -> list[str]:
    """Make a domain active, if it is not there, and register measured versions of it; oldest first."""
    if domain not in {each.domain.id for each in platform.domains.list_domains()}:
        platform.domains.create(Domain(id=domain, name=domain.title(), agent_id=f"{domain}-agent"), ADA, activate=True)
    made = []
    for _ in range(count):
        with platform.database.write() as connection:
            registered = platform.registry.register(connection, ADA, domain=domain, family="linear-text")
            platform.registry.record_metrics(connection, registered.id, {**GOOD, **metrics}, ADA)
        made.append(registered.id)
    return made
