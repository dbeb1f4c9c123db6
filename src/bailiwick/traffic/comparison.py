"""Which slots of a plan are compared with which: an equally large control at the other end of the baseline. Pure.

The canary grows from the end of the slots towards their start, the control from the start of the baseline's towards
the end. So both only gain slots while the canary grows to one half; from there on the control is what is left.
"""

from __future__ import annotations

from bailiwick.errors import InvalidInput
from bailiwick.traffic.model import CANARY, CONTROL, Comparison, TrafficPlan


def compared(plan: TrafficPlan, rollout: str, epoch: int, canary: str, baseline: str) -> Comparison:
    """The comparison of a canary with its baseline in a plan that two versions share.

    Args:
        plan: in which the baseline stands before the canary.
        rollout: its id.
        epoch: of the rollout's weights, from 1.
        canary: the version that is tried.
        baseline: the version that it is compared with; a canary that has everything leaves it no slot.

    Raises:
        InvalidInput: another version serves too, or one of the two stands in several pieces.

    >>> from bailiwick.traffic.weights import reweight, whole
    >>> plan = reweight(whole("cards", "v1", "salt"), {"v1": 9_000, "v2": 1_000})
    >>> compared(plan, "rollout-1", 1, "v2", "v1").control
    (0, 1000)
    """
    pieces = {piece.version: piece for piece in plan.ranges}
    if canary not in pieces or not pieces.keys() <= {canary, baseline} or len(pieces) != len(plan.ranges):
        raise InvalidInput(
            f"{canary!r} and {baseline!r} cannot be compared in this plan",
            what="plan",
            requested={piece.version: (piece.first, piece.end) for piece in plan.ranges},
            allowed="two versions, each in one piece",
        )
    if baseline not in pieces:
        return Comparison(rollout, epoch, canary, (0, 0))
    ours, theirs = pieces[canary], pieces[baseline]
    size = min(ours.end - ours.first, theirs.end - theirs.first)
    # at the end of the baseline's slots that is away from the canary's, so that neither takes from the other
    first = theirs.first if theirs.first < ours.first else theirs.end - size
    return Comparison(rollout, epoch, canary, (first, first + size))


def arm_of(plan: TrafficPlan, slot: int, version: str) -> tuple[str, float] | None:
    """The arm of the plan's comparison that a unit is in, and the probability of it; None for neither.

    Args:
        plan: of the domain.
        slot: of the unit.
        version: that the plan gives to the slot.
    """
    comparison = plan.comparison
    if comparison is None:
        return None
    whole = plan.ranges[-1].end
    if version == comparison.canary:
        return CANARY, sum(piece.end - piece.first for piece in plan.ranges if piece.version == version) / whole
    first, end = comparison.control
    return (CONTROL, (end - first) / whole) if first <= slot < end else None
