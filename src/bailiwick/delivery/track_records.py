"""Reads what `track_record.join` joins: one query per table, however many versions there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from bailiwick.delivery.live import CORRECT, FAILED, LATENCY
from bailiwick.delivery.service import DeliveryService
from bailiwick.delivery.track_record import TrackRecord, join
from bailiwick.errors import NotFound
from bailiwick.metrics.service import MetricsService
from bailiwick.registry.model import ModelVersion
from bailiwick.traffic.service import TrafficService
from bailiwick.training.model import TrainingRun

_MOST_DEPLOYMENTS = 100_000


class TrackRecords:
    """The track records of a domain's versions.

    Args:
        versions: of a domain, the newest first.
        runs: of a domain.
        metrics: live numbers and feedback.
        delivery: what was deployed.
        traffic: what serves now.
    """

    def __init__(
        self,
        versions: Callable[[str], Sequence[ModelVersion]],
        runs: Callable[[str], Sequence[TrainingRun]],
        metrics: MetricsService,
        delivery: DeliveryService,
        traffic: TrafficService,
    ) -> None:
        self._versions = versions
        self._runs = runs
        self._metrics = metrics
        self._delivery = delivery
        self._traffic = traffic

    def of(
        self, domain: str, since: datetime, until: datetime, *, version: str | None = None, limit: int = 20
    ) -> list[TrackRecord]:
        """The newest versions of a domain, with their live numbers over a span.

        Args:
            domain: of the versions.
            since: of the live numbers.
            until: excluded.
            version: only this one.
            limit: versions at most.

        Raises:
            InvalidInput: ``since`` is not before ``until``.
            NotFound: the domain has no such version.
        """
        versions = [each for each in self._versions(domain) if version in (None, each.id)]
        if version is not None and not versions:
            raise NotFound(
                f"{domain!r} has no version {version!r}",
                what="version",
                requested=version,
                remedy=f"see `bailiwick metrics versions {domain}`",
            )
        feedback = [each for each in self._metrics.feedback_summary(domain, since, until) if each.metric == CORRECT]
        return join(
            versions[:limit],
            self._runs(domain),
            self._metrics.versions_by(domain, FAILED, since, until),
            self._metrics.versions_by(domain, LATENCY, since, until),
            feedback,
            self._delivery.history(domain, limit=_MOST_DEPLOYMENTS),
            self._weights(domain),
        )

    def _weights(self, domain: str) -> Mapping[str, int]:
        plan = self._traffic.plan(domain)
        return plan.weights if plan else {}
