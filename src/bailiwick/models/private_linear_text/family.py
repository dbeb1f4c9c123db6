"""The family ``private-linear-text``: how its models are planned, trained, saved and loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from bailiwick.errors import InvalidInput
from bailiwick.models.model import LabelledText, ModelCard
from bailiwick.models.ports import FittedModel
from bailiwick.models.private_linear_text.artefact import from_files, to_files
from bailiwick.models.private_linear_text.fit import fit, unit_examples
from bailiwick.models.private_linear_text.fitted import PrivateLinearTextModel
from bailiwick.models.settings import Parameter, Value, resolve
from bailiwick.privacy.training import PrivateTrainingPlan, calibrate

NAME = "private-linear-text"
PARAMETERS = {
    "features": Parameter(2048, 64, 65536, "hashed features; more cost time, not accuracy of the noise"),
    "steps": Parameter(12, 1, 1000, "noisy steps; more cost time, and fewer learn less"),
    "sample_rate": Parameter(1.0, 1e-6, 1.0, "the probability that a unit takes part in a step"),
    "clip": Parameter(0.25, 0.001, 100.0, "the longest gradient of a unit"),
    "batch_divisor": Parameter(0.0, 0.0, 1e9, "a public number of units per step; 0 spends a little on a noisy count"),
}
METHOD = "DP-SGD on a linear softmax, per-unit clipping, discrete Gaussian noise (OpenDP)"


class PrivateLinearTextFamily:
    """Hashed features, linear softmax, noise in every step. Never the same twice: its chance cannot be seeded."""

    @property
    def name(self) -> str:
        """The family's name in registry records."""
        return NAME

    @property
    def method(self) -> str:
        """How it protects, for report cards."""
        return METHOD

    def plan(
        self,
        epsilon: float,
        delta: float,
        contribution_cap: int,
        settings: Mapping[str, Value] | None = None,
    ) -> PrivateTrainingPlan:
        """The plan with the least noise for that guarantee; see `PrivateModelFamily.plan`."""
        chosen = resolve(NAME, PARAMETERS, settings)
        plan = PrivateTrainingPlan(
            sample_rate=float(chosen["sample_rate"]),
            steps=int(chosen["steps"]),
            noise_multiplier=1.0,
            clip=float(chosen["clip"]),
            contribution_cap=contribution_cap,
            delta=delta,
            batch_divisor=float(chosen["batch_divisor"]) or None,
        )
        return calibrate(plan, epsilon)

    def train_privately(
        self,
        examples: Sequence[LabelledText],
        labels: Sequence[str],
        plan: PrivateTrainingPlan,
        *,
        settings: Mapping[str, Value] | None = None,
        privacy: Mapping[str, Any] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> PrivateLinearTextModel:
        """Follow the plan; see `PrivateModelFamily.train_privately`."""
        chosen = resolve(NAME, PARAMETERS, settings)
        ordered = tuple(sorted(set(labels)))
        if len(ordered) < 2:
            raise InvalidInput(
                f"training needs at least two labels, got {len(ordered)}",
                what="labels",
                requested=list(ordered),
                remedy="list the labels that the model shall know, from public knowledge",
            )
        size = int(chosen["features"])
        bounded = unit_examples(examples, ordered, plan.contribution_cap, size)
        with threadpool_limits(1, "blas"):
            weights = fit(bounded, len(ordered), plan, progress=progress)
        used = {"features": size, **{key: value for key, value in asdict(plan).items() if value is not None}}
        card = ModelCard(NAME, ordered, weights.size, used, dict(privacy or {}))
        return PrivateLinearTextModel(card, weights.astype(np.float32))

    def save(self, model: FittedModel) -> Mapping[str, bytes]:
        """The artefact of a model of this family.

        Raises:
            InvalidInput: the model is of another family.
        """
        if not isinstance(model, PrivateLinearTextModel):
            raise InvalidInput(
                f"the model is of family {model.card.family!r}, not {NAME!r}",
                what="family",
                requested=model.card.family,
            )
        return to_files(model)

    def load(self, files: Mapping[str, bytes]) -> PrivateLinearTextModel:
        """The model of an artefact; see `ModelFormat.load`."""
        return from_files(files, NAME)
