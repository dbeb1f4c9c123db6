"""`/v1/graph`, through the real application on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bailiwick.api.app import create_api
from bailiwick.domains.model import Domain
from bailiwick.governance.audit import Actor
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Provenance, edge_id, node_id
from bailiwick.platform import Platform
from bailiwick.settings import Settings

SEEN = Provenance("ddl/core.sql", 7, "sql", "run-1")
AS_ADA = {"X-Actor": "ada", "X-Reason": "she knows"}


def node(name: str, kind: NodeKind = NodeKind.TABLE) -> Node:
    return Node(node_id(kind, name), kind, name.rsplit(".", 1)[-1], name, "files", SEEN, {"nested": {"a": [1]}})


RAW, CARD = node("raw.card"), node("core.card")
LOAD = node("loads/card.sql#1", NodeKind.STATEMENT)
READS = Edge(edge_id(EdgeKind.READS, LOAD.id, RAW.id), EdgeKind.READS, LOAD.id, RAW.id, "files", SEEN)
WRITES = Edge(edge_id(EdgeKind.WRITES, LOAD.id, CARD.id), EdgeKind.WRITES, LOAD.id, CARD.id, "files", SEEN)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(Settings(home=tmp_path))
    platform.domains.create(Domain(id="cards", name="Cards", agent_id="agent-cards"), Actor("test"), activate=True)
    platform.graph.sync_source("files", [RAW, CARD, LOAD], [READS, WRITES], complete=True)
    yield platform
    platform.close()


@pytest.fixture
def client(platform: Platform) -> Iterator[TestClient]:
    with TestClient(create_api(platform)) as client:
        yield client


def test_stats__counts_by_kind(client: TestClient) -> None:
    assert client.get("/v1/graph/stats").json() == {
        "nodes": {"statement": 1, "table": 2},
        "edges": {"reads": 1, "writes": 1},
        "domains": {},
    }


def test_nodes__filters__are_applied(client: TestClient) -> None:
    found = client.get("/v1/graph/nodes", params={"text": "CARD", "kind": "table", "limit": 1}).json()

    assert [each["qualified_name"] for each in found] == ["core.card"]
    assert found[0]["provenance"]["line"] == 7
    assert found[0]["properties"] == {"nested": {"a": [1]}}


@pytest.mark.parametrize("reference", [LOAD.id, "loads/card.sql%231", "statement:loads/card.sql%231"])
def test_node__by_id_or_name_with_slashes__is_found(client: TestClient, reference: str) -> None:
    assert client.get(f"/v1/graph/nodes/{reference}").json()["node"]["id"] == LOAD.id
    around = client.get(f"/v1/graph/nodes/{reference}/neighbours").json()
    assert len(around["nodes"]) == 3
    assert len(around["edges"]) == 2


def test_lineage__through_the_statement__reaches_the_other_table(client: TestClient) -> None:
    found = client.get("/v1/graph/nodes/core.card/lineage", params={"flow": "upstream", "depth": 2}).json()

    assert {each["qualified_name"] for each in found["nodes"]} == {"core.card", "loads/card.sql#1", "raw.card"}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/graph/nodes/nothing", 404),
        ("/v1/graph/nodes/core.card/neighbours?depth=4", 422),
        ("/v1/graph/nodes/core.card/neighbours?kind=likes", 422),
        ("/v1/graph/nodes?limit=0", 422),
        ("/v1/graph/nodes?kind=galaxy", 422),
    ],
)
def test_reads__bad_requests__are_problems(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_tag__set_and_removed__audited_with_who_and_why(client: TestClient, platform: Platform) -> None:
    where = f"/v1/graph/elements/{CARD.id}/tags/cards"

    assert client.put(where, json={"score": 0.8}, headers=AS_ADA).json()["agent_id"] == "agent-cards"
    assert [tag["score"] for tag in client.get("/v1/graph/nodes/core.card").json()["tags"]] == [0.8]
    assert [n["qualified_name"] for n in client.get("/v1/graph/nodes?domain=cards").json()] == ["core.card"]
    assert client.delete(where, headers=AS_ADA).status_code == 204
    assert client.delete(where, headers=AS_ADA).status_code == 204
    assert client.get("/v1/graph/nodes/core.card").json()["tags"] == []
    entries = platform.audit.entries(subject=f"element:{CARD.id}")
    assert [(e.action, e.actor, e.reason) for e in entries] == [
        ("tag.remove", "api:ada", "she knows"),
        ("tag.set", "api:ada", "she knows"),
    ]


def test_tag__of_an_edge_without_a_body__is_sure(client: TestClient, platform: Platform) -> None:
    assert client.put(f"/v1/graph/elements/{READS.id}/tags/cards").json()["score"] == 1.0
    assert [tag.element_id for tag in platform.graph.tags()] == [READS.id]


@pytest.mark.parametrize(
    ("element", "domain", "body", "status"),
    [
        ("nothing", "cards", None, 404),
        (CARD.id, "unknown", None, 404),
        (CARD.id, "cards", {"score": 2}, 422),
        (CARD.id, "cards", {"points": 1}, 422),
    ],
)
def test_tag__bad_requests__change_nothing(
    client: TestClient, platform: Platform, element: str, domain: str, body: object, status: int
) -> None:
    assert client.put(f"/v1/graph/elements/{element}/tags/{domain}", json=body).status_code == status
    assert platform.graph.tags() == []
