"""The nouns of experiments: what was planned, how far it has come, and what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bailiwick.traffic.model import Arm, Condition


class Kind(StrEnum):
    """What is asked."""

    AB = "ab"  # is the treatment better than the control?
    AA = "aa"  # do two equal arms come out equal? a check of the machinery
    MULTIVARIANT = "multivariant"  # which of several treatments is better than the control?
    BANDIT = "bandit"  # which arm is best, sending more units to what does well meanwhile?


class Direction(StrEnum):
    """Which way of a metric is good."""

    HIGHER = "higher"
    LOWER = "lower"

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self is Direction.HIGHER else -1


class State(StrEnum):
    """Where an experiment stands. Only a running one takes traffic."""

    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    CONCLUDED = "concluded"
    ARCHIVED = "archived"


class Verdict(StrEnum):
    """What the evidence says should be done."""

    SHIP = "ship"  # a treatment is better, and hurts nothing
    STOP_HARM = "stop-harm"  # every treatment does damage
    KEEP_CONTROL = "keep-control"  # no treatment is better by as much as would matter
    CONTINUE = "continue"  # too early to tell
    INCONCLUSIVE = "inconclusive"  # it cannot be told from these data


@dataclass(frozen=True, slots=True)
class Goal:
    """A metric and which way of it is good."""

    metric: str
    better: Direction


@dataclass(frozen=True, slots=True)
class Guardrail:
    """What a winner must not hurt.

    Args:
        margin: the largest worsening that is accepted, positive; in the metric's unit, or a share of the control's
            value where ``relative``.
        quantile: guard this quantile, such as 0.95, instead of the mean.
    """

    metric: str
    better: Direction
    margin: float
    relative: bool = False
    quantile: float | None = None

    @property
    def name(self) -> str:
        """Such as ``failed`` or ``latency_ms p95``."""
        return self.metric if self.quantile is None else f"{self.metric} p{self.quantile * 100:g}"


@dataclass(frozen=True, slots=True)
class MinimumEffect:
    """The smallest improvement that would matter: in the primary metric's unit, or a share of the control's value."""

    size: float
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """How the winner is declared.

    Args:
        level: confidence of every test, two-sided; of experiments without any effect at most ``1 - level`` end in a
            false verdict.
        burn_in_units: per arm; before it nothing is decided.
        burn_in_events: events and non-events per arm that a yes-or-no metric must have shown.
        automatic: conclude without being asked once the rule is met.
        deploy: deploy the winner when concluding.
        floor: basis points that every arm of a bandit keeps.
        reweight_minutes: how often a bandit changes its weights.
    """

    level: float = 0.95
    burn_in_units: int = 200
    burn_in_events: int = 25
    automatic: bool = False
    deploy: bool = False
    floor: int = 1_000
    reweight_minutes: int = 60


@dataclass(frozen=True, slots=True)
class ExperimentDesign:
    """What was planned before the first unit was exposed. Only weights and arms change later, each time as an epoch.

    Args:
        arms: control first.
        weights: basis points by arm at the start, summing to `bailiwick.traffic.model.SLOTS`.
        unit: ``user``, ``session``, ``request`` or ``header:NAME``.
        coverage: basis points of the layer's units that take part.
        holdout: basis points of all users that the fleet keeps out of every experiment at least; 0 asks for none.
        power: chance of finding the minimum effect where it is there.
        feedback_hours: how long after an answer feedback on it still counts.
    """

    id: str
    domain: str
    hypothesis: str
    kind: Kind
    primary: Goal
    minimum_effect: MinimumEffect
    arms: tuple[Arm, ...]
    weights: Mapping[str, int]
    guardrails: tuple[Guardrail, ...] = ()
    secondary: tuple[Goal, ...] = ()
    unit: str = "user"
    layer: str = "default"
    coverage: int = 10_000
    holdout: int = 0
    conditions: tuple[Condition, ...] = ()
    maximum_days: float = 28.0
    power: float = 0.8
    feedback_hours: float = 72.0
    rule: Rule = field(default_factory=Rule)

    @property
    def control(self) -> Arm:
        """What the others are compared with."""
        return self.arms[0]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that is read, the primary first, each once."""
        named = (self.primary.metric, *(g.metric for g in self.guardrails), *(g.metric for g in self.secondary))
        return tuple(dict.fromkeys(named))


@dataclass(frozen=True, slots=True)
class Epoch:
    """A span in which weights and arms stayed as they were; analysed as a stratum of its own."""

    number: int
    at: datetime
    arms: tuple[Arm, ...]
    weights: Mapping[str, int]
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PowerCheck:
    """How long the experiment needs, from the primary metric's recent history.

    Args:
        mean, deviation: of the metric over the last weeks, and of one unit's value.
        per_day: units that would take part per day.
        effect: the minimum effect, in the metric's unit.
        planned_units: over all arms.
        days: until then; None where there is no traffic to tell from.
        within: the maximum duration suffices.
        detectable: the effect that the maximum duration could find with the same power; None without traffic.
        distinct: units are distinct users of the log; else each request counts as one.
    """

    metric: str
    mean: float
    deviation: float
    per_day: float
    effect: float
    level: float
    power: float
    planned_units: int
    days: float | None
    within: bool
    detectable: float | None
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What came out, and what was done about it.

    Args:
        winner: the arm that ships.
        reasons: in words.
        automatic: the rule concluded, nobody was asked.
        deployment: the deployment that followed, if any; it may have been held by the gates.
    """

    verdict: Verdict
    winner: str | None
    reasons: tuple[str, ...]
    at: datetime
    by: str
    automatic: bool = False
    deployment: str | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """A design and its fate.

    Args:
        revision: grows by one with each change.
        planned_units: over all arms; frozen, because the sequential tests are tuned to it.
        epochs: oldest first; empty before the start.
        overrides: units that testers put into an arm.
        power_check: as seen at creation; None where there was no history.
        forced: why it was created although the power check refused.
    """

    design: ExperimentDesign
    state: State
    revision: int
    planned_units: int
    created_at: datetime
    created_by: str
    epochs: tuple[Epoch, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    power_check: PowerCheck | None = None
    forced: str | None = None
    conclusion: Conclusion | None = None

    @property
    def id(self) -> str:
        """Of the design."""
        return self.design.id

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Every arm that ever took part, in the order in which they came; control first."""
        found = {arm.name: arm for arm in self.design.arms}
        for epoch in self.epochs:
            found.update({arm.name: arm for arm in epoch.arms})
        return tuple(found.values())

    @property
    def present(self) -> Epoch | None:
        """The epoch in force; None before the start."""
        return self.epochs[-1] if self.epochs else None
