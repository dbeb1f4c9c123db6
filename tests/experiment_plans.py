"""Plans of experiments for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bailiwick.traffic.model import SLOTS, Arm, ExperimentPlan, Holdout
from bailiwick.traffic.splits import first_split

EVEN = {"control": 5000, "treatment": 5000}


def experiment(
    name: str = "tone",
    *,
    domain: str = "cards",
    weights: Mapping[str, int] | None = None,
    slots: tuple[tuple[int, int], ...] = ((0, SLOTS),),
    versions: Mapping[str, str] | None = None,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    arms: Sequence[Arm] | None = None,
    layer: str = "answers",
    **fields: Any,
) -> ExperimentPlan:
    """An experiment over the whole layer, half and half, unless said otherwise."""
    split = first_split(domain, name, weights or EVEN)
    named = [Arm(arm, (versions or {}).get(arm), (parameters or {}).get(arm, {})) for arm in weights or EVEN]
    return ExperimentPlan(name, domain, layer, slots, split, tuple(arms or named), **fields)


NOBODY_HELD_OUT = Holdout()
EVERYBODY = [f"user-{number}" for number in range(20_000)]
