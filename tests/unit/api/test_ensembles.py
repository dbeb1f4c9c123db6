from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from learning_examples import ADA, examples, write_csv

from bailiwick.api.app import create_api
from bailiwick.domains.model import Domain
from bailiwick.platform import Platform
from bailiwick.settings import Settings


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("api")
    platform = Platform(Settings(home=folder / "home"))
    platform.domains.create(Domain("bank", "Bank", "bank-agent"), ADA, activate=True)
    path = write_csv(folder / "bank.csv", examples(400))
    platform.datasets.import_file(path, actor=ADA, name="bank")
    for seed in (1, 2):
        platform.training.train("bank", "bank", actor=ADA, seed=seed, settings={"epochs": 2})
    with TestClient(create_api(platform)) as client:
        yield client
    platform.close()


@pytest.fixture
def members(client: TestClient) -> list[dict[str, Any]]:
    versions = client.get("/v1/versions", params={"domain": "bank"}).json()
    return [{"name": f"bank@{each['id']}"} for each in versions if each["family"] != "ensemble"]


def test_ensembles__over_rest__registered_measured_explained_and_deployed(
    client: TestClient, members: list[dict[str, Any]]
) -> None:
    body = {"domain": "bank", "members": members, "strategy": "stacking", "dataset": "bank"}
    made = client.post("/v1/ensembles", json=body, headers={"x-actor": "ada"})
    assert made.status_code == 201, made.text
    version = made.json()["id"]
    assert [each["id"] for each in client.get("/v1/ensembles", params={"domain": "bank"}).json()] == [version]
    shown = client.get(f"/v1/ensembles/{version}").json()
    assert shown["spec"]["strategy"] == "stacking"
    assert shown["spec"]["fitted"]["split"] == "validation"
    judged = client.post(f"/v1/ensembles/{version}/evaluations", json={}).json()
    assert judged["metrics"]["accuracy"] > 0.9
    assert len(judged["against"]) == 2
    told = client.post(f"/v1/ensembles/{version}/explanation", json={"text": "block my stolen card"}).json()
    assert told["label"] == "block_card"
    deployed = client.post("/v1/deployments", json={"version": version})
    assert deployed.status_code in (200, 201), deployed.text
    assert deployed.json()["status"] == "deployed", deployed.text
    audited = client.get("/v1/audit", params={"subject": f"model_version:{version}"}).text
    assert "model_version.register" in audited and "api:ada" in audited


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"strategy": "guess"}, 422),
        ({"strategy": "stacking"}, 422),
        ({"members": []}, 422),
        ({"members": [{"name": "nobody@nothing-v1"}]}, 404),
        ({"members": [{"name": "bank@bank-v9"}]}, 404),
        ({"members": [{"name": "../etc"}]}, 422),
        ({"domain": "nobody"}, 404),
        ({"quorum": 9}, 422),
        ({"dataset": "nothing", "strategy": "stacking"}, 404),
        ({"dataset": "bank", "strategy": "stacking", "split": "test"}, 422),
        ({"unknown": 1}, 422),
        ({"deadline_ms": 1e300}, 422),
    ],
)
def test_ensembles__what_does_not_fit__refused_and_nothing_registered(
    client: TestClient, members: list[dict[str, Any]], changes: dict[str, Any], status: int
) -> None:
    before = client.get("/v1/versions").json()
    body = {"domain": "bank", "members": members, "strategy": "vote", **changes}
    answer = client.post("/v1/ensembles", json=body)
    assert answer.status_code == status, answer.text
    assert client.get("/v1/versions").json() == before


def test_get__a_version_that_is_no_ensemble__refused(client: TestClient, members: list[dict[str, Any]]) -> None:
    version = members[0]["name"].partition("@")[2]
    assert client.get(f"/v1/ensembles/{version}").status_code == 422
    assert client.get("/v1/ensembles/nothing").status_code == 404
