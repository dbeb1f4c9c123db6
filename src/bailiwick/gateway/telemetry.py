"""What the gateway counts of itself, as Prometheus families."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

from bailiwick.gateway.histograms import GenAiHistograms
from bailiwick.gateway.model import Finished
from bailiwick.metrics.prometheus import Family, Sample

_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Telemetry:
    """Counts of one process. Label values come from the catalogue, never from a client, so their number is bounded."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, str, int]] = Counter()
        self._durations: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        self._gen_ai = GenAiHistograms()
        self.in_flight = 0

    def finish(self, finished: Finished) -> None:
        """Count one finished request for a model."""
        operation = finished.operation.value
        self.count(operation, finished.domain, finished.version, finished.status, finished.seconds)
        self._gen_ai.add(finished)

    def count(self, operation: str, domain: str, version: str, status: int, seconds: float) -> None:
        """One finished request; domain and version are empty where none was reached."""
        self._requests[(operation, domain, version, status)] += 1
        buckets = self._durations.get(operation)
        if buckets is None:
            buckets = self._durations.setdefault(operation, [0] * (len(_BUCKETS_S) + 1))
        buckets[bisect_left(_BUCKETS_S, seconds)] += 1
        self._seconds[operation] = self._seconds.get(operation, 0.0) + seconds

    def families(self) -> list[Family]:
        """Requests by outcome, their durations, and how many are being answered."""
        requests = [
            Sample(number, {"operation": operation, "domain": domain, "version": version, "status": str(status)})
            for (operation, domain, version, status), number in sorted(self._requests.items())
        ]
        durations = [sample for operation in sorted(self._durations) for sample in self._duration(operation)]
        return [
            Family("bailiwick_gateway_requests_total", "counter", "Requests for a model by outcome.", requests),
            Family(
                "bailiwick_gateway_request_duration_seconds",
                "histogram",
                "From the request's head to the answer's last byte.",
                durations,
            ),
            *self._gen_ai.families(),
            gauge("in_flight_requests", "Requests for a model that are being answered.", self.in_flight),
        ]

    def _duration(self, operation: str) -> Iterator[Sample]:
        so_far = 0
        for bound, number in zip((*_BUCKETS_S, "+Inf"), self._durations[operation], strict=True):
            so_far += number
            yield Sample(so_far, {"operation": operation, "le": str(bound)}, "_bucket")
        yield Sample(self._seconds[operation], {"operation": operation}, "_sum")
        yield Sample(so_far, {"operation": operation}, "_count")


def gauge(name: str, meaning: str, value: float) -> Family:
    """A gauge of the gateway without labels."""
    return Family(f"bailiwick_gateway_{name}", "gauge", meaning, [Sample(value, {})])
