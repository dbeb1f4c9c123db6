"""What one unit gets: the version, and the arms that had a say in it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bailiwick.traffic.assign import slot, version_for
from bailiwick.traffic.conditions import Attributes
from bailiwick.traffic.enter import assignments, compile_domain
from bailiwick.traffic.model import Assignment, ExperimentPlan, Holdout, TrafficPlan


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a unit stands.

    Args:
        version: that serves it: an arm's where one names a version, else the traffic plan's.
        slot: under the traffic plan.
        held_out: it takes part in no experiment, unless it is a tester.
        assigned: what it gets from experiments.
    """

    version: str
    slot: int
    held_out: bool
    assigned: tuple[Assignment, ...]


def whereabouts(
    plan: TrafficPlan,
    experiments: Iterable[ExperimentPlan],
    holdout: Holdout,
    unit: str,
    attributes: Attributes = lambda _: None,
) -> Whereabouts:
    """What a unit gets, taken for the user, the session and every header; not for a request, which is never twice.

    >>> from bailiwick.traffic.model import SLOTS, Arm
    >>> from bailiwick.traffic.splits import first_split
    >>> from bailiwick.traffic.weights import whole
    >>> split = first_split("cards", "new", {"old": 1, "new": SLOTS - 1})
    >>> new = ExperimentPlan("new", "cards", "answers", ((0, SLOTS),), split, (Arm("old", "v1"), Arm("new", "v2")))
    >>> whereabouts(whole("cards", "v1", "salt"), [new], Holdout(), "user-42").version
    'v2'
    """
    compiled = compile_domain(experiments, holdout)
    assigned = assignments(compiled, attributes, lambda kind: None if kind == "request" else unit)
    version = next((each.arm.version for each in assigned if each.arm.version), None)
    held_out = slot(holdout.salt, unit) < holdout.slots
    return Whereabouts(version or version_for(plan, unit), slot(plan.salt, unit), held_out, assigned)


def whereabouts_document(domain: str, unit: str, revision: int, found: Whereabouts) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "domain": domain,
        "unit": unit,
        "version": found.version,
        "slot": found.slot,
        "revision": revision,
        "held_out": found.held_out,
        "experiments": [
            {
                "experiment": each.experiment,
                "arm": each.arm.name,
                "epoch": each.epoch,
                "propensity": each.propensity,
                "counted": each.counted,
                "parameters": dict(each.arm.parameters),
            }
            for each in found.assigned
        ],
    }
