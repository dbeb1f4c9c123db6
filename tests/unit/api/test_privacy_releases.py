from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from learning_examples import ADA, examples, write_csv
from private_rows import import_units, open_budget

from bailiwick.api.app import create_api
from bailiwick.domains.model import Domain
from bailiwick.platform import Platform
from bailiwick.settings import Settings

ASKED: dict[str, Any] = {
    "dataset": "bank",
    "namespace": "bank-customers",
    "domain": "bank",
    "statistics": ["labels", "units"],
    "epsilon": "0.5",
}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(Settings(home=tmp_path / "home"))
    import_units(platform.datasets, write_csv(tmp_path / "bank.csv", examples(90)))
    open_budget(platform.privacy, "bank", "bank", epsilon="3")
    yield platform
    platform.close()


@pytest.fixture
def client(platform: Platform) -> Iterator[TestClient]:
    with TestClient(create_api(platform)) as client:
        yield client


def test_plan_and_release__over_rest__with_a_card_until_the_budget_ends(client: TestClient) -> None:
    plan = client.post("/v1/privacy/plans", json=ASKED)
    assert plan.status_code == 200, plan.text
    assert plan.json()["cost"] == "epsilon 0.5"
    assert [row["times"] for row in plan.json()["repeated"]] == [1, 10, 100]
    made = client.post("/v1/privacy/releases", json={**ASKED, "idempotency_key": "a"})
    assert made.status_code == 201, made.text
    assert made.json()["card"]["epsilon"] == "0.5"
    assert len(made.json()["output"]["labels"]["cells"]) == 3
    again = client.post("/v1/privacy/releases", json={**ASKED, "idempotency_key": "a"}).json()
    assert again["replayed"]
    assert again["output"] == made.json()["output"]
    refused = client.post("/v1/privacy/releases", json={**ASKED, "epsilon": 2.6})
    assert refused.status_code == 403
    assert "remaining epsilon 2.5" in refused.json()["title"]


@pytest.mark.parametrize(
    ("changed", "status", "named"),
    [
        ({"statistics": ["vocabulary"]}, 422, "delta"),
        ({"statistics": ["domains"]}, 422, "categories.domain"),
        ({"epsilon": None}, 422, "epsilon"),
        ({"epsilon": -1}, 422, "epsilon"),
        ({"epsilon": "NaN"}, 422, "epsilon"),
        ({"epsilon": True}, 422, None),
        ({"level": "low"}, 422, "epsilon"),
        ({"domain": "cards"}, 404, None),
        ({"dataset": "none"}, 404, "dataset"),
        ({"sensitivity": 1}, 422, None),
        ({"statistics": []}, 422, None),
    ],
)
def test_release__bad_request__a_problem_that_names_it(
    client: TestClient, platform: Platform, changed: dict[str, Any], status: int, named: str | None
) -> None:
    found = client.post("/v1/privacy/releases", json={**ASKED, **changed})
    assert found.status_code == status, found.text
    if named:
        assert found.json()["what"] == named
    assert all(balance.spent == 0 for _, balance in platform.privacy.ledger.accounts())


def test_metric_release__accuracy_on_private_rows(client: TestClient, platform: Platform) -> None:
    platform.domains.create(Domain("bank", "Bank", "bank-agent"), ADA)
    private = {"domain": "bank", "dataset": "bank", "epsilon": "1", "delta": "1e-6", "settings": {"features": 64}}
    made = client.post("/v1/training/runs/private", json=private).json()["version"]
    body = {"version": made, "metrics": ["accuracy"], "namespace": "bank-customers", "epsilon": 1}
    refused = client.post(f"/v1/versions/{made}/evaluations", json={})
    assert refused.status_code == 403
    assert "release-metrics" in refused.json()["remedy"]
    found = client.post("/v1/privacy/metric-releases", json=body)
    assert found.status_code == 201, found.text
    assert 0 <= found.json()["output"]["accuracy"]["mean"] <= 1
    shown = client.get(f"/v1/versions/{made}").json()
    assert shown["metrics"]["accuracy"] == found.json()["output"]["accuracy"]["mean"]
    assert shown["dataset_sha256"] is None
    exposed = platform.training.train("bank", "bank", actor=ADA, seed=1).version
    assert client.post("/v1/privacy/metric-releases", json={**body, "version": exposed}).status_code == 403


