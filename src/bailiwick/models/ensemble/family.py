"""How ensembles are stored: ``ensemble.json``, and for those that select ``quality.safetensors``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from safetensors.numpy import save as save_safetensors

from bailiwick.errors import InvalidInput
from bailiwick.models.ensemble.fitted import EnsembleModel
from bailiwick.models.ensemble.quality import Quality
from bailiwick.models.ensemble.spec import NAME, MemberSpec, Strategy, from_document, to_json
from bailiwick.models.ports import FittedModel
from bailiwick.models.safe_files import read_json, read_tensors, require_files

SPEC, NUMBERS = "ensemble.json", "quality.safetensors"
_MOST = 1 << 20
_DTYPES = {"bias": "float64", "weights": "float64"}


class EnsembleFormat:
    """Saves and loads ensembles. See `ModelFormat`.

    Args:
        load: the model of a member.
    """

    def __init__(self, load: Callable[[MemberSpec], FittedModel]) -> None:
        self._load = load

    @property
    def name(self) -> str:
        """The family's name in registry records."""
        return NAME

    def save(self, model: FittedModel) -> Mapping[str, bytes]:
        """The artefact of an ensemble: the same ensemble gives the same bytes.

        Raises:
            InvalidInput: the model is none.
        """
        if not isinstance(model, EnsembleModel):
            raise InvalidInput(f"the model is of family {model.card.family!r}, not {NAME!r}", what="family")
        files = {SPEC: to_json(model.spec)}
        if model.quality is not None:
            files[NUMBERS] = save_safetensors({"bias": model.quality.bias, "weights": model.quality.weights})
        return files

    def load(self, files: Mapping[str, bytes]) -> EnsembleModel:
        """The ensemble of an artefact; its members are not loaded yet.

        Raises:
            InvalidInput: it is damaged, or not of this family.
        """
        selects = NUMBERS in files
        require_files(files, (SPEC, NUMBERS) if selects else (SPEC,))
        spec = from_document(read_json(files, SPEC))
        if (spec.strategy is Strategy.SELECT) != selects:
            raise InvalidInput("the artefact of an ensemble lacks its qualities", what=NUMBERS, where=SPEC)
        return EnsembleModel(spec, _quality(files, len(spec.members)) if selects else None, self._load)


def _quality(files: Mapping[str, bytes], members: int) -> Quality:
    tensors = read_tensors(files, NUMBERS, _DTYPES)
    bias, weights = tensors["bias"], tensors["weights"]
    if bias.shape != (members,) or weights.ndim != 2 or not (len(weights) == members and 0 < weights.shape[1] <= _MOST):
        raise InvalidInput("the qualities have another shape than the members", what=NUMBERS, requested=weights.shape)
    return Quality(bias.astype(np.float64), weights.astype(np.float64))
