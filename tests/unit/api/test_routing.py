"""`/v1/routing`, through the real application on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from bailiwick.api.app import create_api
from bailiwick.domains.model import Backend, Domain
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.settings import Settings

ADA = Actor("ada")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    platform = Platform(Settings(home=tmp_path))
    elsewhere = Backend("openai-compatible", base_url="http://127.0.0.1:9/v1", model="m")
    for name, words in (("cards", ("card",)), ("loans", ("loan", "mortgage"))):
        platform.domains.create(
            Domain(name, name, f"agent-{name}", keywords=words, backend=elsewhere), ADA, activate=True
        )
    platform.domains.set_default("cards", ADA)
    with TestClient(create_api(platform)) as made:
        yield made
    platform.close()


def test_explain__every_stage(client: TestClient) -> None:
    rules = [
        {"name": "fraud", "domain": "cards", "keywords": ["fraud"], "where": [{"attribute": "x-a", "values": ["b"]}]}
    ]
    assert client.put("/v1/routing/rules", json={"rules": rules, "reason": "why not"}).json()["revision"] == 1
    found = client.post("/v1/routing/explain", json={"text": "my mortgage"}).json()
    assert (found["domain"], found["method"], found["rules"]) == ("loans", "rule", [])
    assert found["detection"]["words"][0]["word"] == "mortgage"
    assert found["learning"]["acts"] is False
    asked = {"text": "my mortgage fraud", "attributes": {"X-A": "b"}}
    found = client.post("/v1/routing/explain", json=asked).json()
    assert (found["domain"], found["method"]) == ("cards", "user-rule")
    assert [each["name"] for each in found["rules"]] == ["fraud"]
    entry = client.get("/v1/audit", params={"subject": "routing:1"}).json()[0]
    assert (entry["action"], entry["reason"]) == ("routing.rules", "why not")


def test_mode_and_policy__are_published_and_shown(client: TestClient) -> None:
    assert client.put("/v1/routing/mode", json={"mode": "on"}).json() == {"revision": 1, "mode": "on"}
    applied = client.post("/v1/routing/policies", json={"policy": {"learning_rate": 2}})
    assert applied.status_code == 201
    assert applied.json()["evaluation"]["verdict"] == "cannot be told"
    status = client.get("/v1/routing").json()
    assert (status["mode"], status["policy"]["learning_rate"], status["policy_revision"]) == ("on", 2, 2)
    assert [each["kind"] for each in client.get("/v1/routing/history").json()["revisions"]] == ["policy", "mode"]
    assert client.get("/v1/routing/revisions/2").json()["body"]["policy"]["knobs"]["learning_rate"] == 2
    assert client.get("/v1/routing/proposal").json()["decisions"] == 0
    assert client.post("/v1/routing/evaluations", json={}).json()["judged"] == 0
    assert client.get("/v1/routing/analytics").json()["decisions"] == 0


def test_explain__nobody_can_answer__says_so_and_why(tmp_path: Path) -> None:
    platform = Platform(Settings(home=tmp_path))
    platform.domains.create(Domain("cards", "cards", "a", keywords=("card",)), ADA, activate=True)
    with TestClient(create_api(platform)) as client:
        found = client.post("/v1/routing/explain", json={"text": "my card"}).json()
        assert (found["domain"], found["version"]) == (None, None)
        assert "no domain can answer" in found["reason"]
        assert found["detection"]["domain"] == "cards"
        named = client.post("/v1/routing/explain", json={"text": "x", "model": "cards"}).json()
        assert named["domain"] is None
        assert "cannot answer now" in named["reason"]
    platform.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/v1/routing/mode", {"mode": "loud"}, 422),
        ("PUT", "/v1/routing/rules", {"rules": [{"name": "a", "domain": "nowhere", "keywords": ["x"]}]}, 422),
        ("PUT", "/v1/routing/rules", {"rules": [{"name": "a", "domain": "cards", "pattern": "(a"}]}, 422),
        ("POST", "/v1/routing/policies", {"policy": {"margin": 7}}, 422),
        ("POST", "/v1/routing/policies", {"policy": {"alternatives": {"cards": ["nowhere"]}}}, 422),
        ("POST", "/v1/routing/policies", {"policy": {}, "force": True}, 422),
        ("POST", "/v1/routing/explain", {"text": ""}, 422),
        ("POST", "/v1/routing/explain", {"text": "x", "model": "nowhere"}, 404),
        ("GET", "/v1/routing/decisions/unknown", None, 404),
        ("GET", "/v1/routing/revisions/7", None, 404),
        ("GET", "/v1/routing/analytics?since=0001-01-01T00:00:00Z&until=2026-01-01T00:00:00Z", None, 422),
        ("GET", "/v1/routing/analytics?since=0001-01-01T00:00:00%2B05:00&until=2026-01-01T00:00:00Z", None, 422),
        ("GET", "/v1/routing/analytics?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", None, 422),
    ],
)
def test_refusals__are_problems_and_change_nothing(
    client: TestClient, method: str, path: str, body: Any, status: int
) -> None:
    answer = client.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["status"] == status
    assert client.get("/v1/routing").json()["revision"] == 0
