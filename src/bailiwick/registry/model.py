"""A registered model version: what it is, where it came from, what it measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One immutable version of a domain's model.

    Args:
        id: ``{domain}-v{YYYYMMDD_HHMMSS}`` (with ``_2``, ``_3``... when several are made in one second).
        artefact_sha256: of the stored artefact; the loader refuses anything else. None for an upstream model.
        parent: the version that it was fine-tuned from.
        dataset_sha256: of the training snapshot.
        metrics: of the latest evaluation, as numbers by name (`evaluation` owns their meaning).
    """

    id: str
    domain: str
    family: str
    created_at: datetime
    artefact_sha256: str | None
    artefact_bytes: int
    training_run: str | None = None
    parent: str | None = None
    dataset_sha256: str | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
