from __future__ import annotations

from dataclasses import replace

import pytest

from bailiwick.errors import InvalidInput
from bailiwick.graph.content import edge_hash, node_hash, properties_text
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Provenance, edge_id, node_id

SEEN = Provenance("a.sql", 1, "sql", "run-1", 1.0)
NODE = Node(node_id(NodeKind.TABLE, "a.b"), NodeKind.TABLE, "b", "a.b", "s", SEEN)
EDGE = Edge(edge_id(EdgeKind.HAS, "x", "y"), EdgeKind.HAS, "x", "y", "s", SEEN)


def test_properties_text__other_order__same_text() -> None:
    assert properties_text({"b": 1, "a": {"d": 2, "c": 3}}) == properties_text({"a": {"c": 3, "d": 2}, "b": 1})


@pytest.mark.parametrize("value", [object(), 2**64, "\ud800", {1: 2}, b"bytes"])
def test_properties_text__not_json__is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="JSON"):
        properties_text({"key": value})


@pytest.mark.parametrize("change", [{"run": "run-2"}])
def test_hashes__only_the_run_differs__stay(change: dict[str, str]) -> None:
    again = replace(SEEN, **change)

    assert node_hash(replace(NODE, provenance=again), "{}") == node_hash(NODE, "{}")
    assert edge_hash(replace(EDGE, provenance=again), "{}") == edge_hash(EDGE, "{}")


@pytest.mark.parametrize("change", [{"file": "b.sql"}, {"line": None}, {"parser": "other"}, {"confidence": 0.5}])
def test_hashes__provenance_differs__change(change: dict[str, object]) -> None:
    other = replace(SEEN, **change)  # type: ignore[arg-type]

    assert node_hash(replace(NODE, provenance=other), "{}") != node_hash(NODE, "{}")
    assert edge_hash(replace(EDGE, provenance=other), "{}") != edge_hash(EDGE, "{}")


def test_hashes__fit_a_signed_column() -> None:
    for number in range(200):
        assert -(2**63) <= node_hash(NODE, str(number)) < 2**63
