from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from learning_examples import ADA, examples, write_csv

from bailiwick.api.app import create_api
from bailiwick.domains.model import Domain
from bailiwick.platform import Platform
from bailiwick.settings import Settings


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    platform = Platform(Settings(home=tmp_path / "home"))
    platform.domains.create(Domain("bank", "Bank", "bank-agent"), ADA)
    with TestClient(create_api(platform)) as client:
        yield client
    platform.close()


@pytest.fixture
def csv(tmp_path: Path) -> bytes:
    return write_csv(tmp_path / "bank.csv", examples(90)).read_bytes()


def test_learning__over_rest__from_rows_to_a_verdict(client: TestClient, csv: bytes) -> None:
    made = client.post("/v1/datasets/bank?format=csv", content=csv, headers={"content-type": "text/csv"})
    assert made.status_code == 201, made.text
    assert client.get("/v1/datasets/bank").json() == made.json()
    assert [each["id"] for each in client.get("/v1/datasets").json()] == [made.json()["id"]]

    run = client.post("/v1/training/runs", json={"domain": "bank", "dataset": "bank", "seed": 3}).json()
    assert run["status"] == "succeeded"
    assert client.get(f"/v1/training/runs/{run['id']}").json() == run
    assert client.get("/v1/training/runs?domain=bank").json() == [run]

    version = client.get(f"/v1/versions/{run['version']}").json()
    assert version["metrics"]["accuracy"] > 0.8
    assert client.get("/v1/versions?domain=bank").json() == [version]
    again = client.post(f"/v1/versions/{version['id']}/evaluations", json={})
    assert again.status_code == 201
    assert len(client.get(f"/v1/versions/{version['id']}/evaluations").json()) == 2
    compared = client.get(f"/v1/versions/{version['id']}/comparison?baseline={version['id']}").json()
    assert compared["verdict"] == "inconclusive"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("get", "/v1/datasets/none", None, 404),
        ("get", "/v1/training/runs/none", None, 404),
        ("get", "/v1/versions/none", None, 404),
        ("get", "/v1/versions/none/evaluations", None, 404),
        ("post", "/v1/versions/none/evaluations", {}, 404),
        ("post", "/v1/training/runs", {"domain": "bank", "dataset": "none"}, 404),
        ("post", "/v1/training/runs", {"domain": "bank"}, 422),
        ("post", "/v1/training/runs", {"domain": "bank", "dataset": "x", "sed": 1}, 422),
        ("post", "/v1/training/runs", {"domain": "bank", "dataset": "x", "seed": -1}, 422),
    ],
)
def test_rest__bad_request__problem_document(
    client: TestClient, method: str, path: str, body: object, status: int
) -> None:
    answer = client.request(method, path, json=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"text\nonly\n", b'text,label,domain\n"open'])
def test_import__bad_body__problem_document_and_nothing_stored(client: TestClient, content: bytes) -> None:
    answer = client.post("/v1/datasets/bank", content=content, headers={"content-type": "text/csv"})
    assert answer.status_code == 422, answer.text
    assert client.get("/v1/datasets").json() == []
