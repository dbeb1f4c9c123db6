"""What a rollout did, for who was not there: whom it exposed, how long it took to decide, and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bailiwick.delivery.rollout.model import Evidence, Rollout, Transition


@dataclass(frozen=True, slots=True)
class Phase:
    """The time between two moves that changed weight or state.

    Args:
        weight: of the canary, in basis points.
        lasted_s: seconds.
        left_by: the action that ended it; None while it lasts.
        why: the reason that was recorded with that action.
    """

    weight: int
    state: str
    lasted_s: float
    left_by: str | None
    actor: str | None
    why: str


@dataclass(frozen=True, slots=True)
class RolloutReport:
    """A rollout in retrospect, or up to now.

    Args:
        decided_s: from the start to the end of the last phase in which something had to be decided; None until then.
        total_s: from start to end, or to now.
        peak_weight: the most that the canary ever had, in basis points.
        forced: moves that a person made without the evidence.
    """

    rollout: Rollout
    phases: tuple[Phase, ...]
    evidence: Evidence
    decided_s: float | None
    total_s: float
    peak_weight: int
    forced: int


def report(rollout: Rollout, transitions: Sequence[Transition], evidence: Evidence, now: datetime) -> RolloutReport:
    """The report of a rollout.

    Args:
        rollout: as it stands.
        transitions: all of it, the first one first.
        evidence: at its end, or now.
        now: where it still goes on.
    """
    until = rollout.ended_at or now
    phases = []
    for index, move in enumerate(transitions):
        if move.after.is_final:
            break
        following = transitions[index + 1] if index + 1 < len(transitions) else None
        end = following.at if following else until
        phases.append(
            Phase(
                move.weight,
                move.after.value,
                max(0.0, (end - move.at).total_seconds()),
                following.action if following else None,
                following.actor if following else None,
                following.reason if following else rollout.reason,
            )
        )
    decisive = [move for move in transitions if move.after.is_final or move.step == len(rollout.steps)]
    return RolloutReport(
        rollout=rollout,
        phases=tuple(phases),
        evidence=evidence,
        decided_s=(decisive[0].at - rollout.started_at).total_seconds() if decisive else None,
        total_s=(until - rollout.started_at).total_seconds(),
        peak_weight=max((move.weight for move in transitions), default=0),
        forced=sum(move.forced for move in transitions),
    )
