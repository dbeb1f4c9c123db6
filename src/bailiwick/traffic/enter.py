"""Which arms of which experiments a unit gets. Pure.

What runs is compiled, so that the cost depends on the layers of a domain and not on how many experiments run in them.
The way in: an override first, then not held out, then the layer's slot, then the conditions, then the split.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from bailiwick.traffic.assign import salt_bytes, slot_of_bytes, unit_bytes
from bailiwick.traffic.conditions import Attributes, Check, compile_condition
from bailiwick.traffic.layers import layer_salt
from bailiwick.traffic.model import SLOTS, Arm, Assignment, ExperimentPlan, Holdout

Units = Callable[[str], str | None]
"""The unit of a kind (see `ExperimentPlan.unit`); None where a request has none."""


@dataclass(frozen=True, slots=True)
class CompiledExperiment:
    """One experiment, ready to be entered.

    Args:
        arms: in the order of the split's ranges, with the propensity of each.
        starts: the first slot of each range.
        overridden: arms by unit.
    """

    plan: ExperimentPlan
    checks: tuple[Check, ...]
    salt: bytes
    starts: tuple[int, ...]
    arms: tuple[tuple[Arm, float], ...]
    overridden: Mapping[str, tuple[Arm, float]]


@dataclass(frozen=True, slots=True)
class CompiledLayer:
    """The experiments of one layer.

    Args:
        owner_of: for each slot the place of its owner in ``owners``; never written after it is made. A search among the
            borders would cost more the more experiments there are.
        owners: the experiments, after None, which owns the free slots.
        overridden: the experiment of each unit that is overridden.
    """

    name: str
    unit: str
    salt: bytes
    owner_of: array[int]
    owners: tuple[CompiledExperiment | None, ...]
    overridden: Mapping[str, CompiledExperiment]


@dataclass(frozen=True, slots=True)
class CompiledDomain:
    """The experiments of one domain.

    Args:
        by_unit: the layers by the kind of unit that they divide.
        layer_of: the layer of each experiment, by the experiment's id.
        experiments: by id.
        held_out: slots of the holdout, under its salt.
    """

    by_unit: tuple[tuple[str, tuple[CompiledLayer, ...]], ...] = ()
    layer_of: Mapping[str, CompiledLayer] = field(default_factory=dict)
    experiments: Mapping[str, CompiledExperiment] = field(default_factory=dict)
    holdout: Holdout = field(default_factory=Holdout)
    holdout_salt: bytes = b""
    held_out: int = 0

    def plan(self, experiment: str) -> ExperimentPlan:
        """The plan of an experiment; KeyError where it was not compiled."""
        return self.experiments[experiment].plan


def compile_domain(plans: Iterable[ExperimentPlan], holdout: Holdout) -> CompiledDomain:
    """The experiments of one domain, which `layers.check_beside` has let run beside each other.

    Raises:
        InvalidInput: a condition is malformed, which `check_experiment` rules out.
    """
    experiments = {plan.experiment: _experiment(plan) for plan in sorted(plans, key=lambda plan: plan.experiment)}
    grouped: dict[str, list[CompiledExperiment]] = {}
    for experiment in experiments.values():
        grouped.setdefault(experiment.plan.layer, []).append(experiment)
    layers = {name: _layer(name, grouped[name]) for name in sorted(grouped)}
    kinds = sorted({layer.unit for layer in layers.values()})
    return CompiledDomain(
        by_unit=tuple((kind, tuple(layer for layer in layers.values() if layer.unit == kind)) for kind in kinds),
        layer_of={name: layers[experiment.plan.layer] for name, experiment in experiments.items()},
        experiments=experiments,
        holdout=holdout,
        holdout_salt=salt_bytes(holdout.salt),
        held_out=holdout.slots,
    )


def assignments(domain: CompiledDomain, attributes: Attributes, units: Units) -> tuple[Assignment, ...]:
    """What the units of a request get from the experiments of a domain: at most one arm per layer.

    >>> from bailiwick.traffic.splits import first_split
    >>> split = first_split("cards", "tone", {"plain": 5000, "warm": 5000})
    >>> tone = ExperimentPlan("tone", "cards", "answers", ((0, SLOTS),), split, (Arm("plain"), Arm("warm")))
    >>> [found] = assignments(compile_domain([tone], Holdout()), {}.get, {"user": "user-42"}.get)
    >>> found.experiment, found.propensity
    ('tone', 0.5)
    """
    found = []
    for kind, layers in domain.by_unit:
        unit = units(kind)
        if unit is None:
            continue
        raw = unit_bytes(unit)
        held_out = bool(domain.held_out) and slot_of_bytes(domain.holdout_salt, raw) < domain.held_out
        for layer in layers:
            entered = _enter(layer, unit, raw, held_out, attributes)
            if entered is not None:
                found.append(entered)
    return tuple(found)


def assignment(domain: CompiledDomain, experiment: str, attributes: Attributes, unit: str) -> Assignment | None:
    """What a unit gets from one experiment; None when it takes no part.

    Raises:
        KeyError: no such experiment was compiled.
    """
    raw = unit_bytes(unit)
    held_out = slot_of_bytes(domain.holdout_salt, raw) < domain.held_out
    found = _enter(domain.layer_of[experiment], unit, raw, held_out, attributes)
    return found if found is not None and found.experiment == experiment else None


def _enter(layer: CompiledLayer, unit: str, raw: bytes, held_out: bool, attributes: Attributes) -> Assignment | None:
    if layer.overridden and (chosen := layer.overridden.get(unit)) is not None:
        arm, propensity = chosen.overridden[unit]
        return Assignment(chosen.plan.experiment, chosen.plan.split.revision, arm, unit, propensity, counted=False)
    if held_out:
        return None
    owner = layer.owners[layer.owner_of[slot_of_bytes(layer.salt, raw)]]
    if owner is None:
        return None
    for check in owner.checks:
        if not check(attributes):
            return None
    arm, propensity = owner.arms[bisect_right(owner.starts, slot_of_bytes(owner.salt, raw)) - 1]
    return Assignment(owner.plan.experiment, owner.plan.split.revision, arm, unit, propensity)


def _layer(name: str, experiments: list[CompiledExperiment]) -> CompiledLayer:
    owner_of = array("H", bytes(2 * SLOTS))
    for place, experiment in enumerate(experiments, start=1):
        for first, end in experiment.plan.slots:
            owner_of[first:end] = array("H", [place]) * (end - first)
    plan = experiments[0].plan
    return CompiledLayer(
        name=name,
        unit=plan.unit,
        salt=salt_bytes(layer_salt(plan.domain, name)),
        owner_of=owner_of,
        owners=(None, *experiments),
        overridden={unit: experiment for experiment in experiments for unit in experiment.overridden},
    )


def _experiment(plan: ExperimentPlan) -> CompiledExperiment:
    arms = {arm.name: arm for arm in plan.arms}
    weights = plan.split.weights
    return CompiledExperiment(
        plan=plan,
        checks=tuple(compile_condition(condition) for condition in plan.conditions),
        salt=salt_bytes(plan.split.salt),
        starts=tuple(piece.first for piece in plan.split.ranges),
        arms=tuple((arms[piece.version], weights[piece.version] / SLOTS) for piece in plan.split.ranges),
        overridden={unit: (arms[name], weights.get(name, 0) / SLOTS) for unit, name in plan.overrides.items()},
    )