def test_plan__training_and_metrics__who_pays_and_what_is_left_without_a_charge(
    client: TestClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.domains.create(Domain("bank", "Bank", "bank-agent"), ADA)
    training = {"domain": "bank", "dataset": "bank", "epsilon": "2", "delta": "1e-6", "settings": {"features": 64}}
    plan = client.post("/v1/privacy/plans", json=training)
    assert plan.status_code == 200, plan.text
    found = plan.json()
    assert (found["epsilon"], found["delta"], found["rho"]) == ("2", "0.000001", "2")
    assert found["training"]["steps"] == 12
    assert found["training"]["noise_multiplier"] > 1
    assert [(each["account"], each["afterwards"]["amount"]) for each in found["payments"]] == [
        ("bank-customers/bank", "1"),
        ("bank-customers/bank/bank", "1"),
    ]
    dear = client.post("/v1/privacy/plans", json={**training, "epsilon": "3.5"}).json()
    assert [each["afterwards"] for each in dear["payments"]] == [None, None]
    high = client.post("/v1/privacy/plans", json={**training, "epsilon": None, "delta": None, "level": "high"})
    assert high.json()["cost"] == "epsilon 0.5, delta 0.000001"
    made = client.post("/v1/training/runs/private", json={**training, "epsilon": "1"}).json()["version"]
    body = {"version": made, "metrics": ["accuracy", "test-loss"], "namespace": "bank-customers", "epsilon": 1}
    entries = [balance.entries for _, balance in platform.privacy.ledger.accounts()]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a plan reads no row")

    for reader in ("rows", "examples"):
        monkeypatch.setattr(platform.datasets, reader, refuse)
    assert client.post("/v1/privacy/plans", json=training).status_code == 200
    metrics = client.post("/v1/privacy/plans", json=body).json()
    assert [(each["remaining"]["amount"], each["afterwards"]["amount"]) for each in metrics["payments"]] == [
        ("2", "1"),
        ("2", "1"),
    ]
    assert metrics["training"] is None
    assert all(error["within_95"] > 0 for error in metrics["errors"])
    assert [balance.entries for _, balance in platform.privacy.ledger.accounts()] == entries
    with pytest.raises(AssertionError, match="reads no row"):  # the release would read
        client.post("/v1/privacy/metric-releases", json=body)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**ASKED, "version": "v"}, 422),
        ({"domain": "bank", "dataset": "bank", "level": "low", "epsilon": "1"}, 422),
        ({"domain": "bank", "dataset": "bank", "epsilon": "1", "delta": "0"}, 422),
        ({"domain": "bank", "dataset": "none", "epsilon": "1"}, 404),
        ({**ASKED, "epsilon": None, "delta": "1e-6"}, 422),
        ([], 422),
    ],
)
def test_plan__bad_request__a_problem(client: TestClient, platform: Platform, body: Any, status: int) -> None:
    platform.domains.create(Domain("bank", "Bank", "bank-agent"), ADA)
    assert client.post("/v1/privacy/plans", json=body).status_code == status


def test_default_epsilon__set_over_rest__is_used_by_what_names_none(client: TestClient) -> None:
    path = "/v1/privacy/budgets/bank-customers/bank/settings?domain=bank"
    stored = client.put(path, json={"default_epsilon": "0.3", "default_delta": "1e-7"}).json()["settings"]
    assert (stored["level"], stored["default_epsilon"], stored["default_delta"]) == (None, "0.3", "0.0000001")
    plain = {name: value for name, value in ASKED.items() if name != "epsilon"}
    assert client.post("/v1/privacy/plans", json=plain).json()["cost"] == "epsilon 0.3"
    assert client.post("/v1/privacy/releases", json=plain).json()["card"]["epsilon"] == "0.3"
    assert client.put(path, json={"default_epsilon": "0.2"}).status_code == 200  # a price, also after a charge
    assert client.post("/v1/privacy/plans", json=plain).json()["cost"] == "epsilon 0.2"
    for bad in ({"default_epsilon": "0.2", "level": "low"}, {"default_delta": "1e-7"}, {"default_epsilon": "NaN"}):
        assert client.put(path, json=bad).status_code == 422
