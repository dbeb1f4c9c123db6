"""What to do with a rollout: one pure function from what is and what was seen to the next step.

In this order, the first that applies:
1. evidence of harm aborts, in every state that is not final, frozen or paused or guarding alike;
2. a spent blast radius aborts, unless the canary is proven by then: it may not be tried on more;
3. a pause holds;
4. what is frozen, too young, too small, not approved or not proven holds, and says which;
5. evidence that nothing required is worse than its margin promotes;
6. a step that cannot decide for too long pauses or aborts, as the policy says.

No data is no evidence: it neither promotes nor aborts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from bailiwick.delivery.rollout.blast_radius import blocks, spent
from bailiwick.delivery.rollout.freeze import FreezeWindow, frozen_by
from bailiwick.delivery.rollout.model import (
    Action,
    Decision,
    Evidence,
    Finding,
    MetricEvidence,
    Rollout,
    RolloutState,
    Step,
)
from bailiwick.traffic.model import SLOTS
from bailiwick.traffic.weights import percent


def decide(rollout: Rollout, evidence: Evidence, now: datetime, freezes: tuple[FreezeWindow, ...] = ()) -> Decision:
    """The next move of a rollout.

    Args:
        rollout: as it is stored, with `Rollout.seen_s` up to now.
        evidence: over everything since it began.
        now: for the freezes.
        freezes: of the domain, beside those of the rollout's own policy.
    """
    if rollout.state.is_final:
        return _stay(rollout, evidence, f"it is {rollout.state.value}")
    harmful = harm(evidence)
    if harmful is not None:
        return Decision(Action.ABORT, harmful, 0, rollout.step, evidence)
    over = None if rollout.present is None else spent(rollout.policy, evidence)
    if over is not None:
        return Decision(Action.ABORT, over, 0, rollout.step, evidence)
    if rollout.state is RolloutState.PAUSED:
        return _stay(rollout, evidence, rollout.reason or "it is paused")
    if rollout.state is RolloutState.GUARDING:
        return _guard(rollout, evidence, barred(rollout, now, freezes))
    assert rollout.present is not None
    return _leave(rollout, rollout.present, evidence, barred(rollout, now, freezes))


def _guard(rollout: Rollout, evidence: Evidence, bar: str | None) -> Decision:
    left = rollout.policy.guard_s - rollout.seen_s
    if left > 0:
        return _stay(rollout, evidence, f"guarding for {_seconds(left)} more")
    if bar is not None:
        return _stay(rollout, evidence, bar)
    return Decision(Action.FINISH, "the guard window ended without evidence of harm", SLOTS, rollout.step, evidence)


def _leave(rollout: Rollout, step: Step, evidence: Evidence, bar: str | None) -> Decision:
    waits = _waits(rollout, step, evidence, bar)
    if not waits:
        return _next(rollout, evidence)
    most = rollout.policy.max_hold_s
    if most is not None and rollout.seen_s > step.dwell_s + most and _outside(rollout, step, bar) is None:
        action = Action.ABORT if rollout.policy.abort_on_max_hold else Action.PAUSE
        reason = f"no decision within {_seconds(most)} after the dwell: {waits}"
        return Decision(action, reason, 0 if action is Action.ABORT else rollout.weight, rollout.step, evidence)
    return _stay(rollout, evidence, waits)


def _waits(rollout: Rollout, step: Step, evidence: Evidence, bar: str | None) -> str | None:
    """Why the step cannot be left yet."""
    outside = _outside(rollout, step, bar)
    if outside is not None:
        return outside
    return unproven(rollout, evidence)


def unproven(rollout: Rollout, evidence: Evidence) -> str | None:
    """What the evidence lacks to let the canary have more than it has; None when it lacks nothing.

    It counts what has been seen, not how long that took: a person may promote before the dwell is over.
    """
    compared = min(evidence.canary_units, evidence.control_units)
    sample = rollout.present.sample if rollout.present is not None else 0
    if compared < sample:
        return f"{compared} of {sample} units compared"
    if not any(metric.rule.required for metric in evidence.metrics):
        return "nothing was measured"
    return "; ".join(metric.words for metric in evidence.metrics if blocks(metric.rule, metric.finding)) or None


def harm(evidence: Evidence) -> str | None:
    """The evidence of harm in words; None without any."""
    return "; ".join(metric.words for metric in evidence.metrics if metric.finding is Finding.HARMFUL) or None


def telling(evidence: Evidence) -> MetricEvidence | None:
    """The metric that says most of those measured on both sides: the first harmful one, else the first one."""
    measured = [each for each in evidence.metrics if each.canary is not None and each.control is not None]
    return min(measured, key=lambda each: each.finding is not Finding.HARMFUL, default=None)


def _outside(rollout: Rollout, step: Step, bar: str | None) -> str | None:
    """A reason that no amount of evidence would remove."""
    if rollout.seen_s < step.dwell_s:
        return f"{percent(rollout.weight)} for {_seconds(step.dwell_s - rollout.seen_s)} more"
    return bar


def barred(rollout: Rollout, now: datetime, freezes: tuple[FreezeWindow, ...] = ()) -> str | None:
    """Why the canary may not have more now whatever the evidence: a freeze, or a missing approval."""
    frozen = frozen_by((*rollout.policy.freezes, *freezes), now)
    if frozen is not None:
        window, end = frozen
        return f"frozen by {window.name!r} until {end.isoformat(timespec='minutes')}"
    step = rollout.present
    if step is not None and step.approval and rollout.approved_step < rollout.step:
        return f"waiting for approval to go beyond {percent(rollout.weight)}"
    return None


def watched(rollout: Rollout, now: datetime, longest_tick_s: float, freezes: tuple[FreezeWindow, ...] = ()) -> Rollout:
    """The rollout with the time that has passed since a controller last looked.

    A clock that jumps, or a controller that was away, adds no more than one tick's most; a clock that goes back adds
    nothing. While no evidence could help, what is beyond the dwell does not count, so that a freeze over the weekend
    does not use up `RolloutPolicy.max_hold_s`.

    Args:
        rollout: as it is stored.
        now: by the controller's clock.
        longest_tick_s: the most that one look may add, in seconds.
        freezes: as for `decide`.
    """
    passed = min(max(0.0, (now - rollout.ticked_at).total_seconds()), longest_tick_s)
    if rollout.state is RolloutState.PAUSED or rollout.state.is_final:
        passed = 0.0
    seen, step = rollout.seen_s + passed, rollout.present
    if rollout.state is RolloutState.RUNNING and step is not None and barred(rollout, now, freezes) is not None:
        seen = min(seen, max(step.dwell_s, rollout.seen_s))
    return replace(rollout, seen_s=seen, ticked_at=now)


def _next(rollout: Rollout, evidence: Evidence) -> Decision:
    step, weight = step_after(rollout)
    proven = "; ".join(metric.words for metric in evidence.metrics if metric.finding is Finding.HARMLESS)
    return Decision(Action.ADVANCE, proven, weight, step, evidence)


def step_after(rollout: Rollout) -> tuple[int, int]:
    """Index and weight of the step after the present one; at the end the canary gets all but the hold-back."""
    following = rollout.step + 1
    if following < len(rollout.steps) and rollout.steps[following].weight < SLOTS:
        return following, rollout.steps[following].weight
    return len(rollout.steps), max(rollout.weight, SLOTS - rollout.policy.hold_back)


def step_at(steps: Sequence[Step], hold_back: int, weight: int) -> int:
    """The step that a weight belongs to: the last one that is not above it; the number of steps for all but a rest.

    >>> from bailiwick.delivery.rollout.schedule import DEFAULT_STEPS
    >>> [step_at(DEFAULT_STEPS, 500, weight) for weight in (50, 100, 999, 6_000, 9_500)]
    [0, 0, 0, 2, 4]
    """
    if weight >= SLOTS - hold_back:
        return len(steps)
    return max((index for index, step in enumerate(steps) if step.weight <= weight), default=0)


def _stay(rollout: Rollout, evidence: Evidence, reason: str) -> Decision:
    return Decision(Action.HOLD, reason, rollout.weight, rollout.step, evidence)


def _seconds(seconds: float) -> str:
    """As people say it.

    >>> _seconds(59.2), _seconds(300), _seconds(7200), _seconds(200_000)
    ('59 s', '5 min', '2.0 h', '2.3 days')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 5_400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3_600:.1f} h"
    return f"{seconds / 86_400:.1f} days"
