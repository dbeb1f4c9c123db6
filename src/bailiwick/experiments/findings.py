"""What an analysis finds: estimates, effects, guardrails, and the decision that follows. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bailiwick.experiments.model import Direction, Verdict

Carried = Mapping[str, float | None]
"""What one watched hypothesis remembers from look to look, as plain numbers."""


class Standing(StrEnum):
    """How a guardrail stands."""

    HOLDS = "holds"  # shown to worsen by less than the margin
    OPEN = "open"  # not shown either way
    BREACHED = "breached"  # shown to worsen by more than the margin


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate between two bounds; NaN where it cannot be told, infinite where nothing bounds it."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ArmEstimate:
    """One metric of one arm over all epochs, with its fixed-horizon interval, and how many units gave a value."""

    arm: str
    metric: str
    units: int
    value: Interval


@dataclass(frozen=True, slots=True)
class Bayes:
    """The Bayesian view of an effect, under a proper prior.

    Args:
        better: probability that the arm is better than the control.
        expected_loss: of shipping the arm, in the metric's unit.
        credible: interval of the effect.
    """

    better: float
    expected_loss: float
    credible: Interval


@dataclass(frozen=True, slots=True)
class ArmEffect:
    """An arm against the control on one metric.

    Args:
        fixed: interval that holds at one look.
        always_valid: interval that holds at every look together.
        relative: as a share of the control's value, by Fieller, at one look.
        relative_always_valid: the same at every look together.
        p_fixed: two-sided, at one look.
        p: two-sided, at every look together, and over all arms (primary) or metrics and arms (secondary).
        e_value: evidence against "no difference"; 1 says nothing, 20 refutes at 5 %.
        significant: ``p`` is at most the level.
        variance_saved: share of the variance that the covariate took away.
    """

    metric: str
    arm: str
    better: Direction
    units: int
    fixed: Interval
    always_valid: Interval
    relative: Interval
    relative_always_valid: Interval
    p_fixed: float
    p: float
    e_value: float
    significant: bool
    variance_saved: float
    bayes: Bayes

    @property
    def improves(self) -> bool:
        """Significant, in the good direction."""
        return self.significant and self.always_valid.estimate * self.better.sign > 0

    @property
    def worsens(self) -> bool:
        """Significant, in the bad direction."""
        return self.significant and self.always_valid.estimate * self.better.sign < 0


@dataclass(frozen=True, slots=True)
class GuardrailFinding:
    """One guardrail of one arm.

    Args:
        worsening: how much worse than the control, positive is worse; at every look together.
        margin: in the metric's unit; NaN while it is a share of a value that is not known.
        p_harm: that it worsens by no more than the margin.
        p_holds: that it worsens by the margin or more.
    """

    name: str
    arm: str
    worsening: Interval
    margin: float
    p_harm: float
    p_holds: float
    standing: Standing


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Whether the arms of an epoch got the shares that were configured. ``p`` holds at every look together."""

    epoch: int
    observed: Mapping[str, int]
    expected: Mapping[str, float]
    p: float
    alarm: bool


@dataclass(frozen=True, slots=True)
class Rank:
    """Where an arm stands on the primary metric. ``best`` is the probability that it is the best of all."""

    place: int
    arm: str
    best: float
    expected_loss: float


@dataclass(frozen=True, slots=True)
class ArmCount:
    """What came in: units, their requests, and what they did under another arm after a change of weights."""

    arm: str
    units: int
    requests: int
    crossed: int


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that is known of an experiment at one instant.

    Args:
        units: over all arms.
        waiting: why nothing is decided yet; None after the burn-in.
        evidence: what must be carried to the next look, by hypothesis.
    """

    experiment: str
    at: datetime
    units: int
    planned_units: int
    waiting: str | None
    arms: tuple[ArmCount, ...]
    estimates: tuple[ArmEstimate, ...]
    primary: tuple[ArmEffect, ...]
    secondary: tuple[ArmEffect, ...]
    guardrails: tuple[GuardrailFinding, ...]
    sample_ratio: tuple[SampleRatio, ...]
    ranking: tuple[Rank, ...]
    evidence: Mapping[str, Carried] = field(default_factory=dict)

    def effect(self, arm: str) -> ArmEffect | None:
        """On the primary metric."""
        return next((effect for effect in self.primary if effect.arm == arm), None)


@dataclass(frozen=True, slots=True)
class Decision:
    """What should be done, and why.

    Args:
        arm: the arm that ships.
        harmed: treatments that do damage; where others go on, these should be dropped.
    """

    verdict: Verdict
    arm: str | None
    reasons: tuple[str, ...]
    harmed: tuple[str, ...] = ()

    @property
    def final(self) -> bool:
        """There is nothing to wait for."""
        return self.verdict is not Verdict.CONTINUE
