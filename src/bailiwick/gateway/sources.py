"""Where snapshots come from in production: the services of the platform."""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.detection.service import DomainsFrom
from bailiwick.domains.catalogue import Catalogue
from bailiwick.gateway.model import Revision
from bailiwick.governance.access.model import AccessState
from bailiwick.models.ports import FittedModel
from bailiwick.platform import Platform
from bailiwick.registry.model import ModelVersion
from bailiwick.routing.ports import DomainDetector
from bailiwick.routing.runtime import Published
from bailiwick.traffic.model import PlacedExperiments, TrafficPlan


class PlatformSources:
    """See `Sources`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def revision(self) -> Revision:
        """The newest revision; also lets the watch of the domains look."""
        watch = self._platform.domain_watch
        watch.step()
        platform = self._platform
        return Revision(
            watch.current.version,
            platform.traffic.revision(),
            platform.detection.revision(),
            access=platform.access.revision(),
            routing=platform.routing.revision(),
        )

    def catalogue(self) -> Catalogue:
        """The domains that the watch saw last."""
        return self._platform.domain_watch.current

    def plans(self) -> Mapping[str, TrafficPlan]:
        """The traffic plans by domain."""
        return self._platform.traffic.plans()

    def experiments(self) -> PlacedExperiments:
        """The experiments that run, the holdout, and what has ended."""
        return self._platform.traffic.placements()

    def access(self) -> AccessState:
        """Keys and limits."""
        return self._platform.access.state()

    def version(self, version: str) -> ModelVersion:
        """A registered version."""
        return self._platform.registry.get(version)

    def model(self, version: str) -> FittedModel:
        """The loaded model of a version."""
        return self._platform.registry.load(version)

    def detector(self, catalogue: Catalogue) -> DomainDetector | None:
        """Keywords, and what detection has learned from examples."""
        return self._platform.detection.current(DomainsFrom(catalogue))

    def routing(self) -> Published:
        """Rules, mode and policy of routing."""
        return self._platform.routing.published()
