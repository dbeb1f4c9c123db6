from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from bailiwick.api.app import create_api
from bailiwick.domains.model import Domain
from bailiwick.governance.audit import Actor
from bailiwick.graph.model import Node, NodeKind, Provenance, node_id
from bailiwick.platform import Platform
from bailiwick.settings import Settings

CARD = Node(
    node_id(NodeKind.TABLE, "core.card"),
    NodeKind.TABLE,
    "card",
    "core.card",
    "files",
    Provenance("a.sql", 1, "sql", "r"),
)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    made = Platform(Settings(home=tmp_path))
    for name, word in (("cards", "card"), ("loans", "loan")):
        made.domains.create(Domain(name, name, f"{name}-agent", keywords=(word,)), Actor("test"), activate=True)
    made.graph.sync_source("files", [CARD], [], complete=True)
    yield made
    made.close()


@pytest.fixture
def client(platform: Platform) -> TestClient:
    return TestClient(create_api(platform))


def test_detect__text_texts_and_explain(client: TestClient) -> None:
    one = client.post("/v1/detect", json={"text": "my card"})
    assert one.status_code == 200
    assert (one.json()["domain"], one.json()["method"]) == ("cards", "keyword")
    many = client.post("/v1/detect", json={"texts": ["my card", "bread"]}).json()
    assert [each["domain"] for each in many] == ["cards", None]
    explained = client.post("/v1/detect", json={"text": "my card", "explain": True}).json()
    assert explained["matches"][0]["word"] == "card"
    assert client.post("/v1/detect", json={"text": "my card", "threshold": 1}).json()["domain"] is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "a", "texts": ["b"]},
        {"texts": []},
        {"text": 7},
        {"text": "a", "threshold": 2},
        {"text": "a", "unknown": 1},
        {"texts": ["a"], "explain": True},
    ],
)
def test_detect__bad_request__422(client: TestClient, body: dict[str, Any]) -> None:
    assert client.post("/v1/detect", json=body).status_code == 422


def test_detections__run_then_read(client: TestClient, platform: Platform) -> None:
    assert client.get("/v1/detections/latest").status_code == 404
    done = client.post("/v1/detections", json={}, headers={"x-actor": "ada"})
    assert done.status_code == 201
    assert done.json()["tagged_nodes"] == 1
    assert client.get("/v1/detections/latest").json() == done.json()
    assert client.get(f"/v1/detections/{done.json()['run']}").json() == done.json()
    assert client.get("/v1/detections/detection-nowhere").status_code == 404
    asset = client.get("/v1/detections/assets/core.card").json()
    assert (asset["tags"][0]["domain"], asset["tags"][0]["method"]) == ("cards", "keyword")
    assert platform.audit.entries()[0].actor == "api:ada"


def test_learn__without_examples__422(client: TestClient) -> None:
    assert client.post("/v1/detections/learn", json={}).status_code == 422
    assert client.post("/v1/detections/learn", json={"dataset": "absent"}).status_code == 404
