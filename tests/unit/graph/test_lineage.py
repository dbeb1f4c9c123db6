from __future__ import annotations

import pytest

from bailiwick.clock import VirtualClock
from bailiwick.errors import InvalidInput, NotFound
from bailiwick.governance.audit import AuditTrail
from bailiwick.graph.lineage import lineage, resolve
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Provenance, edge_id, node_id
from bailiwick.graph.sql import SqlGraphStore
from bailiwick.storage.database import Database

SEEN = Provenance("a.sql", 1, "sql", "run-1")


def node(kind: NodeKind, name: str) -> Node:
    return Node(node_id(kind, name), kind, name, name, "s", SEEN)


def edge(kind: EdgeKind, start: Node, end: Node) -> Edge:
    return Edge(edge_id(kind, start.id, end.id), kind, start.id, end.id, "s", SEEN)


RAW, CLEAN, REPORT = (node(NodeKind.TABLE, name) for name in ("raw", "clean", "report"))
LOAD = node(NodeKind.STATEMENT, "load.sql#1")
VIEW = node(NodeKind.VIEW, "clean")
COLUMN = node(NodeKind.COLUMN, "raw.id")


@pytest.fixture
def store(sqlite_database: Database, clock: VirtualClock) -> SqlGraphStore:
    store = SqlGraphStore(sqlite_database, AuditTrail(sqlite_database, clock), clock)
    nodes = [RAW, CLEAN, REPORT, LOAD, VIEW, COLUMN]
    edges = [
        edge(EdgeKind.READS, LOAD, RAW),
        edge(EdgeKind.WRITES, LOAD, CLEAN),
        edge(EdgeKind.DERIVES, CLEAN, REPORT),
        edge(EdgeKind.HAS, RAW, COLUMN),
    ]
    store.sync_source("s", nodes, edges, complete=True)
    return store


def names(nodes: object) -> list[str]:
    return sorted(found.qualified_name for found in nodes)  # type: ignore[attr-defined]


def test_lineage__through_a_statement__follows_the_data(store: SqlGraphStore) -> None:
    assert names(lineage(store, RAW.id, "downstream", depth=1).nodes) == ["load.sql#1", "raw"]
    assert names(lineage(store, RAW.id, "downstream", depth=3).nodes) == ["clean", "load.sql#1", "raw", "report"]
    assert names(lineage(store, REPORT.id, "upstream", depth=3).nodes) == ["clean", "load.sql#1", "raw", "report"]
    assert names(lineage(store, RAW.id, "upstream", depth=3).nodes) == ["raw"]


def test_lineage__limit__keeps_the_nearest(store: SqlGraphStore) -> None:
    found = lineage(store, RAW.id, "downstream", depth=3, limit=2)

    assert names(found.nodes) == ["load.sql#1", "raw"]
    assert [each.kind for each in found.edges] == [EdgeKind.READS]


def test_lineage__depth_out_of_bounds__is_refused(store: SqlGraphStore) -> None:
    with pytest.raises(InvalidInput):
        lineage(store, RAW.id, "upstream", depth=4)


@pytest.mark.parametrize("reference", [RAW.id, "raw", "table:raw"])
def test_resolve__id_or_name__finds_the_node(store: SqlGraphStore, reference: str) -> None:
    assert resolve(store, reference) == RAW


def test_resolve__name_shared_by_kinds__asks_which(store: SqlGraphStore) -> None:
    with pytest.raises(InvalidInput) as caught:
        resolve(store, "clean")

    assert caught.value.allowed == ["table:clean", "view:clean"]
    assert resolve(store, "view:clean") == VIEW


def test_resolve__unknown_name__offers_what_is_like_it(store: SqlGraphStore) -> None:
    with pytest.raises(NotFound, match=r"raw\.id"):
        resolve(store, "AW.I")
