from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from privacy_examples import ADA, CARDS, TERMS, plan

from bailiwick.api.app import create_api
from bailiwick.errors import BudgetExhausted
from bailiwick.platform import Platform
from bailiwick.settings import Settings

WHOLE = {"namespace": "customers", "lineage": "queries", "column": "customer", "epsilon": "1", "delta": 1e-6}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(Settings(home=tmp_path / "home"))
    yield platform
    platform.close()


@pytest.fixture
def client(platform: Platform) -> Iterator[TestClient]:
    with TestClient(create_api(platform)) as client:
        made = client.post("/v1/privacy/budgets", json={**WHOLE, "settings": {"contribution_cap": 2}})
        assert made.status_code == 201, made.text
        domain = {"namespace": "customers", "lineage": "queries", "domain": "cards", "epsilon": 0.6, "delta": "1e-7"}
        assert client.post("/v1/privacy/budgets", json=domain).json()["unit"] == "customer"
        yield client


def test_budget__over_rest__from_creation_to_its_report_card(client: TestClient, platform: Platform) -> None:
    done = platform.privacy.release(TERMS, CARDS, plan(0.1, 1e-8), lambda: {"count": 3}, actor=ADA)

    listed = {each["account"]: each for each in client.get("/v1/privacy/budgets").json()}
    assert listed["customers/queries/cards"]["remaining"] == {"amount": "0.5", "delta": "0.00000009"}
    one = client.get("/v1/privacy/budgets/customers/queries?domain=cards").json()
    assert (one["used"]["amount"], one["entries"], one["verified"]) == ("0.1", 4, True)
    assert [entry["kind"] for entry in one["history"]] == ["open", "hold", "start", "spend"]
    assert [each["domain"] for each in client.get("/v1/privacy/budgets?domain=cards").json()] == ["cards"]
    assert client.get("/v1/privacy/releases").json() == [done.card]
    found = client.get(f"/v1/privacy/releases/{done.charge.id}").json()
    assert found == {"card": done.card, "output": {"count": 3}}


def test_settings__over_rest__are_replaced(client: TestClient) -> None:
    body = {"bounds": {"amount": [0, 10]}, "categories": {"branch": ["north"]}, "level": "low"}
    found = client.put("/v1/privacy/budgets/customers/queries/settings?domain=cards", json=body).json()
    unstated = {"default_epsilon": None, "default_delta": None}
    assert found["settings"] == {**body, **unstated, "contribution_cap": 2}


def test_metrics__budgets__are_gauges(client: TestClient, platform: Platform) -> None:
    platform.privacy.release(TERMS, CARDS, plan(0.1), lambda: 1, actor=ADA)
    text = client.get("/metrics").text
    labels = 'namespace="customers",lineage="queries",domain="cards"'
    assert f'bailiwick_privacy_budget_used{{{labels},measure="epsilon"}} 0.1\n' in text
    assert f'bailiwick_privacy_budget_held{{{labels},measure="epsilon"}} 0\n' in text
    assert f'bailiwick_privacy_budget_remaining{{{labels},measure="delta"}} 1e-07\n' in text


def test_exhausted__over_rest__says_requested_spent_held_remaining(client: TestClient, platform: Platform) -> None:
    @client.app.get("/ask")  # type: ignore[attr-defined]
    def ask() -> Any:
        return platform.privacy.release(TERMS, CARDS, plan(0.7), lambda: 1, actor=ADA).output

    answer = client.get("/ask")
    assert (answer.status_code, answer.json()["code"]) == (403, BudgetExhausted.code)
    assert {"requested", "spent", "held", "remaining"} <= set(answer.json())


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("get", "/v1/privacy/budgets/no/such", None, 404),
        ("get", "/v1/privacy/releases/no", None, 404),
        ("get", "/v1/privacy/budgets?domain=%00", None, 422),
        ("post", "/v1/privacy/budgets", WHOLE, 409),
        ("post", "/v1/privacy/budgets", {**WHOLE, "lineage": "b", "extra": 1}, 422),
        ("post", "/v1/privacy/budgets", {**WHOLE, "lineage": "b", "epsilon": "-1"}, 422),
        ("post", "/v1/privacy/budgets", {**WHOLE, "lineage": "b", "epsilon": True}, 422),
        ("post", "/v1/privacy/budgets", {**WHOLE, "lineage": "a/b"}, 422),
        ("post", "/v1/privacy/budgets", {**WHOLE, "lineage": "b", "settings": {"bounds": {"a": [2, 1]}}}, 422),
        ("post", "/v1/privacy/budgets", {**WHOLE, "lineage": "b", "settings": {"level": "extreme"}}, 422),
        ("put", "/v1/privacy/budgets/no/such/settings", {}, 404),
        ("put", "/v1/privacy/budgets/customers/queries/settings", {"epsilon": 5}, 422),
    ],
)
def test_privacy__cannot_be__is_a_problem_and_nothing_is_made(
    client: TestClient, method: str, path: str, body: Any, status: int
) -> None:
    before = client.get("/v1/privacy/budgets").json()
    answer = client.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/v1/privacy/budgets").json() == before


def test_budget__second_one_over_the_same_data_set__is_a_conflict_that_names_the_first(client: TestClient) -> None:
    refused = client.post("/v1/privacy/budgets", json={**WHOLE, "namespace": "shoppers"})
    assert refused.status_code == 409
    assert "customers/queries" in refused.text
    assert len(client.get("/v1/privacy/budgets").json()) == 2


def test_settings__after_a_charge__are_a_conflict(client: TestClient, platform: Platform) -> None:
    platform.privacy.release(TERMS, CARDS, plan(0.1), lambda: 1, actor=ADA)
    path = "/v1/privacy/budgets/customers/queries/settings"
    refused = client.put(path, json={"contribution_cap": 3})
    assert (refused.status_code, "fixed for good" in refused.text) == (409, True)
    assert client.put(path, json={"contribution_cap": 2, "level": "high"}).status_code == 200
