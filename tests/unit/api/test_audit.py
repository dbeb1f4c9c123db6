"""`/v1/audit`, through the real application on a real database."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bailiwick.api.app import create_api
from bailiwick.domains.model import Domain
from bailiwick.governance.audit import Actor
from bailiwick.governance.checkpoint import is_signed_by, parse, parse_verifier_key
from bailiwick.governance.merkle import leaf_hash, verify_consistency, verify_inclusion
from bailiwick.platform import Platform
from bailiwick.settings import Settings


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    platform = Platform(Settings(home=tmp_path))
    for name in ("cards", "loans", "savings"):
        platform.domains.create(Domain(id=name, name=name, agent_id=f"agent-{name}"), Actor("cli:ada"))
    with TestClient(create_api(platform)) as client:
        yield client
    platform.close()


def test_audit__entries_of_a_subject__newest_first(client: TestClient) -> None:
    answer = client.get("/v1/audit", params={"subject": "domain:loans"})
    assert [(entry["action"], entry["actor"]) for entry in answer.json()] == [("domain.create", "cli:ada")]


def test_audit__proofs__verified_by_a_client_who_knows_the_key_alone(client: TestClient) -> None:
    key = parse_verifier_key(client.get("/v1/audit/key").text)
    earlier = parse(client.get("/v1/audit/head").text)
    assert is_signed_by(earlier, key)
    proof = client.get("/v1/audit/proof/2").json()
    path = [base64.b64decode(node) for node in proof["path"]]
    assert verify_inclusion(leaf_hash(proof["body"].encode()), proof["position"], earlier.size, path, earlier.root)
    assert client.post("/v1/domains/loans/activate", headers={"X-Actor": "bob"}).status_code == 200
    later = parse(client.get("/v1/audit/head").text)
    assert later.size > earlier.size
    proof = client.get("/v1/audit/consistency", params={"first": earlier.size}).json()
    path = [base64.b64decode(node) for node in proof["path"]]
    assert verify_consistency(earlier.size, earlier.root, later.size, later.root, path)
    assert client.get("/v1/audit/verification").json()["intact"] is True


def test_audit__export__every_entry(client: TestClient) -> None:
    lines = [json.loads(line) for line in client.get("/v1/audit/export").text.splitlines()]
    assert lines[0]["format"] == "bailiwick-audit-1"
    assert [line["position"] for line in lines if "position" in line] == list(range(len(lines) - 2))


@pytest.mark.parametrize(
    ("path", "status"),
    [("proof/999", 404), ("proof/0", 422), ("consistency?first=999", 422), ("consistency", 422), ("?limit=0", 422)],
)
def test_audit__what_is_not_there__a_problem_and_no_5xx(client: TestClient, path: str, status: int) -> None:
    answer = client.get(f"/v1/audit/{path}" if not path.startswith("?") else f"/v1/audit{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
