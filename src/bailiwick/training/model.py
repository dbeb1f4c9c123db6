"""The noun of training: a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bailiwick.models.model import EpochLoss


class RunStatus(StrEnum):
    """Where a run stands. Only a run that succeeded has a version."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One attempt to train a domain's model.

    Args:
        dataset: id of the data set; ``dataset_sha256`` is its content.
        settings: hyper-parameters that differ from the family's defaults; the model's card holds them all.
        start_version: the version that it was fine-tuned from.
        worker: host and process, so that a run whose process died is not taken for one that works.
        error: why it failed.
        losses: of each epoch so far.
        cpu_s: CPU seconds of the process while it trained.
        version: what it made.
    """

    id: str
    domain: str
    dataset: str
    dataset_sha256: str
    family: str
    seed: int
    status: RunStatus
    started_at: datetime
    started_by: str
    worker: str
    settings: Mapping[str, float | int | str | bool] = field(default_factory=dict)
    start_version: str | None = None
    error: str | None = None
    losses: tuple[EpochLoss, ...] = ()
    cpu_s: float | None = None
    finished_at: datetime | None = None
    version: str | None = None

    @property
    def validation_loss(self) -> float | None:
        """The lowest validation loss of the run, in nats: the one that chose the model."""
        measured = [loss.validation_loss for loss in self.losses if loss.validation_loss is not None]
        return min(measured, default=None)
