"""The nouns of a canary rollout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bailiwick.delivery.rollout.freeze import FreezeWindow


class RolloutState(StrEnum):
    """Where a rollout stands. The last three are final."""

    RUNNING = "running"  # the controller moves it on evidence
    PAUSED = "paused"  # somebody stopped its progress; evidence of harm still aborts it
    GUARDING = "guarding"  # the canary serves all but the hold-back; evidence of harm still takes it back
    SUCCEEDED = "succeeded"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"  # a deployment or rollback by hand took the plan away from it

    @property
    def is_final(self) -> bool:
        """Nothing moves it any more."""
        return self in {RolloutState.SUCCEEDED, RolloutState.ABORTED, RolloutState.SUPERSEDED}


class Direction(StrEnum):
    """Which way of a metric is good."""

    HIGHER = "higher"
    LOWER = "lower"


class Statistic(StrEnum):
    """What of a metric is compared."""

    MEAN = "mean"
    RATE = "rate"  # of a metric whose values are 0 and 1
    P50 = "p50"
    P95 = "p95"
    P99 = "p99"


class JudgeRule(StrEnum):
    """How evidence becomes a finding."""

    SEQUENTIAL = "sequential"  # always valid; may be looked at whenever one likes
    KAYENTA = "kayenta"  # Mann-Whitney over per-minute points, with its known blind spots
    THRESHOLDS = "thresholds"  # fixed tolerances once there are enough samples


@dataclass(frozen=True, slots=True)
class MetricRule:
    """What the canary may not make worse.

    Args:
        metric: as it is observed, such as ``failed``, ``latency_ms`` or ``correct``.
        margin: how much worse than the control is still harmless, in the metric's units; relative: as a share of the
            control's value. Before a step of weight w is reached, `Step.margin_scale` widens it.
        required: promotion needs evidence on this metric. A guardrail that is not required never holds a rollout up
            for want of data, but aborts it on evidence of harm.
    """

    metric: str
    statistic: Statistic
    direction: Direction
    margin: float
    relative: bool = False
    required: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One weight of a schedule.

    Args:
        weight: of the canary, in basis points.
        dwell_s: seconds that this step lasts at least, as seen by the controller.
        sample: units that canary and control must each have been seen with in all, before the next step.
        margin_scale: factor on every margin while deciding to leave this step: little traffic is at stake early.
        approval: somebody must approve before the next step.
    """

    weight: int
    dwell_s: float = 300.0
    sample: int = 200
    margin_scale: float = 1.0
    approval: bool = False


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """The most that the canary may be tried on before it is known to be harmless; None: no limit."""

    requests: int | None = None
    units: int | None = None


@dataclass(frozen=True, slots=True)
class RolloutPolicy:
    """How a rollout is judged.

    Args:
        alpha: chance to abort a harmless canary, ever, over all metrics; and to promote a harmful one, at each step.
        hold_back: basis points that stay on the baseline while guarding.
        guard_s: seconds of guarding.
        max_hold_s: longest time on one step beyond its dwell without a decision; None: as long as it takes. Time in
            which no evidence could help (a freeze, a missing approval) does not count.
        planned_units: of each arm, near which the sequences are tightest; valid at any other number too.
        abort_on_max_hold: what then: abort, or pause.
    """

    metrics: tuple[MetricRule, ...]
    rule: JudgeRule = JudgeRule.SEQUENTIAL
    alpha: float = 0.05
    hold_back: int = 500
    guard_s: float = 3600.0
    max_hold_s: float | None = 86_400.0
    abort_on_max_hold: bool = False
    blast_radius: BlastRadius = BlastRadius()
    freezes: tuple[FreezeWindow, ...] = ()
    planned_units: int = 1_000


class Finding(StrEnum):
    """What the evidence says of one metric."""

    HARMLESS = "harmless"  # worse by no more than the margin, as far as can be known
    HARMFUL = "harmful"  # worse than the control, on evidence that may be watched
    UNDECIDED = "undecided"
    NO_DATA = "no_data"


