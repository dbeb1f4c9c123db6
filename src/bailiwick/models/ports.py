"""What every model family and every fitted model must do. One contract suite runs over every family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bailiwick.models.model import EpochLoss, LabelledText, ModelCard
from bailiwick.privacy.training import PrivateTrainingPlan


class FittedModel(Protocol):
    """A trained text classifier. Immutable, safe to call from several threads."""

    @property
    def card(self) -> ModelCard:
        """What the model says of itself."""
        ...

    def predict(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Calibrated probabilities, shape ``(len(texts), len(card.labels))``; rows sum to 1. Texts may be empty."""
        ...

    def familiarity(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """How much each text looks like the training data, 0 (unknown) to 1; shape ``(len(texts),)``."""
        ...


class ModelFormat(Protocol):
    """A way to save and load models. Artefacts are named byte strings in formats that cannot run code."""

    @property
    def name(self) -> str:
        """The family's name in registry records."""
        ...

    def save(self, model: FittedModel) -> Mapping[str, bytes]:
        """The artefact: file name to content. Saving a loaded artefact gives the same bytes."""
        ...

    def load(self, files: Mapping[str, bytes]) -> FittedModel:
        """The model of an artefact.

        Raises:
            InvalidInput: a file is missing, truncated, or not of this family; nothing in it is executed.
        """
        ...


class ModelFamily(ModelFormat, Protocol):
    """A way to train, save and load models."""

    def train(
        self,
        examples: Sequence[LabelledText],
        validation: Sequence[LabelledText],
        *,
        seed: int,
        settings: Mapping[str, float | int | str | bool] | None = None,
        start: FittedModel | None = None,
        progress: Callable[[EpochLoss], None] | None = None,
    ) -> FittedModel:
        """Fit on the examples; validation chooses when to stop and calibrates. The same inputs give the same model.

        Args:
            examples: at least two labels, at least two examples each.
            validation: texts that are not in the examples; may be empty.
            seed: of every random choice.
            settings: hyper-parameters of the family; unknown ones are refused.
            start: an earlier model of the family to fine-tune; its labels may be fewer or more.
            progress: called after each epoch.

        Raises:
            InvalidInput: too few labels or examples, unknown settings, a start of another family.
        """
        ...


class PrivateModelFamily(ModelFormat, Protocol):
    """A way to train under differential privacy. Neural families will do the same through this port."""

    @property
    def method(self) -> str:
        """How it protects, for report cards."""
        ...

    def plan(
        self,
        epsilon: float,
        delta: float,
        contribution_cap: int,
        settings: Mapping[str, float | int | str | bool] | None = None,
    ) -> PrivateTrainingPlan:
        """The whole plan of a training that guarantees (epsilon, delta) per unit. It must not depend on any data.

        Raises:
            InvalidInput: unknown settings, or no plan reaches the guarantee.
        """
        ...

    def train_privately(
        self,
        examples: Sequence[LabelledText],
        labels: Sequence[str],
        plan: PrivateTrainingPlan,
        *,
        settings: Mapping[str, float | int | str | bool] | None = None,
        privacy: Mapping[str, Any] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> FittedModel:
        """Follow the plan. The model and its card may depend on the examples only as the plan accounts for.

        Must bound each unit's examples to the plan's cap by a rule that looks at that unit alone, leave out examples
        without a unit or with another label, and work with any number of examples, even none: refusing would tell.

        Args:
            examples: private.
            labels: public; the model knows all of them, whether they occur or not.
            plan: made by `plan` from the same settings.
            settings: hyper-parameters of the family.
            privacy: what the card shall say of the guarantee.
            progress: called with the number of steps done, and with nothing that depends on the data.

        Raises:
            InvalidInput: fewer than two labels, or unknown settings.
        """
        ...
