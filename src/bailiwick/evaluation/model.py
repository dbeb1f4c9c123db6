"""The nouns of evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bailiwick.statistics.calibration import ReliabilityBin
from bailiwick.statistics.paired import PairedResult

METRICS: Mapping[str, str] = {
    "accuracy": "share of test texts whose most probable label is right",
    "accuracy_low": "lower bound of its 95 % Wilson interval",
    "accuracy_high": "upper bound of its 95 % Wilson interval",
    "macro_f1": "mean F1 over the labels of the test texts",
    "ece": "expected calibration error, ten bins",
    "brier": "Brier score, 0 to 2",
    "test_loss": "mean cross-entropy on the test texts, in nats",
    "training_loss": "mean cross-entropy of the model on its training texts, in nats",
    "validation_loss": "lowest mean cross-entropy on the validation texts during training, in nats",
    "latency_p50_ms": "median time of one query, in milliseconds",
    "latency_p95_ms": "95th percentile of it",
    "latency_p99_ms": "99th percentile of it",
    "throughput_per_s": "texts per second in one batch",
    "size_bytes": "bytes of the artefact",
    "test_examples": "test texts that were judged",
    "excluded_examples": "test texts left out because the model or an ancestor had learned from them",
}
"""Every metric of an evaluation; `ModelVersion.metrics` holds them by these names."""


@dataclass(frozen=True, slots=True)
class LabelScore:
    """How well one label is told: ``support`` is how many test texts carry it."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often a true label was predicted as another (or itself)."""

    truth: str
    predicted: str
    count: int


@dataclass(frozen=True, slots=True)
class Quality:
    """What predictions on held-out texts are worth. Loss in nats."""

    examples: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    macro_f1: float
    loss: float
    brier: float
    ece: float
    labels: tuple[LabelScore, ...]
    confusion: tuple[Confusion, ...]
    reliability: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a model answers on this machine: single queries in milliseconds, and texts per second in a batch."""

    latency_p50_ms: float
    latency_p95_ms: float
    latency_p99_ms: float
    throughput_per_s: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation of a version on the test rows of a data set. ``metrics`` are those of `METRICS` that are known."""

    id: str
    version: str
    domain: str
    dataset: str
    dataset_sha256: str
    created_at: datetime
    created_by: str
    metrics: Mapping[str, float]
    labels: tuple[LabelScore, ...] = ()
    confusion: tuple[Confusion, ...] = ()
    reliability: tuple[ReliabilityBin, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions on the same test texts, the second against the first."""

    first: str
    second: str
    dataset: str
    first_accuracy: float
    second_accuracy: float
    result: PairedResult

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``inconclusive`` for the second, at the 5 % level."""
        if self.result.p_value >= 0.05:
            return "inconclusive"
        return "better" if self.result.difference > 0 else "worse"
