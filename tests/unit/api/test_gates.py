from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from deliveries import register
from fastapi.testclient import TestClient

from bailiwick.api.app import create_api
from bailiwick.clock import VirtualClock
from bailiwick.platform import Platform
from bailiwick.settings import Settings


@pytest.fixture
def platform(tmp_path: Path, clock: VirtualClock) -> Iterator[Platform]:
    made = Platform(Settings(home=tmp_path), clock)
    yield made
    made.close()


@pytest.fixture
def api(platform: Platform) -> TestClient:
    return TestClient(create_api(platform))


def test_whole_story__set_ask_approve_serve(api: TestClient, platform: Platform) -> None:
    (version,) = register(platform, "cards", 1)
    assert api.get("/v1/gates/cards").json()["revision"] == 0
    changed = api.put("/v1/gates/cards", json={"changes": {"approvals": 1, "max_error_rate": 0.1}, "revision": 0})
    assert (changed.json()["revision"], changed.json()["policy"]["approvals"]) == (1, 1)
    assert len(api.get("/v1/gates/cards/history").json()["history"]) == 1
    checked = api.post("/v1/gates/check", json={"version": "cards"}).json()
    assert (checked["version"], checked["passed"], checked["approvals_needed"]) == (version, True, 1)
    asked = api.post("/v1/deployments", json={"version": "cards"}, headers={"x-actor": "ada"})
    assert (asked.status_code, asked.json()["status"]) == (202, "waiting")
    path = f"/v1/deployments/{asked.json()['id']}"
    assert api.post(f"{path}/approve", headers={"x-actor": "ada"}).status_code == 403
    assert api.post(f"{path}/approve").status_code == 403  # nobody
    done = api.post(f"{path}/approve", json={"reason": "looked"}, headers={"x-actor": "grace"})
    assert (done.status_code, done.json()["status"]) == (200, "deployed")
    assert api.post(f"{path}/reject").status_code == 409
    shown = api.get(path).json()
    assert ([each["approver"] for each in shown["approvals"]], shown["degradation"]) == (["api:grace"], [])
    (served,) = api.get("/v1/traffic/cards/at?instant=2026-03-02T00:00:00Z").json()["served"]
    assert (served["version"], served["approvers"], served["deployment"]) == (version, ["api:grace"], shown["id"])


def test_approve__policy_changed_meanwhile__409_voided(api: TestClient, platform: Platform) -> None:
    register(platform, "cards", 1)
    api.put("/v1/gates/cards", json={"changes": {"approvals": 1}})
    asked = api.post("/v1/deployments", json={"version": "cards"}, headers={"x-actor": "ada"}).json()
    api.put("/v1/gates/cards", json={"changes": {"approvals": 2}})
    answer = api.post(f"/v1/deployments/{asked['id']}/approve", headers={"x-actor": "grace"})
    assert (answer.status_code, answer.json()["status"]) == (409, "voided")
    assert api.get("/v1/traffic").json()["plans"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"changes": {"approvals": -1}}, 422),
        ({"changes": {"nonsense": 1}}, 422),
        ({"changes": {}}, 422),
        ({"changes": {"freezes": "weekend"}}, 422),
        ({"changes": {"approvals": {"a": [1]}}}, 422),
        ({"changes": {"approvals": 1}, "revision": 7}, 409),
        ({"changes": {"approvals": 1}, "more": 1}, 422),
    ],
)
def test_set__what_does_not_fit__typed_and_nothing_changed(
    api: TestClient, platform: Platform, body: object, status: int
) -> None:
    register(platform, "cards", 1)
    answer = api.put("/v1/gates/cards", json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert api.get("/v1/gates/cards").json()["revision"] == 0


def test_unknown__domain_or_deployment__404(api: TestClient) -> None:
    assert api.get("/v1/gates/nowhere").status_code == 404
    assert api.put("/v1/gates/nowhere", json={"changes": {"approvals": 1}}).status_code == 404
    assert api.get("/v1/deployments/nothing").status_code == 404
    assert api.post("/v1/deployments/nothing/approve", headers={"x-actor": "ada"}).status_code == 404
    assert api.get("/v1/rollbacks").json() == {"rollbacks": []}


def test_frozen__deploy_is_denied_until_the_glass_is_broken(api: TestClient, platform: Platform) -> None:
    register(platform, "cards", 1)
    api.put("/v1/gates/cards", json={"changes": {"freezes": ["all: 2026-01-01T00:00Z to 2027-01-01T00:00Z"]}})
    assert api.post("/v1/deployments", json={"version": "cards"}).status_code == 403
    broken = {"version": "cards", "break_glass": True, "reason": "outage"}
    assert api.post("/v1/deployments", json=broken).status_code == 201
