"""The nouns of traffic: which share of a domain's users each version serves, and in which experiments they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

SLOTS = 10_000
"""Slots a plan divides: one slot is one basis point of the units."""

ALGORITHM = 1
"""Version of the assignment: ``slot = (xxh3_64(salt + ":" + unit) * SLOTS) >> 64``."""


@dataclass(frozen=True, slots=True)
class SlotRange:
    """Slots ``first`` (included) to ``end`` (excluded) go to a version."""

    first: int
    end: int
    version: str


@dataclass(frozen=True, slots=True)
class Shadow:
    """A version that answers copies of requests; nobody sees its answers.

    Args:
        share: basis points of the domain's requests that are copied, 1 to `SLOTS`.
    """

    version: str
    share: int = SLOTS


@dataclass(frozen=True, slots=True)
class Comparison:
    """A canary and the equally large control that it is compared with, within one plan.

    The canary's units are those whose slots the plan gives to its version; the control's are slots of the baseline.

    Args:
        rollout: its id; exposures are recorded under it, with the arms `CANARY` and `CONTROL`.
        epoch: grows by one with each change of the weights of one rollout, from 1.
        canary: the version that is tried.
        control: slots ``first`` (included) to ``end`` (excluded) of the baseline; equal for no control at all.
    """

    rollout: str
    epoch: int
    canary: str
    control: tuple[int, int]

    @property
    def control_weight(self) -> int:
        """Slots of the control."""
        return self.control[1] - self.control[0]


CANARY = "canary"
CONTROL = "control"


@dataclass(frozen=True, slots=True)
class TrafficPlan:
    """Which version serves which slot of a domain. Ranges are sorted, disjoint, and cover every slot.

    Args:
        revision: grows by one with each change; a gateway applies a plan only if its revision is newer.
        salt: fixed for the plan's life, so that a unit keeps its slot.
        comparison: what a rollout compares in it; None outside of one.
        shadow: who answers copies besides; it has no weight.
    """

    domain: str
    revision: int
    salt: str
    ranges: tuple[SlotRange, ...]
    algorithm: int = ALGORITHM
    comparison: Comparison | None = None
    shadow: Shadow | None = None

    @property
    def weights(self) -> dict[str, int]:
        """Basis points of each version that serves, in the order of the slots; they sum to `SLOTS`."""
        found: dict[str, int] = {}
        for piece in self.ranges:
            found[piece.version] = found.get(piece.version, 0) + piece.end - piece.first
        return found


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """One revision of a plan in its history: in force from ``at`` until the next revision.

    Args:
        change: the audit action that made it, such as ``traffic.shift``.
        restores: the earlier revision whose ranges this one brought back; None for a plan of its own.
    """

    plan: TrafficPlan
    at: datetime
    actor: str
    change: str
    reason: str | None = None
    restores: int | None = None


Scalar = str | int | float | bool
"""What a parameter or an attribute may be."""


class Operator(StrEnum):
    """How a condition compares an attribute with its values."""

    IN = "in"
    NOT_IN = "not_in"
    STARTS_WITH = "starts_with"
    AT_LEAST = "at_least"
    BELOW = "below"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class Condition:
    """Who may take part: an attribute of the request (a header, or what an OpenFeature client says) against values.

    An attribute that is absent fulfils `Operator.NOT_IN` alone.
    """

    attribute: str
    operator: Operator
    values: tuple[Scalar, ...] = ()


@dataclass(frozen=True, slots=True)
class Arm:
    """One thing that is compared.

    Args:
        version: the model version that serves the arm; None leaves it to the domain's traffic plan.
        parameters: what the arm sets besides, such as ``temperature``, or flags of the calling application.
    """

    name: str
    version: str | None = None
    parameters: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """A running experiment, as the gateway applies it.

    Args:
        experiment: its id, unique in the fleet.
        layer: of the domain. Experiments of one layer share no unit, and divide the same kind of unit; different
            layers divide the units independently, and may not set the same thing (the version, or a parameter of the
            same name).
        slots: sorted, disjoint ranges ``[first, end)`` of the layer's `SLOTS` whose units may enter; no other
            running experiment of the layer has any of them.
        split: the arms by name with their weights, on slots of the experiment's own salt; its ``version`` fields
            name arms, its revision is the epoch: it grows with every change of weights or arms.
        arms: control first.
        unit: ``user``, ``session``, ``request`` or ``header:NAME``: what keeps its arm.
        conditions: all must hold.
        overrides: arms by unit, for testers: they see the arm whatever holdout, slots and conditions say, and are
            not counted.
    """

    experiment: str
    domain: str
    layer: str
    slots: tuple[tuple[int, int], ...]
    split: TrafficPlan
    arms: tuple[Arm, ...]
    unit: str = "user"
    conditions: tuple[Condition, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExperimentRecord:
    """One revision of an experiment's plan in its history: in force from ``at`` until the next revision.

    Args:
        revision: from 1, grows by one with each change of anything; the epoch (`ExperimentPlan.split`) grows only with
            weights and arms.
        running: whether units may enter; False from its withdrawal on.
        change: the audit action that made it.
    """

    plan: ExperimentPlan
    revision: int
    running: bool
    at: datetime
    actor: str
    change: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Holdout:
    """Units that take part in no experiment of any domain: the first ``slots`` slots under a salt of its own.

    The salt is fixed, so that the units of a smaller holdout are among those of a larger one.
    """

    salt: str = "holdout"
    slots: int = 0


@dataclass(frozen=True, slots=True)
class PlacedExperiments:
    """Everything about experiments that a gateway applies, as of one instant.

    Args:
        running: the plans by domain, each by id.
        ended: ids of the experiments that ran once and do not now.
    """

    running: Mapping[str, tuple[ExperimentPlan, ...]] = field(default_factory=dict)
    holdout: Holdout = field(default_factory=Holdout)
    ended: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a unit gets from one experiment.

    Args:
        unit: the unit that was divided, such as the user's id.
        propensity: the probability with which the unit got this arm under the epoch's weights.
        counted: the unit entered by chance; overrides and testers are not counted.
    """

    experiment: str
    epoch: int
    arm: Arm
    unit: str
    propensity: float
    counted: bool = True
