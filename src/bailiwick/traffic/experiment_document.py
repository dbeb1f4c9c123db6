"""Experiment plans as JSON documents: what the store keeps and what the shared cache carries. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.traffic.experiment_check import check_experiment
from bailiwick.traffic.model import Arm, Condition, ExperimentPlan, Operator, SlotRange, TrafficPlan


def experiment_document(plan: ExperimentPlan) -> dict[str, Any]:
    """The document that `parse_experiment` reads."""
    arms = tuple(replace(arm, parameters=dict(arm.parameters)) for arm in plan.arms)
    return asdict(replace(plan, arms=arms, overrides=dict(plan.overrides)))


def parse_experiment(document: Any) -> ExperimentPlan:
    """Read a document back, trusting nothing in it.

    Raises:
        InvalidInput: it is no such document, or the plan in it makes no sense.
    """
    try:
        plan = _plan(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"the experiment plan cannot be read: {error!r}", what="experiment") from error
    check_experiment(plan)
    return plan


def _plan(document: Mapping[str, Any]) -> ExperimentPlan:
    split = document["split"]
    return ExperimentPlan(
        experiment=document["experiment"],
        domain=document["domain"],
        layer=document["layer"],
        slots=tuple((first, end) for first, end in document["slots"]),
        split=TrafficPlan(
            domain=split["domain"],
            revision=split["revision"],
            salt=split["salt"],
            ranges=tuple(SlotRange(piece["first"], piece["end"], piece["version"]) for piece in split["ranges"]),
            algorithm=split["algorithm"],
        ),
        arms=tuple(Arm(arm["name"], arm["version"], dict(arm["parameters"])) for arm in document["arms"]),
        unit=document["unit"],
        conditions=tuple(
            Condition(each["attribute"], Operator(each["operator"]), tuple(each["values"]))
            for each in document["conditions"]
        ),
        overrides=dict(document["overrides"]),
    )
