"""How rollouts have gone, all together."""

from __future__ import annotations

from datetime import timedelta

from rollouts import HARMED, NOW, a_rollout

from bailiwick.delivery.rollout.model import Evidence, Rollout, RolloutState
from bailiwick.delivery.rollout.summary import Summary, summary


def ended(state: RolloutState, minutes: float, units: int = 0) -> Rollout:
    seen = Evidence((), units, units, 2 * units)
    return a_rollout(state=state, ended_at=NOW + timedelta(minutes=minutes), evidence=seen)


def test_summary__none__knows_no_rate() -> None:
    assert summary([]) == Summary(0, 0, 0, 0, 0, None, None, None, 0, 0)


def test_summary__of_all_kinds__counts_each_once_and_only_what_was_decided() -> None:
    found = summary(
        [
            a_rollout(),
            a_rollout(state=RolloutState.PAUSED),
            ended(RolloutState.SUCCEEDED, 60, units=900),
            ended(RolloutState.SUCCEEDED, 120),
            ended(RolloutState.SUCCEEDED, 600),
            ended(RolloutState.ABORTED, 4, units=30),
            ended(RolloutState.SUPERSEDED, 1, units=10),
        ]
    )
    assert found == Summary(2, 3, 1, 0, 1, 0.25, 7_200.0, 240.0, 30, 60)


def test_summary__aborted_on_evidence__told_from_what_people_took_back() -> None:
    harmed = a_rollout(state=RolloutState.ABORTED, ended_at=NOW, evidence=HARMED)
    found = summary([harmed, ended(RolloutState.ABORTED, 4)])
    assert (found.aborted, found.harmful, found.failure_rate) == (2, 1, 1.0)
