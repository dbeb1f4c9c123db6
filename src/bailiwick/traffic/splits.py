"""How an experiment's units are split over its arms: a traffic plan over names of arms. Pure.

Later weights come from `weights.reweight`: the fewest units move, and the revision, which is the epoch, grows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bailiwick.traffic.model import TrafficPlan
from bailiwick.traffic.weights import check_weights, reweight, whole


def first_split(domain: str, experiment: str, weights: Mapping[str, int]) -> TrafficPlan:
    """The split of epoch 1, on a salt of the experiment's own.

    Args:
        domain: of the experiment.
        experiment: its id.
        weights: basis points by arm, summing to `SLOTS`.

    Raises:
        InvalidInput: see `check_weights`.

    >>> first_split("cards", "short-answers", {"control": 5000, "short": 5000}).weights
    {'control': 5000, 'short': 5000}
    """
    everybody = whole(domain, next(iter(check_weights(weights))), salt=f"experiment:{experiment}")
    return replace(reweight(everybody, weights), revision=1)
