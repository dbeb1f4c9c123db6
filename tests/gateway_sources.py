"""Sources of snapshots in memory, which can go away."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import numpy as np

from bailiwick.backends.model import Operation
from bailiwick.backends.pool import UpstreamPool
from bailiwick.clock import VirtualClock
from bailiwick.domains.catalogue import Catalogue
from bailiwick.domains.model import CatalogueVersion, Domain
from bailiwick.errors import NotFound, Unavailable
from bailiwick.gateway.model import ModelRequest, Revision
from bailiwick.gateway.snapshot import Compiler
from bailiwick.governance.access.model import AccessState
from bailiwick.models.model import ModelCard
from bailiwick.registry.model import ModelVersion
from bailiwick.routing.runtime import Published
from bailiwick.traffic.model import SLOTS, PlacedExperiments, SlotRange, TrafficPlan
from bailiwick.traffic.weights import whole

CLOCK = VirtualClock(datetime(2026, 3, 1, tzinfo=UTC))


class Constant:
    """A model that always gives the same probabilities."""

    card = ModelCard("constant", ("a", "b"), 0)

    def predict(self, texts: Any) -> Any:
        return np.tile([0.75, 0.25], (len(texts), 1))

    def familiarity(self, texts: Any) -> Any:
        return np.ones(len(texts))


class Memory:
    """`Sources` in memory, which can go away."""

    def __init__(self) -> None:
        self.domains: dict[str, Domain] = {"cards": Domain("cards", "Cards", "a"), "loans": Domain("loans", "L", "a")}
        self.held: dict[str, TrafficPlan] = {"cards": whole("cards", "v1", "s")}
        self.models: dict[str, Constant] = {"v1": Constant(), "v2": Constant()}
        self.default: str | None = "cards"
        self.loads: list[str] = []
        self.placed = PlacedExperiments()
        self.detectors = self.revisions = 0
        self.let_in = AccessState(0)
        self.away = False

    def changed(self) -> None:
        self.revisions += 1

    def revision(self) -> Revision:
        if self.away:
            raise Unavailable("the database is away")
        return Revision(CatalogueVersion("c", len(self.domains)), self.revisions, access=self.let_in.revision)

    def catalogue(self) -> Catalogue:
        return Catalogue(self.revision().domains, MappingProxyType(self.domains), self.default)

    def plans(self) -> Mapping[str, TrafficPlan]:
        return self.held

    def experiments(self) -> PlacedExperiments:
        return self.placed

    def access(self) -> AccessState:
        return self.let_in

    def version(self, version: str) -> ModelVersion:
        if version not in self.models:
            raise NotFound(f"no version {version!r}")
        return ModelVersion(version, "cards", "constant", CLOCK.now(), "0" * 64, 1)

    def model(self, version: str) -> Constant:
        self.loads.append(version)
        if version not in self.models:
            raise NotFound(f"no version {version!r}")
        return self.models[version]

    def detector(self, _catalogue: Catalogue) -> None:
        self.detectors += 1

    def routing(self) -> Published:
        return Published()


def compiler(sources: Memory) -> Compiler:
    return Compiler(sources, UpstreamPool(), {}, CLOCK)


def request(model: str = "cards", operation: Operation = Operation.CHAT) -> ModelRequest:
    return ModelRequest(operation, model, None, "x", None, False, {})


def split(domain: str, first: int) -> TrafficPlan:
    return TrafficPlan(domain, 2, "s", (SlotRange(0, first, "v1"), SlotRange(first, SLOTS, "v2")))
