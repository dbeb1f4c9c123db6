from __future__ import annotations

from typing import Any

from bailiwick.detection.assets import asset_text, column_names
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Provenance, edge_id, node_id

SEEN = Provenance("a.sql", 1, "sql", "run")


def node(kind: NodeKind, name: str, **properties: Any) -> Node:
    return Node(node_id(kind, name), kind, name.rsplit(".", 1)[-1], name, "files", SEEN, properties)


def test_asset_text__table__names_comment_and_columns() -> None:
    found = asset_text(node(NodeKind.TABLE, "core.fctCard_txn", comment="Purchases by card"), ["pan_hash", "amount"])
    assert found.split() == ["fct", "card", "txn", "core", "purchases", "pan", "hash", "amount"]


def test_asset_text__column__without_its_table() -> None:
    assert (
        asset_text(node(NodeKind.COLUMN, "core.card.opened_on", semantic_type="date of opening")) == "opened of opening"
    )


def test_asset_text__statement__its_text_without_sql() -> None:
    found = asset_text(node(NodeKind.STATEMENT, "a.sql#3", text="SELECT pin FROM cards WHERE pin IS NOT NULL"))
    assert found.split() == ["pin", "cards"]


def test_asset_text__job__its_description() -> None:
    assert "mortgage" in asset_text(node(NodeKind.JOB, "NIGHT/J1", description="Mortgage interest"))


def test_asset_text__hostile_properties__are_passed_over() -> None:
    assert asset_text(node(NodeKind.TABLE, "t", comment=["x"], description=7, text=None)) == "t"
    assert len(asset_text(node(NodeKind.STATEMENT, "s", text="x y " * 1_000_000))) < 100


def test_column_names__of_tables__only_columns() -> None:
    table, column, file = (
        node(NodeKind.TABLE, "t"),
        node(NodeKind.COLUMN, "t.c"),
        node(NodeKind.FILE, "f"),
    )
    edges = [
        Edge(edge_id(EdgeKind.HAS, a.id, b.id), EdgeKind.HAS, a.id, b.id, "files", SEEN)
        for a, b in ((table, column), (file, table))
    ]
    assert column_names({each.id: each for each in (table, column, file)}, edges) == {table.id: ["c"]}
