"""What counts as an element's content: its JSON text, and a hash that says whether it changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import xxhash

from bailiwick.errors import InvalidInput
from bailiwick.graph.model import Edge, Node, Provenance

_SIGN_BIT = 1 << 63
# Below, ``kind._value_``: the ``value`` property of an enum costs a tenth of a whole sync.


def properties_text(properties: Mapping[str, Any]) -> str:
    """Properties as JSON text with sorted keys, so that equal properties give equal text.

    Raises:
        InvalidInput: a value is not JSON: an object, an integer beyond 64 bits, half a surrogate pair.
    """
    if not properties:
        return "{}"
    try:
        return orjson.dumps(properties, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError as error:
        raise InvalidInput(
            f"these properties cannot be stored as JSON: {error}",
            what="properties",
            requested=repr(properties)[:200],
            allowed="strings, numbers of at most 64 bits, booleans, null, lists, objects with string keys",
        ) from error


def node_hash(node: Node, properties: str) -> int:
    """A signed 64-bit hash of a node's content. The run is left out: seeing the same again changes nothing."""
    return _hash(f"{node.kind._value_}\0{node.name}\0{node.qualified_name}\0{properties}", node.id, node.provenance)


def edge_hash(edge: Edge, properties: str) -> int:
    """A signed 64-bit hash of an edge's content; the run is left out."""
    return _hash(f"{edge.kind._value_}\0{edge.start}\0{edge.end}\0{edge.role}\0{properties}", edge.id, edge.provenance)


def _hash(own: str, element_id: str, seen: Provenance) -> int:
    try:
        content = f"{own}\0{seen.file}\0{seen.line}\0{seen.parser}\0{seen.confidence}".encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"element {element_id!r} holds text that is not Unicode: {error.reason}", what="element", where=seen.file
        ) from error
    digest = xxhash.xxh3_64_intdigest(content)
    return digest - (1 << 64) if digest & _SIGN_BIT else digest
