"""What a judged answer was worth. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bailiwick.routing.model import Candidate, Features, Mode
from bailiwick.routing.policy import Knobs

FAILED = "failed"
"""The metric of an answer that never came: worth nothing, whatever the metric of the policy."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A logged decision with what became of it.

    Args:
        domain: that was chosen; where it failed and a fallback answered, the judgement is of what choosing it brought.
        propensity: with which it was chosen.
        metric: of the judgement.
        value: of it; cut to 0 to 1 where it is used.
        latency_ms: of the whole answer; None where it was not measured.
        tokens: of request and answer together; None where they were not counted.
        follow_up: a later turn: not independent of the first.
        mode: in which it was made; in ``shadow`` nothing was explored.
        draw: that chose; decisions that share it were not drawn on their own. None: a draw of its own.
    """

    request_id: str
    at: datetime
    domain: str
    propensity: float
    features: Features
    candidates: tuple[Candidate, ...]
    context: str
    metric: str
    value: float
    latency_ms: float | None = None
    tokens: int | None = None
    follow_up: bool = False
    mode: Mode = Mode.ON
    draw: float | None = None

    @property
    def probabilities(self) -> Mapping[str, float]:
        """Of every candidate, as they were drawn from."""
        return {each.domain: each.probability for each in self.candidates}


def reward_of(judged: Judged, knobs: Knobs) -> float:
    """``value - latency_weight * seconds - cost_weight * thousands of tokens``, at least -1.

    >>> from datetime import UTC
    >>> features = Features("a", False, (("a", 1.0),), 10, "chat/completions")
    >>> answer = Judged("r", datetime(2026, 1, 1, tzinfo=UTC), "a", 1.0, features, (), "", "correct", 1.0, 500.0, 2_000)
    >>> round(reward_of(answer, Knobs(latency_weight=0.2, cost_weight=0.05)), 3)
    0.8
    """
    reward = min(1.0, max(0.0, judged.value))
    if judged.latency_ms is not None:
        reward -= knobs.latency_weight * judged.latency_ms / 1000
    if judged.tokens is not None:
        reward -= knobs.cost_weight * judged.tokens / 1000
    return max(-1.0, reward)


def bounds_of(knobs: Knobs) -> tuple[float, float]:
    """The least and the most that a decision can be worth; not what was seen, which is no bound.

    >>> bounds_of(Knobs()), bounds_of(Knobs(cost_weight=0.1))
    ((0.0, 1.0), (-1.0, 1.0))
    """
    return (-1.0 if knobs.latency_weight or knobs.cost_weight else 0.0), 1.0
