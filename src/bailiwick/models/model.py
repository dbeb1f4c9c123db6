"""The nouns of model families."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class LabelledText:
    """One example. ``unit`` names the person or thing that it came from, for splits without leakage."""

    text: str
    label: str
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class EpochLoss:
    """One step of a training curve: mean cross-entropy in nats per example."""

    epoch: int
    epochs: int
    training_loss: float
    validation_loss: float | None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a fitted model says of itself: family, labels, size, and how it was made.

    ``privacy`` is empty unless the model was trained under differential privacy: then unit, epsilon, delta, method and
    what is not protected.
    """

    family: str
    labels: tuple[str, ...]
    parameters: int
    settings: Mapping[str, float | int | str | bool] = field(default_factory=dict)
    privacy: Mapping[str, Any] = field(default_factory=dict)
