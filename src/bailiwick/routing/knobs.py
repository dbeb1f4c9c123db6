"""The knobs of learning as the settings say them. Pure."""

from __future__ import annotations

from bailiwick.routing.policy import Algorithm, Knobs, Sticky
from bailiwick.settings import Settings


def knobs_of_settings(settings: Settings) -> Knobs:
    """``BAILIWICK_ROUTING_...`` as knobs."""
    return Knobs(
        algorithm=Algorithm(settings.routing_algorithm),
        metric=settings.routing_metric,
        candidates=settings.routing_candidates,
        margin=settings.routing_margin,
        exploration_floor=settings.routing_exploration_floor,
        prior_strength=settings.routing_prior_strength,
        learning_rate=settings.routing_learning_rate,
        half_life_days=settings.routing_half_life_days,
        change_evidence=settings.routing_change_evidence,
        latency_weight=settings.routing_latency_weight,
        cost_weight=settings.routing_cost_weight,
        sticky=Sticky(settings.routing_sticky),
    )
