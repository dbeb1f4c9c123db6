"""The stored form of a model: ``model.json`` (card, terms, sizes) and ``weights.safetensors`` (numbers)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors.numpy import save as save_safetensors

from bailiwick.errors import InvalidInput
from bailiwick.models.linear_text.fitted import LinearTextModel
from bailiwick.models.linear_text.network import Weights
from bailiwick.models.linear_text.vocabulary import Vocabulary
from bailiwick.models.model import ModelCard
from bailiwick.models.safe_files import read_json, read_tensors, require_files

FORMAT = 1
DESCRIPTION, NUMBERS = "model.json", "weights.safetensors"
_DTYPES = {
    "terms": "float16",
    "idf": "float32",
    "hidden_bias": "float32",
    "output": "float32",
    "output_bias": "float32",
    "energies": "float32",
}
_KEYS = {"format", "family", "labels", "settings", "temperature", "shortest", "longest", "terms"}


def to_files(model: LinearTextModel) -> dict[str, bytes]:
    """The artefact. Term vectors are kept in half precision, which the trained model already has."""
    description = {
        "format": FORMAT,
        "family": model.card.family,
        "labels": model.card.labels,
        "settings": dict(model.card.settings),
        "temperature": model.temperature,
        "shortest": model.vocabulary.shortest,
        "longest": model.vocabulary.longest,
        "terms": model.vocabulary.terms,
    }
    tensors = {
        "terms": model.weights.terms.astype(np.float16),
        "idf": model.vocabulary.idf,
        "hidden_bias": model.weights.hidden_bias,
        "output": model.weights.output,
        "output_bias": model.weights.output_bias,
        "energies": model.energies,
    }
    return {
        DESCRIPTION: json.dumps(description, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(),
        NUMBERS: save_safetensors({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}),
    }


def from_files(files: Mapping[str, bytes], family: str) -> LinearTextModel:
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
    labels, terms = _strings(description, "labels"), _strings(description, "terms")
    shortest, longest = description["shortest"], description["longest"]
    if not (type(shortest) is type(longest) is int and 1 <= shortest <= longest <= 8):
        raise _wrong("the sizes of pieces", [shortest, longest], "whole numbers, 1 <= shortest <= longest <= 8")
    temperature = description["temperature"]
    if not (isinstance(temperature, float) and 0.01 <= temperature <= 100):
        raise _wrong("temperature", temperature, "0.01 to 100")
    tensors = read_tensors(files, NUMBERS, _DTYPES)
    hidden = tensors["hidden_bias"].size
    shapes = {
        "terms": (len(terms), hidden),
        "idf": (len(terms),),
        "hidden_bias": (hidden,),
        "output": (hidden, len(labels)),
        "output_bias": (len(labels),),
    }
    for name, shape in shapes.items():
        if tensors[name].shape != shape or 0 in shape[1:]:
            raise _wrong(f"the shape of {name!r}", tensors[name].shape, shape)
    energies = tensors["energies"]
    if energies.ndim != 1 or len(energies) < 2 or (np.diff(energies) < 0).any():
        raise _wrong("energies", energies.shape, "two or more ascending values")
    weights = Weights(
        tensors["terms"].astype(np.float32), tensors["hidden_bias"], tensors["output"], tensors["output_bias"]
    )
    card = ModelCard(family, labels, weights.count, _settings(description["settings"]))
    return LinearTextModel(card, Vocabulary(terms, tensors["idf"], shortest, longest), weights, temperature, energies)


def _strings(description: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = description[key]
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise _wrong(key, type(found).__name__, "a list of strings")
    if len(set(found)) != len(found) or not found:
        raise _wrong(key, f"{len(found)} entries", "one or more, each once")
    return tuple(found)


def _settings(found: Any) -> dict[str, float | int | str | bool]:
    if not isinstance(found, dict) or not all(isinstance(value, float | int | str) for value in found.values()):
        raise _wrong("settings", str(found)[:100], "an object of plain values")
    return found


def _wrong(what: str, found: Any, allowed: Any) -> InvalidInput:
    return InvalidInput(
        f"the artefact cannot be read: {what}: {found!r}",
        what=what,
        where=DESCRIPTION,
        requested=found,
        allowed=allowed,
    )
