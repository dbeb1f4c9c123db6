"""Reading artefact files that may be hostile: bounded sizes, expected names, types and shapes, nothing executed."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from bailiwick.errors import InvalidInput

MAX_HEADER_BYTES = 100_000
MAX_JSON_BYTES = 64 * 1024 * 1024
MAX_TENSOR_BYTES = 2 * 1024 * 1024 * 1024


def require_files(files: Mapping[str, bytes], names: tuple[str, ...]) -> None:
    """Check that exactly these files are there.

    Raises:
        InvalidInput: one is missing, or there is one more.
    """
    missing = sorted(set(names) - set(files))
    extra = sorted(set(files) - set(names))
    if missing or extra:
        problem = f"lacks {missing[0]!r}" if missing else f"has an unexpected file {extra[0]!r}"
        raise InvalidInput(f"the artefact {problem}", what=(missing or extra)[0], allowed=sorted(names))


def read_json(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """A JSON object; NaN and infinities are refused.

    Raises:
        InvalidInput: too large, not UTF-8, not JSON, nested too deep, or not an object.
    """
    content = files[name]
    if len(content) > MAX_JSON_BYTES:
        raise InvalidInput(f"{name!r} has {len(content)} bytes", what=name, allowed=f"at most {MAX_JSON_BYTES}")
    try:
        document = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{name!r} is not a JSON document: {str(error)[:200]}", what=name) from error
    if not isinstance(document, dict):
        raise InvalidInput(f"{name!r} holds a {type(document).__name__}, not an object", what=name)
    return document


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number")


def read_tensors(files: Mapping[str, bytes], name: str, dtypes: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """Tensors of a safetensors file.

    Args:
        files: the artefact.
        name: the file.
        dtypes: the tensors that must be there, with their numpy dtype; no other may be.

    Raises:
        InvalidInput: too large, truncated, not safetensors, other tensors or dtypes than expected, or not finite.
    """
    content = files[name]
    if not 8 < len(content) <= MAX_TENSOR_BYTES:
        raise InvalidInput(f"{name!r} has {len(content)} bytes", what=name, allowed=f"9 to {MAX_TENSOR_BYTES}")
    (header_bytes,) = struct.unpack("<Q", content[:8])
    if header_bytes > MAX_HEADER_BYTES:
        raise InvalidInput(
            f"{name!r} claims a header of {header_bytes} bytes", what=name, allowed=f"at most {MAX_HEADER_BYTES}"
        )
    try:
        tensors = load_safetensors(content)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{name!r} is not a whole safetensors file: {str(error)[:200]}", what=name) from error
    if set(tensors) != set(dtypes):
        raise InvalidInput(f"{name!r} holds the tensors {sorted(tensors)[:20]}", what=name, allowed=sorted(dtypes))
    for key, tensor in tensors.items():
        if tensor.dtype != np.dtype(dtypes[key]):
            raise InvalidInput(f"tensor {key!r} in {name!r} is {tensor.dtype}", what=key, allowed=dtypes[key])
        if not np.isfinite(tensor).all():
            raise InvalidInput(f"tensor {key!r} in {name!r} holds values that are not finite", what=key)
    return tensors
