"""What this process counted, as Prometheus families."""

from __future__ import annotations

from collections.abc import Mapping

from bailiwick.metrics.model import RecorderCounts
from bailiwick.metrics.prometheus import Family, Sample, metric_name


def families(counts: RecorderCounts, totals: Mapping[tuple[str, str, str], tuple[int, float]]) -> list[Family]:
    """The recorder's own counters, and one summary per observed metric.

    Args:
        counts: of the recorder.
        totals: count and sum of the values by (domain, version, metric).
    """
    counters = (
        ("bailiwick_observations_accepted_total", "Observations taken.", counts.accepted),
        ("bailiwick_observations_dropped_total", "Observations lost to overload.", counts.dropped),
        ("bailiwick_observations_refused_total", "Observations that were no finite number.", counts.refused),
        ("bailiwick_observation_flush_failures_total", "Batches the database did not take.", counts.failures),
    )
    found = [Family(name, "counter", text, [Sample(value, {})]) for name, text, value in counters]
    found.append(Family("bailiwick_observations_queued", "gauge", "Observations waiting.", [Sample(counts.queued, {})]))
    by_metric: dict[str, list[Sample]] = {}
    for (domain, version, metric), (count, total) in sorted(totals.items()):
        labels = {"domain": domain, "version": version, "metric": metric}
        by_metric.setdefault(f"bailiwick_observed_{metric_name(metric)}", []).extend(
            (Sample(total, labels, "_sum"), Sample(count, labels, "_count"))
        )
    return found + [Family(name, "summary", "Observed values.", samples) for name, samples in by_metric.items()]
