"""Layers: experiments of one layer share no unit, experiments of different layers do not disturb each other. Pure.

A layer of a domain has `SLOTS` slots under a salt of its own. An experiment holds some of them, and only units in its
slots may enter. So two layers divide the same units independently, as PlanOut's namespaces do (Bakshy, Eckles,
Bernstein 2014, section 4.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bailiwick.errors import Conflict, InvalidInput
from bailiwick.traffic.model import SLOTS, ExperimentPlan
from bailiwick.traffic.weights import percent

Ranges = tuple[tuple[int, int], ...]
"""Sorted, disjoint ranges ``[first, end)`` of slots."""


def layer_salt(domain: str, layer: str) -> str:
    """The salt of a layer; fixed for its life."""
    return f"layer:{domain}:{layer}"


def width(ranges: Ranges) -> int:
    """How many slots the ranges hold.

    >>> width(((0, 100), (300, 350)))
    150
    """
    return sum(end - first for first, end in ranges)


def reserve(running: Iterable[ExperimentPlan], domain: str, layer: str, experiment: str, coverage: int) -> Ranges:
    """The slots of an experiment that shall reach a share of a layer's units.

    Growing only adds slots, the lowest free ones; shrinking only gives slots back, the highest ones. So no unit leaves
    an experiment that grows, and none enters one that shrinks.

    Args:
        running: the experiments that run now, the one in question among them if it does.
        domain: of the layer.
        layer: of the experiment.
        experiment: its id.
        coverage: slots wanted, 1 to `SLOTS`.

    Raises:
        InvalidInput: the coverage is out of bounds.
        Conflict: the layer has not that many free slots; the message says who holds them.

    >>> reserve([], "cards", "answers", "short", 2500)
    ((0, 2500),)
    """
    if isinstance(coverage, bool) or not isinstance(coverage, int) or not 1 <= coverage <= SLOTS:
        raise InvalidInput(
            f"a coverage of {coverage!r} slots", what="coverage", requested=coverage, allowed=f"1 to {SLOTS}"
        )
    beside = [plan for plan in running if (plan.domain, plan.layer) == (domain, layer)]
    own = sorted(slot for plan in beside if plan.experiment == experiment for slot in _slots(plan.slots))
    if coverage <= len(own):
        return _ranges(own[:coverage])
    others = [plan for plan in beside if plan.experiment != experiment]
    held = {slot for plan in others for slot in _slots(plan.slots)}
    free = [slot for slot in range(SLOTS) if slot not in held and slot not in set(own)]
    missing = coverage - len(own)
    if missing > len(free):
        raise Conflict(
            f"{percent(coverage)} of the layer {layer!r} of {domain!r} is wanted, {percent(len(free) + len(own))} "
            f"can be had: {_holders(others)}",
            what="coverage",
            requested=coverage,
            allowed=len(free) + len(own),
            remedy="take less, another layer, or conclude an experiment",
        )
    return _ranges(sorted([*own, *free[:missing]]))


def check_beside(plan: ExperimentPlan, running: Iterable[ExperimentPlan]) -> None:
    """Whether an experiment may run beside those that run.

    Raises:
        Conflict: another experiment of its layer holds one of its slots, divides another kind of unit or overrides the
            same unit; or one of another layer of the domain sets the same thing. It names that experiment.
    """
    for other in running:
        if other.experiment == plan.experiment or other.domain != plan.domain:
            continue
        if other.layer == plan.layer:
            _check_same_layer(plan, other)
        else:
            _check_other_layer(plan, other)


def sets(plan: ExperimentPlan) -> frozenset[str]:
    """What the arms of an experiment set: ``the version``, and ``the parameter NAME``."""
    parameters = {f"the parameter {name!r}" for arm in plan.arms for name in arm.parameters}
    return frozenset(parameters | ({"the version"} if any(arm.version is not None for arm in plan.arms) else set()))


def choosing_versions(running: Iterable[ExperimentPlan]) -> list[ExperimentPlan]:
    """The experiments whose arms name versions: those who take part are served by them, whatever is deployed."""
    return [plan for plan in running if any(arm.version is not None for arm in plan.arms)]


def _check_same_layer(plan: ExperimentPlan, other: ExperimentPlan) -> None:
    where = f"the layer {plan.layer!r} of {plan.domain!r}"
    if plan.unit != other.unit:
        raise Conflict(
            f"{other.experiment!r} divides {where} by {other.unit!r}, not by {plan.unit!r}",
            what="unit",
            requested=plan.unit,
            allowed=other.unit,
            remedy="use the same unit, or another layer",
        )
    taken = set(_slots(other.slots)).intersection(_slots(plan.slots))
    if taken:
        raise Conflict(
            f"{len(taken)} slots of {where} are held by {other.experiment!r}",
            what="slots",
            requested=plan.slots,
            remedy="take free slots, or another layer",
        )
    both = sorted(plan.overrides.keys() & other.overrides.keys())
    if both:
        raise Conflict(
            f"{other.experiment!r} overrides the unit {both[0]!r} in {where}", what="overrides", requested=both[0]
        )


def _check_other_layer(plan: ExperimentPlan, other: ExperimentPlan) -> None:
    both = sorted(sets(plan) & sets(other))
    if both:
        raise Conflict(
            f"{other.experiment!r} in the layer {other.layer!r} of {plan.domain!r} sets {both[0]} too",
            what="layer",
            requested=plan.layer,
            allowed=other.layer,
            remedy=f"put both into the layer {other.layer!r}, so that no unit is in both",
        )


def _holders(plans: Sequence[ExperimentPlan]) -> str:
    return ", ".join(f"{plan.experiment!r} holds {percent(width(plan.slots))}" for plan in plans)


def _slots(ranges: Ranges) -> Iterable[int]:
    return (slot for first, end in ranges for slot in range(first, end))


def _ranges(slots: Sequence[int]) -> Ranges:
    """Sorted slots as ranges."""
    starts = [slot for index, slot in enumerate(slots) if index == 0 or slots[index - 1] != slot - 1]
    ends = [slot + 1 for index, slot in enumerate(slots) if index == len(slots) - 1 or slots[index + 1] != slot + 1]
    return tuple(zip(starts, ends, strict=True))
