"""What is known of metrics before an experiment begins: which there are, and how they varied lately."""

from __future__ import annotations

import math
from datetime import timedelta

from bailiwick.clock import Clock
from bailiwick.experiments.planning import MetricHistory
from bailiwick.metrics.service import MetricsService

SPAN = timedelta(days=28)

_FEWEST_VALUES = 20
_SHORTEST_SPAN_DAYS = 1 / 24


class MetricPast:
    """The last four weeks of a domain's metrics, whether measured by the gateway or said by users."""

    def __init__(self, metrics: MetricsService, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock

    def known(self, domain: str) -> frozenset[str]:
        """Every metric that was seen."""
        now = self._clock.now() + timedelta(seconds=1)
        measured = {each.metric for each in self._metrics.summary(domain, now - SPAN, now)}
        return frozenset(measured | {each.metric for each in self._metrics.feedback_summary(domain, now - SPAN, now)})

    def history(self, domain: str, metric: str, unit: str = "user") -> MetricHistory | None:
        """How a metric varied from unit to unit, and how many units a day; None where there are too few to tell.

        Where the log does not name users, or the experiment divides something else, each request counts as a unit.
        """
        past = None
        if unit == "user":
            past = self._metrics.experiments.past_units(domain, metric, self._clock.now() - SPAN)
        if past is None or past.moments.units < _FEWEST_VALUES:
            return self._of_requests(domain, metric)
        moments = past.moments
        days = max(past.span / timedelta(days=1), _SHORTEST_SPAN_DAYS)
        deviation = math.sqrt(moments.variance_of_mean * moments.units)
        return MetricHistory(moments.mean, deviation, int(moments.count), moments.units / days, distinct=True)

    def _of_requests(self, domain: str, metric: str) -> MetricHistory | None:
        now = self._clock.now() + timedelta(seconds=1)
        count, total, squares = self._moments(domain, metric)
        if count < _FEWEST_VALUES:
            return None
        mean = total / count
        variance = max(0.0, (squares - count * mean * mean) / (count - 1))
        points = self._metrics.points(domain, now - SPAN, now, metric="latency_ms")
        requests = sum(point.rollup.count for point in points) or count
        since = min((point.key.minute for point in points), default=now - SPAN)
        days = max((now - since) / timedelta(days=1), _SHORTEST_SPAN_DAYS)
        # feedback comes on some requests only: those are the units that give a value
        per_day = min(requests, count) / days
        return MetricHistory(mean, math.sqrt(variance), count, per_day)

    def _moments(self, domain: str, metric: str) -> tuple[int, float, float]:
        now = self._clock.now() + timedelta(seconds=1)
        said = [each for each in self._metrics.feedback_summary(domain, now - SPAN, now) if each.metric == metric]
        if said:
            return sum(s.count for s in said), sum(s.total for s in said), sum(s.squares for s in said)
        rollup = self._metrics.query(domain, metric, now - SPAN, now)
        return rollup.count, rollup.total, rollup.squares
