"""The state of a rollout after each move: from a rollout to the next, without asking whether it may. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bailiwick.delivery.rollout.decide import step_at
from bailiwick.delivery.rollout.model import Action, Decision, Rollout, RolloutState
from bailiwick.errors import Conflict
from bailiwick.traffic.model import SLOTS


def moved(rollout: Rollout, decision: Decision, now: datetime) -> Rollout:
    """What a decision makes of a rollout; for `Action.HOLD` nothing but its reason."""
    seen = replace(rollout, evidence=decision.evidence, reason=decision.reason)
    if decision.action is Action.ADVANCE:
        return at_weight(seen, decision.weight, decision.step)
    if decision.action is Action.PAUSE:
        return replace(seen, state=RolloutState.PAUSED)
    if decision.action is Action.ABORT:
        return aborted(seen, decision.reason, now)
    if decision.action is Action.FINISH:
        return replace(seen, state=RolloutState.SUCCEEDED, weight=SLOTS, ended_at=now)
    return seen


def at_weight(rollout: Rollout, weight: int, step: int | None = None) -> Rollout:
    """The rollout with another weight; its dwell begins anew."""
    step = step_at(rollout.steps, rollout.policy.hold_back, weight) if step is None else step
    state = RolloutState.GUARDING if step == len(rollout.steps) else RolloutState.RUNNING
    if rollout.state is RolloutState.PAUSED and weight < rollout.weight:
        state = RolloutState.PAUSED
    return replace(rollout, state=state, step=step, weight=weight, seen_s=0.0)


def paused(rollout: Rollout, reason: str) -> Rollout:
    """The rollout held where it is.

    Raises:
        Conflict: it is paused already.
    """
    if rollout.state is RolloutState.PAUSED:
        raise Conflict(f"the rollout {rollout.id!r} is paused already", what="rollout", requested=rollout.id)
    return replace(rollout, state=RolloutState.PAUSED, reason=reason)


def resumed(rollout: Rollout, reason: str) -> Rollout:
    """The rollout going on; the time that it may wait for a decision begins anew.

    Raises:
        Conflict: it is not paused.
    """
    if rollout.state is not RolloutState.PAUSED:
        raise Conflict(
            f"the rollout {rollout.id!r} is not paused but {rollout.state.value}", what="rollout", requested=rollout.id
        )
    if rollout.present is None:
        return replace(rollout, state=RolloutState.GUARDING, reason=reason)
    seen_s = min(rollout.seen_s, rollout.present.dwell_s)
    return replace(rollout, state=RolloutState.RUNNING, seen_s=seen_s, reason=reason)


def aborted(rollout: Rollout, reason: str, now: datetime) -> Rollout:
    """The rollout taken back altogether."""
    return replace(rollout, state=RolloutState.ABORTED, weight=0, reason=reason, ended_at=now)


def superseded(rollout: Rollout, reason: str, now: datetime) -> Rollout:
    """The rollout ended by a change of the plan that it did not make."""
    return replace(rollout, state=RolloutState.SUPERSEDED, reason=reason, ended_at=now)
