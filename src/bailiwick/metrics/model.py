"""What the metric store answers with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bailiwick.metrics.rollup import Rollup


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """What one row of the store is about. ``minute`` is the first instant of the minute."""

    domain: str
    version: str
    arm: str
    metric: str
    minute: datetime


@dataclass(frozen=True, slots=True)
class Point:
    """The rollup of one series in one minute, over all processes."""

    key: SeriesKey
    rollup: Rollup


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """One metric of one version over a span of time. Quantiles are within 1 %."""

    version: str
    arm: str
    metric: str
    count: int
    mean: float
    deviation: float | None
    minimum: float
    p50: float
    p95: float
    p99: float
    maximum: float


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody says of an answer. A later one on the same request and metric takes its place.

    Args:
        metric: what is judged, such as ``correct``.
        value: a number; true and false count as 1 and 0. None where there is only a label or a comment.
        label: what the answer should have been.
        domain, version, arm: that answered: from the request log once joined, before that as the client says.
        joined: the request was found in the log.
    """

    request_id: str
    metric: str
    value: float | None
    label: str | None
    comment: str | None
    domain: str | None
    version: str | None
    arm: str
    joined: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class FeedbackSummary:
    """The feedback on one version: how many gave a value, and its moments."""

    version: str | None
    arm: str
    metric: str
    count: int
    total: float
    squares: float

    @property
    def mean(self) -> float | None:
        """None without values."""
        return self.total / self.count if self.count else None


@dataclass(frozen=True, slots=True)
class Mark:
    """How much was observed of a domain since an instant: cheap to read, and another one once anything is new.

    Args:
        observations: numbers that were recorded.
        feedback: opinions on hand.
        latest_feedback: when the last one was given, or changed.
    """

    observations: int = 0
    feedback: int = 0
    latest_feedback: datetime | None = None

    @property
    def count(self) -> int:
        """Everything together."""
        return self.observations + self.feedback


@dataclass(frozen=True, slots=True)
class RecorderCounts:
    """What became of the observations of this process, in items (a request with its numbers is one).

    Args:
        accepted: taken into the queue.
        dropped: lost to a full queue, or to a store that was away for too long.
        refused: numbers that are not finite or names that do not fit.
        queued: waiting now.
        failures: flushes that the store did not take; they are tried again.
    """

    accepted: int
    dropped: int
    refused: int
    queued: int
    failures: int


@dataclass(frozen=True, slots=True)
class TallyCounts:
    """What a tally took in.

    Args:
        events: exposures.
        feedback: values of feedback that changed a total.
    """

    events: int = 0
    feedback: int = 0

    def __add__(self, other: TallyCounts) -> TallyCounts:
        """Both together."""
        return TallyCounts(self.events + other.events, self.feedback + other.feedback)
