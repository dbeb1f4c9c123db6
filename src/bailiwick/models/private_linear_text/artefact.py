"""The stored form of a private model: ``model.json`` (card) and ``weights.safetensors`` (numbers)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors.numpy import save as save_safetensors

from bailiwick.errors import InvalidInput
from bailiwick.models.model import ModelCard
from bailiwick.models.private_linear_text.fitted import PrivateLinearTextModel
from bailiwick.models.safe_files import read_json, read_tensors, require_files

FORMAT = 1
DESCRIPTION, NUMBERS = "model.json", "weights.safetensors"
_KEYS = {"format", "family", "labels", "settings", "privacy"}


def to_files(model: PrivateLinearTextModel) -> dict[str, bytes]:
    """The artefact."""
    card = model.card
    description = {
        "format": FORMAT,
        "family": card.family,
        "labels": card.labels,
        "settings": dict(card.settings),
        "privacy": dict(card.privacy),
    }
    return {
        DESCRIPTION: json.dumps(description, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(),
        NUMBERS: save_safetensors({"weights": np.ascontiguousarray(model.weights)}),
    }


def from_files(files: Mapping[str, bytes], family: str) -> PrivateLinearTextModel:
    """The model of an artefact.

    Raises:
        InvalidInput: anything in it is missing, too large, of the wrong type or shape, or of another family.
    """
    require_files(files, (DESCRIPTION, NUMBERS))
    description = read_json(files, DESCRIPTION)
    if set(description) != _KEYS:
        raise _wrong("its keys", sorted(description)[:20], sorted(_KEYS))
    if description["family"] != family or description["format"] != FORMAT:
        raise _wrong("family and format", [description["family"], description["format"]], [family, FORMAT])
    labels, settings, privacy = (description[key] for key in ("labels", "settings", "privacy"))
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise _wrong("labels", type(labels).__name__, "a list of strings")
    if len(set(labels)) != len(labels) or len(labels) < 2:
        raise _wrong("labels", f"{len(labels)} entries", "two or more, each once")
    if not isinstance(settings, dict) or not all(isinstance(value, float | int | str) for value in settings.values()):
        raise _wrong("settings", str(settings)[:100], "an object of plain values")
    if not isinstance(privacy, dict):
        raise _wrong("privacy", str(privacy)[:100], "an object")
    weights = read_tensors(files, NUMBERS, {"weights": "float32"})["weights"]
    if weights.ndim != 2 or weights.shape[1] != len(labels) or not 1 <= len(weights) <= 2**20:
        raise _wrong("the shape of 'weights'", weights.shape, ["features", len(labels)])
    return PrivateLinearTextModel(ModelCard(family, tuple(labels), weights.size, settings, privacy), weights)


def _wrong(what: str, found: Any, allowed: Any) -> InvalidInput:
    return InvalidInput(
        f"the artefact cannot be read: {what}: {found!r}",
        what=what,
        where=DESCRIPTION,
        requested=found,
        allowed=allowed,
    )