@dataclass(frozen=True, slots=True)
class MetricEvidence:
    """One metric of canary and control.

    Args:
        canary, control: the values compared; None without data.
        difference: canary minus control, and its always-valid interval ``low`` to ``high`` (None: open or unknown).
        margin: that was held against, in the metric's units; relative ones are a share of the control's present value.
        words: the finding as a sentence.
    """

    rule: MetricRule
    finding: Finding
    canary: float | None
    control: float | None
    difference: float | None
    low: float | None
    high: float | None
    margin: float
    words: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a decision rests on.

    Args:
        canary_units, control_units: distinct units compared so far, over all steps.
        canary_requests: requests that the canary served as such.
    """

    metrics: tuple[MetricEvidence, ...] = ()
    canary_units: int = 0
    control_units: int = 0
    canary_requests: int = 0


@dataclass(frozen=True, slots=True)
class EpochWeights:
    """What canary and control had in one epoch, in basis points. Every change of either begins another epoch."""

    canary: int
    control: int


@dataclass(frozen=True, slots=True)
class Rollout:
    """A canary on its way.

    Args:
        baseline: the version that it is compared with, and that an abort brings back.
        step: index of the present step; equal to the number of steps while guarding.
        weight: basis points that the canary has now.
        seen_s: seconds of the present step (or of guarding) that controllers have seen pass. A clock that jumps adds no
            more than one tick's most.
        ticked_at: when a controller last looked.
        approved_step: highest step that may be left with approval.
        row_version: grows with every transition; who changes the state must have read the newest.
        fence: the lease epoch of the last controller that wrote; an older one is refused.
        plan_revision: of the traffic plan that this rollout made last.
        base_revision: of the plan that an abort brings back.
        deployment: id of the recorded deployment that let the canary in.
        reason: why it is where it is, in words.
        epochs: the weights so far, from epoch 1.
        planned: information at which each metric's sequence is tightest, by metric and statistic; frozen at the end of
            the metric's burn-in, since a sequence may not be tuned while it is watched.
        evidence: as a controller last saw it.
    """

    id: str
    domain: str
    version: str
    baseline: str
    steps: tuple[Step, ...]
    policy: RolloutPolicy
    state: RolloutState
    step: int
    weight: int
    seen_s: float
    ticked_at: datetime
    approved_step: int
    row_version: int
    fence: int
    plan_revision: int
    base_revision: int
    deployment: str
    started_at: datetime
    started_by: str
    ended_at: datetime | None = None
    reason: str = ""
    epochs: tuple[EpochWeights, ...] = ()
    planned: Mapping[str, float] = field(default_factory=dict)
    evidence: Evidence = Evidence()

    @property
    def present(self) -> Step | None:
        """The present step; None while guarding."""
        return self.steps[self.step] if self.step < len(self.steps) else None


class Action(StrEnum):
    """What the controller does next."""

    HOLD = "hold"
    ADVANCE = "advance"
    PAUSE = "pause"
    ABORT = "abort"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done with a rollout, and why.

    Args:
        weight: of the canary afterwards, in basis points.
        step: index afterwards.
    """

    action: Action
    reason: str
    weight: int
    step: int
    evidence: Evidence = Evidence()


@dataclass(frozen=True, slots=True)
class Transition:
    """One move of a rollout, as it was recorded.

    Args:
        row_version: of the rollout after it; there is exactly one transition to each.
        action: ``start``, ``advance``, ``pause``, ``resume``, ``weight``, ``approve``, ``abort``, ``finish``,
            ``supersede``.
        before, after: the states; None before the start.
        forced: a person moved it on without the evidence.
        fence: lease epoch of the controller that did it; None for a person.
        plan_revision: of the traffic plan since then.
    """

    rollout: str
    row_version: int
    at: datetime
    action: str
    before: RolloutState | None
    after: RolloutState
    step: int
    weight: int
    actor: str
    reason: str
    forced: bool
    fence: int | None
    plan_revision: int
    evidence: Evidence = Evidence()
