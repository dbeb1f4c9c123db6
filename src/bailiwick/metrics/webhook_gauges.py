"""What waits for webhooks and what was given up, as Prometheus gauges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bailiwick.governance.notifications.model import DeliveryStatus
from bailiwick.metrics.prometheus import Family, Sample


def webhook_families(
    names: Iterable[str], counts: Mapping[tuple[str, str], int], oldest_s: Mapping[str, float]
) -> list[Family]:
    """Deliveries of every webhook by status, and how long the oldest one has waited; 0 where none does.

    Args:
        names: of the webhooks.
        counts: deliveries by webhook and status.
        oldest_s: age of what the oldest waiting delivery tells of, in seconds, by webhook.
    """
    listed = list(names)
    deliveries = [
        Sample(float(counts.get((name, status.value), 0)), {"webhook": name, "status": status.value})
        for name in listed
        for status in DeliveryStatus
    ]
    waits = [Sample(oldest_s.get(name, 0.0), {"webhook": name}) for name in listed]
    return [
        Family(
            "bailiwick_webhook_deliveries",
            "gauge",
            "Deliveries: waiting to be sent (again), delivered or dead (given up) in the last 30 days.",
            deliveries,
        ),
        Family("bailiwick_webhook_oldest_waiting_seconds", "gauge", "Age of the oldest event not sent yet.", waits),
    ]
