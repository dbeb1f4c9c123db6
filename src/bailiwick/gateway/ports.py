"""What the gateway needs from the rest of the house. The adapter over the platform is in `sources.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from bailiwick.domains.catalogue import Catalogue
from bailiwick.gateway.model import Revision
from bailiwick.governance.access.model import AccessState
from bailiwick.metrics.exposures import Exposure
from bailiwick.metrics.model import Feedback
from bailiwick.metrics.prometheus import Family
from bailiwick.models.ports import FittedModel
from bailiwick.registry.model import ModelVersion
from bailiwick.routing.ports import DomainDetector
from bailiwick.routing.runtime import Published
from bailiwick.traffic.model import PlacedExperiments, TrafficPlan


class Sources(Protocol):
    """Where snapshots are made from. Called in a thread, never while a request waits.

    Every method raises `Unavailable` when its store is away.
    """

    def revision(self) -> Revision:
        """The newest revision; cheap. Read before the rest, so that a change in between is seen next time."""
        ...

    def catalogue(self) -> Catalogue:
        """The domains that are served in this process."""
        ...

    def plans(self) -> Mapping[str, TrafficPlan]:
        """The traffic plans by domain."""
        ...

    def experiments(self) -> PlacedExperiments:
        """The experiments that run, who takes part in none, and what has ended."""
        ...

    def access(self) -> AccessState:
        """Keys and limits."""
        ...

    def version(self, version: str) -> ModelVersion:
        """A registered version.

        Raises:
            NotFound: there is none of that name.
        """
        ...

    def model(self, version: str) -> FittedModel:
        """The loaded model of a version.

        Raises:
            NotFound: there is none of that name, or it has no artefact.
            InvalidInput: the artefact is damaged.
        """
        ...

    def detector(self, catalogue: Catalogue) -> DomainDetector | None:
        """The detector over these domains, or None where nothing can be detected yet."""
        ...

    def routing(self) -> Published:
        """Rules, mode and policy of routing."""
        ...


class Recorder(Protocol):
    """Where observations go; `MetricsService` is one."""

    def record(self, domain: str, version: str, metric: str, value: float, *, arm: str = "") -> bool:
        """Take one number; returns at once, False when it was dropped."""
        ...

    def served(
        self,
        request_id: str,
        domain: str,
        version: str,
        values: Mapping[str, float],
        *,
        arm: str = "",
        exposures: Sequence[Exposure] = (),
        unit: str = "",
    ) -> bool:
        """Take one answered request with its numbers; returns at once, False when it was dropped."""
        ...

    def exposed(
        self,
        exposures: Sequence[Exposure],
        *,
        request_id: str | None = None,
        domain: str = "",
        version: str = "",
        values: Mapping[str, float] | None = None,
    ) -> bool:
        """Take exposures of a request that was not answered; returns at once, False when they were dropped."""
        ...

    def feedback(
        self,
        request_id: str,
        *,
        metric: str = "correct",
        value: float | None = None,
        label: str | None = None,
        comment: str | None = None,
        domain: str | None = None,
        version: str | None = None,
    ) -> Feedback:
        """Store a client's feedback. Called in a thread; on disk when this returns.

        Raises:
            InvalidInput: it does not fit.
            Unavailable: it cannot be stored now.
        """
        ...

    def families(self) -> list[Family]:
        """Counters for Prometheus. Called in a thread."""
        ...
