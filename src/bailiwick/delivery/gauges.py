"""What serves whom and what is being rolled out, as Prometheus gauges. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bailiwick.delivery.rollout.model import Rollout
from bailiwick.metrics.prometheus import Family, Sample
from bailiwick.traffic.model import SLOTS, TrafficPlan


def delivery_families(plans: Iterable[TrafficPlan], rollouts: Iterable[Rollout]) -> list[Family]:
    """The weights in force, and the share of each canary by the state of its rollout.

    Args:
        plans: in force.
        rollouts: under way.
    """
    weights = [
        Sample(weight / SLOTS, {"domain": plan.domain, "version": version})
        for plan in plans
        for version, weight in plan.weights.items()
    ]
    canaries = [
        Sample(each.weight / SLOTS, {"domain": each.domain, "version": each.version, "state": each.state.value})
        for each in rollouts
    ]
    return [
        Family("bailiwick_traffic_weight_ratio", "gauge", "Share of a domain's users.", weights),
        Family("bailiwick_rollout_weight_ratio", "gauge", "Share of a canary whose rollout is under way.", canaries),
    ]
