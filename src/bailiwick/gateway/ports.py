"""What the gateway needs from the rest of the house. The adapter over the platform is in `sources.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bailiwick.gateway.model import Catalogue, Feedback, Observation, Revision
from bailiwick.models.ports import FittedModel
from bailiwick.registry.model import ModelVersion
from bailiwick.routing.ports import DomainDetector
from bailiwick.traffic.model import TrafficPlan


class Sources(Protocol):
    """Where snapshots are made from. Called in a thread, never while a request waits.

    Every method raises `Unavailable` when its store is away.
    """

    def revision(self) -> Revision:
        """The newest revision; cheap. Read before the rest, so that a change in between is seen next time."""
        ...

    def catalogue(self) -> Catalogue:
        """The active domains."""
        ...

    def plans(self) -> Mapping[str, TrafficPlan]:
        """The traffic plans by domain."""
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

    def detector(self) -> DomainDetector | None:
        """The detector over the active domains, or None where nothing can be detected yet."""
        ...


class Recorder(Protocol):
    """Where observations go. Both methods return at once; what cannot be kept is counted."""

    def observe(self, observation: Observation) -> None:
        """Take an observation."""
        ...

    def feedback(self, feedback: Feedback) -> None:
        """Take a client's feedback."""
        ...

    @property
    def dropped(self) -> int:
        """How many were lost because the queue was full."""
        ...
