"""The steps of a rollout: how they must rise, where to start, and how long the traffic makes them take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bailiwick.delivery.rollout.model import Step
from bailiwick.errors import InvalidInput
from bailiwick.traffic.model import SLOTS
from bailiwick.traffic.weights import percent

DEFAULT_STEPS = (
    Step(100, margin_scale=5.0),
    Step(1_000, margin_scale=2.0),
    Step(5_000, margin_scale=0.7),
    Step(SLOTS, margin_scale=1.0),
)
"""1 -> 10 -> 50 -> 100 %. Before 10 % a harm of five margins must be excluded, before 50 % of two, before 100 % of 0.7:
a harm of just the margin passes a test at the margin in up to 5 % of the cases, and one that serves everybody outweighs
all that was caught (docs/delivery-evidence.md)."""

_MAX_STEPS = 50
_LARGEST_SCALE = 1e6


@dataclass(frozen=True, slots=True)
class Duration:
    """How long a schedule takes at a rate of traffic, at least.

    Args:
        steps_s: seconds of each step; infinite without traffic.
    """

    steps_s: tuple[float, ...]

    @property
    def total_s(self) -> float:
        """Of all steps."""
        return math.fsum(self.steps_s)


def check_steps(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps as a schedule.

    Raises:
        InvalidInput: none or too many, weights that do not rise or do not end at 100 %, or a dwell, sample or margin
            that is negative or not a number.
    """
    if not 0 < len(steps) <= _MAX_STEPS:
        raise InvalidInput(f"a schedule of {len(steps)} steps", what="steps", allowed=f"1 to {_MAX_STEPS}")
    before = 0
    for step in steps:
        if isinstance(step.weight, bool) or not isinstance(step.weight, int) or not 0 < step.weight <= SLOTS:
            raise InvalidInput(f"a step of {step.weight!r} basis points", what="steps", allowed=f"1 to {SLOTS}")
        if step.weight <= before:
            raise InvalidInput(
                f"the schedule does not rise: {percent(step.weight)} after {percent(before)}",
                what="steps",
                requested=[percent(one.weight) for one in steps],
                remedy="give each step more traffic than the one before",
            )
        if not (0 <= step.dwell_s < math.inf and step.sample >= 0 and 0 < step.margin_scale <= _LARGEST_SCALE):
            raise InvalidInput(
                f"the step of {percent(step.weight)} has a dwell of {step.dwell_s!r} s, a sample of {step.sample!r}"
                f" and a margin scale of {step.margin_scale!r}",
                what="steps",
                allowed=f"nothing negative or infinite, a margin scale above 0 and up to {_LARGEST_SCALE:g}",
            )
        before = step.weight
    if before != SLOTS:
        raise InvalidInput(f"the schedule ends at {percent(before)}", what="steps", remedy="end it with 100 %")
    return tuple(steps)


def start_weight(steps: Sequence[Step], units_per_s: float, *, at_most: int = 2_500) -> tuple[Step, ...]:
    """The schedule with a first step large enough to see its sample within its dwell.

    At a tenth of a request per second a step of 1 % would wait for days and protect nobody in the meantime: what is
    exposed until harm is seen is a number of requests, whatever the weight. So the first weight is
    ``sample / (rate * dwell)``, where that is more. What the steps that it takes the place of ask for must be shown
    before it is left: their margin, sample, dwell and approval.

    Args:
        steps: a checked schedule.
        units_per_s: rate of new units of the domain; 0 or unknown leaves the schedule as it is.
        at_most: basis points that the first step may grow to.
    """
    first = steps[0]
    if not units_per_s > 0 or first.dwell_s <= 0:
        return tuple(steps)
    needed = math.ceil(first.sample / (units_per_s * first.dwell_s) * SLOTS)
    weight = max(first.weight, min(needed, at_most))
    skipped = [step for step in steps if step.weight <= weight]
    later = [step for step in steps if step.weight > weight]
    merged = replace(
        first,
        weight=weight,
        dwell_s=max(step.dwell_s for step in skipped),
        sample=max(step.sample for step in skipped),
        margin_scale=min(step.margin_scale for step in skipped),
        approval=any(step.approval for step in skipped),
    )
    return (merged, *later)


def duration(steps: Sequence[Step], units_per_s: float) -> Duration:
    """How long each step takes at least at this rate of new units: its dwell, or its sample where that is longer."""
    seconds: list[float] = []
    gathered = 0.0
    for step in steps:
        rate = units_per_s * step.weight / SLOTS
        missing = max(0.0, step.sample - gathered)
        needed = missing / rate if rate > 0 else (math.inf if missing else 0.0)
        seconds.append(max(step.dwell_s, needed))
        gathered += rate * seconds[-1] if math.isfinite(seconds[-1]) else 0.0
    return Duration(tuple(seconds))
