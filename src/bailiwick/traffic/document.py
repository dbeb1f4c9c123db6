"""Plans as JSON, the same on the command line and over REST: weights in percent, as people give them. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bailiwick.traffic.model import PlanRecord, TrafficPlan


def plan_document(plan: TrafficPlan) -> dict[str, Any]:
    """A plan, its weights in percent of the domain's users.

    >>> from bailiwick.traffic.weights import whole
    >>> plan_document(whole("cards", "cards-v1", "salt"))["weights"]
    {'cards-v1': 100.0}
    """
    document = asdict(plan)
    if plan.shadow is not None:
        document["shadow"] = {"version": plan.shadow.version, "share": plan.shadow.share / 100}
    return {**document, "weights": {version: weight / 100 for version, weight in plan.weights.items()}}


def record_document(record: PlanRecord) -> dict[str, Any]:
    """A revision of a plan: since when, by which change, by whom and why."""
    return {
        **plan_document(record.plan),
        "since": record.at,
        "change": record.change,
        "actor": record.actor,
        "reason": record.reason,
        "restores": record.restores,
    }
