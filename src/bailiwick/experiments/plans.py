"""From an experiment to the plan that the gateway applies, and to the next epoch. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from bailiwick.errors import Conflict, InvalidInput
from bailiwick.experiments.design import check_arm_weights, check_arms
from bailiwick.experiments.model import Epoch, Experiment, Kind
from bailiwick.traffic.model import SLOTS, Arm, ExperimentPlan
from bailiwick.traffic.splits import first_split
from bailiwick.traffic.weights import reweight, share_weights


def first_epoch(experiment: Experiment, now: datetime) -> Epoch:
    """The epoch with which it starts."""
    return Epoch(1, now, experiment.design.arms, experiment.design.weights)


def first_plan(experiment: Experiment, slots: tuple[tuple[int, int], ...]) -> ExperimentPlan:
    """The plan of epoch 1 on these slots of its layer."""
    design = experiment.design
    return ExperimentPlan(
        experiment=design.id,
        domain=design.domain,
        layer=design.layer,
        slots=slots,
        split=first_split(design.domain, design.id, design.weights),
        arms=design.arms,
        unit=design.unit,
        conditions=design.conditions,
        overrides=experiment.overrides,
    )


def next_plan(plan: ExperimentPlan, epoch: Epoch) -> ExperimentPlan:
    """The plan of a later epoch, moving the fewest units."""
    split = replace(reweight(plan.split, epoch.weights), revision=epoch.number)
    names = {arm.name for arm in epoch.arms}
    overrides = {unit: arm for unit, arm in plan.overrides.items() if arm in names}
    return replace(plan, split=split, arms=epoch.arms, overrides=overrides)


def with_weights(experiment: Experiment, weights: Mapping[str, int], now: datetime, reason: str | None) -> Epoch:
    """The next epoch, with new weights for the same arms.

    Raises:
        InvalidInput: the weights do not fit the arms.
        Conflict: they are as they were.
    """
    present = _present(experiment)
    check_arm_weights(weights, present.arms)
    if dict(weights) == dict(present.weights):
        raise Conflict(f"the weights of {experiment.id!r} are so already", what="weights", requested=dict(weights))
    ordered = {arm.name: weights[arm.name] for arm in present.arms}
    return Epoch(present.number + 1, now, present.arms, ordered, reason)


def with_arm(experiment: Experiment, arm: Arm, share: int | None, now: datetime, reason: str | None) -> Epoch:
    """The next epoch, with one more arm; the others keep the rest in their proportions.

    Args:
        experiment: that runs.
        arm: new, or one that was dropped earlier, as it was.
        share: basis points; an equal share where None.
        now: when the epoch begins.
        reason: why.

    Raises:
        InvalidInput: the arm is there already, equals the control, or is not what it was.
    """
    present = _present(experiment)
    before = next((each for each in experiment.arms if each.name == arm.name), None)
    if before is not None and before != arm:
        raise InvalidInput(
            f"the arm {arm.name!r} of {experiment.id!r} was something else",
            what="name",
            requested=arm.name,
            remedy="choose another name: what an arm showed must stay its own",
        )
    arms = (*present.arms, arm)
    check_arms(_kind_with(experiment, arms), arms)
    weights = share_weights(present.weights, arm.name, SLOTS // len(arms) if share is None else share)
    check_arm_weights(weights, arms)
    return Epoch(present.number + 1, now, arms, weights, reason)


def without_arm(experiment: Experiment, name: str, now: datetime, reason: str | None) -> Epoch:
    """The next epoch, without an arm; the others take over its share in their proportions.

    Raises:
        InvalidInput: it is no arm, or the control.
        Conflict: only two arms are left.
    """
    present = _present(experiment)
    names = [arm.name for arm in present.arms]
    if name not in names[1:]:
        raise InvalidInput(
            f"{name!r} cannot be dropped from {experiment.id!r}",
            what="arm",
            requested=name,
            allowed=names[1:],
            remedy="the control stays; conclude the experiment instead",
        )
    if len(names) == 2:
        raise Conflict(
            f"{experiment.id!r} has only one treatment left",
            what="arm",
            requested=name,
            remedy=f"conclude it: bailiwick experiment conclude {experiment.id}",
        )
    left = {arm: weight for arm, weight in present.weights.items() if arm != name}
    last = names[-1] if names[-1] != name else names[-2]
    rest = SLOTS - sum(left.values())
    shares = {arm: weight + rest * weight // sum(left.values()) for arm, weight in left.items()}
    shares[last] += SLOTS - sum(shares.values())
    arms = tuple(arm for arm in present.arms if arm.name != name)
    return Epoch(present.number + 1, now, arms, {arm.name: shares[arm.name] for arm in arms}, reason)


def _present(experiment: Experiment) -> Epoch:
    assert experiment.present is not None, "only what has started has a next epoch"
    return experiment.present


def _kind_with(experiment: Experiment, arms: tuple[Arm, ...]) -> Kind:
    kind = experiment.design.kind
    return Kind.MULTIVARIANT if kind is Kind.AB and len(arms) > 2 else kind
