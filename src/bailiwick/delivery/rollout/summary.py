"""How rollouts have gone, all together: how many failed, how long that took, and whom it touched. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from bailiwick.delivery.rollout.decide import harm
from bailiwick.delivery.rollout.model import Rollout, RolloutState


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of many rollouts.

    Args:
        active: still under way.
        succeeded, aborted, superseded: by how they ended.
        harmful: of the aborted ones, those with evidence of harm; the others were taken back by hand, or had spent what
            they might be tried on.
        failure_rate: the aborted ones as a share of those that were decided; None before one was.
        to_succeed_s, to_abort_s: median seconds from start to end; None without one.
        units_on_aborted: users who met a version that was taken back, as far as they were compared.
        requests_on_aborted: of theirs.
    """

    active: int
    succeeded: int
    aborted: int
    harmful: int
    superseded: int
    failure_rate: float | None
    to_succeed_s: float | None
    to_abort_s: float | None
    units_on_aborted: int
    requests_on_aborted: int


def summary(rollouts: Iterable[Rollout]) -> Summary:
    """The summary of some rollouts, in any order."""
    by_state: dict[RolloutState, list[Rollout]] = {state: [] for state in RolloutState}
    for rollout in rollouts:
        by_state[rollout.state].append(rollout)
    succeeded, aborted = by_state[RolloutState.SUCCEEDED], by_state[RolloutState.ABORTED]
    decided = len(succeeded) + len(aborted)
    return Summary(
        active=sum(len(found) for state, found in by_state.items() if not state.is_final),
        succeeded=len(succeeded),
        aborted=len(aborted),
        harmful=sum(harm(each.evidence) is not None for each in aborted),
        superseded=len(by_state[RolloutState.SUPERSEDED]),
        failure_rate=len(aborted) / decided if decided else None,
        to_succeed_s=_median_s(succeeded),
        to_abort_s=_median_s(aborted),
        units_on_aborted=sum(each.evidence.canary_units for each in aborted),
        requests_on_aborted=sum(each.evidence.canary_requests for each in aborted),
    )


def _median_s(ended: Iterable[Rollout]) -> float | None:
    lasted = [(each.ended_at - each.started_at).total_seconds() for each in ended if each.ended_at is not None]
    return median(lasted) if lasted else None
