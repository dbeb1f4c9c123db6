from __future__ import annotations

import pytest

from bailiwick.clock import VirtualClock
from bailiwick.datasets.from_graph import GraphSelection, rows_from_graph
from bailiwick.errors import InvalidInput
from bailiwick.governance.audit import AuditTrail
from bailiwick.graph.model import Node, NodeKind, Provenance, Tag, node_id
from bailiwick.graph.sql import SqlGraphStore
from bailiwick.storage.database import Database


def node(kind: NodeKind, name: str, **properties: str) -> Node:
    place = Provenance(f"{name}.sql", 1, "test", "run-1")
    return Node(node_id(kind, name), kind, name, name, "source", place, properties)


@pytest.fixture
def graph(sqlite_database: Database, clock: VirtualClock) -> SqlGraphStore:
    store = SqlGraphStore(sqlite_database, AuditTrail(sqlite_database, clock), clock)
    nodes = [
        node(NodeKind.TABLE, "card", comment="plastic cards"),
        node(NodeKind.STATEMENT, "load.sql#1", text="INSERT INTO card SELECT 1"),
        node(NodeKind.TABLE, "loan"),
        node(NodeKind.JOB, "nightly"),
    ]
    store.sync_source("source", nodes, [], complete=True)
    tags = [
        ("cards", 0.9, "keyword"),
        ("cards", 0.8, "classifier"),
        ("loans", 0.4, "keyword"),
        ("cards", 0.9, "keyword"),
    ]
    store.set_tags(
        Tag(each.id, domain, "agent", score, method, "run-1")
        for each, (domain, score, method) in zip(nodes, tags, strict=True)
    )
    store.set_manual_tag(Tag(nodes[0].id, "loans", "agent", 0.5, "manual", "run-2"))
    return store


def test_rows__tagged_elements__labelled_by_their_best_tag_and_grouped_by_file(graph: SqlGraphStore) -> None:
    rows = {read.row.text: read.row for read in rows_from_graph(graph, GraphSelection("estate"))}
    assert {text: row.label for text, row in rows.items()} == {
        "card plastic cards": "loans",
        "INSERT INTO card SELECT 1": "cards",
    }
    assert rows["card plastic cards"].unit == "card.sql"
    assert {row.domain for row in rows.values()} == {"estate"}


def test_rows__only_some_domains_kinds_or_scores__filtered(graph: SqlGraphStore) -> None:
    def texts(selection: GraphSelection) -> set[str]:
        return {read.row.text for read in rows_from_graph(graph, selection)}

    assert texts(GraphSelection("estate", kinds=(NodeKind.STATEMENT,))) == {"INSERT INTO card SELECT 1"}
    assert texts(GraphSelection("estate", domains=("loans",))) == {"card plastic cards"}
    assert "loan" in texts(GraphSelection("estate", min_score=0.3))


def test_rows__nothing_selected__refused(graph: SqlGraphStore) -> None:
    with pytest.raises(InvalidInput, match="detect"):
        list(rows_from_graph(graph, GraphSelection("estate", domains=("none",))))
