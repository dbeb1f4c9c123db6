"""Counters of the gateway, in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Telemetry:
    """Counts of one process. Label values come from the catalogue, never from a client, so their number is bounded."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, str, int]] = Counter()
        self._durations: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        self.in_flight = 0

    def count(self, operation: str, domain: str, version: str, status: int, seconds: float) -> None:
        """One finished request; domain and version are empty where none was reached."""
        self._requests[(operation, domain, version, status)] += 1
        buckets = self._durations.get(operation)
        if buckets is None:
            buckets = self._durations.setdefault(operation, [0] * (len(_BUCKETS_S) + 1))
        buckets[bisect_left(_BUCKETS_S, seconds)] += 1
        self._seconds[operation] = self._seconds.get(operation, 0.0) + seconds

    def exposition(self, gauges: Iterable[tuple[str, str, float]]) -> str:
        """Everything as text; ``gauges`` are (name, help, value)."""
        lines = ["# HELP bailiwick_gateway_requests_total Requests by outcome.", _type("requests_total", "counter")]
        for (operation, domain, version, status), number in sorted(self._requests.items()):
            labels = f'operation="{operation}",domain="{domain}",version="{_escaped(version)}",status="{status}"'
            lines.append(f"bailiwick_gateway_requests_total{{{labels}}} {number}")
        lines += [
            "# HELP bailiwick_gateway_request_duration_seconds From the request's head to the answer's last byte.",
            _type("request_duration_seconds", "histogram"),
        ]
        for operation, buckets in sorted(self._durations.items()):
            lines += self._histogram(operation, buckets)
        for name, meaning, value in (*gauges, ("in_flight_requests", "Requests being answered.", self.in_flight)):
            lines += [f"# HELP bailiwick_gateway_{name} {meaning}", _type(name, "gauge")]
            lines.append(f"bailiwick_gateway_{name} {value:g}")
        return "\n".join(lines) + "\n"

    def _histogram(self, operation: str, buckets: list[int]) -> Iterable[str]:
        name, so_far = "bailiwick_gateway_request_duration_seconds", 0
        for bound, number in zip((*_BUCKETS_S, "+Inf"), buckets, strict=True):
            so_far += number
            yield f'{name}_bucket{{operation="{operation}",le="{bound}"}} {so_far}'
        yield f'{name}_sum{{operation="{operation}"}} {self._seconds[operation]:.6f}'
        yield f'{name}_count{{operation="{operation}"}} {so_far}'


def _type(name: str, kind: str) -> str:
    return f"# TYPE bailiwick_gateway_{name} {kind}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
