from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def deploy(api: TestClient, version: str, **body: Any) -> Any:
    answer = api.post("/v1/deployments", json={"version": version, **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_whole_story__deploy_share_shift_promote_rollback(api: TestClient, platform: Platform) -> None:
    old, new = register(platform, "cards", 2)
    assert deploy(api, old)["status"] == "deployed"
    made = deploy(api, "cards", share_percent=20, reason="try it")
    assert (made["version"], made["previous"], made["reason"], made["decision"]) == (
        new,
        old,
        "try it",
        "every gate passed",
    )
    assert api.get("/v1/traffic/cards").json()["weights"] == {old: 80.0, new: 20.0}
    shifted = api.put("/v1/traffic/cards", json={"weights": {old: 49.5, new: 50.5}, "revision": 2})
    assert shifted.json()["weights"] == {old: 49.5, new: 50.5}
    assert api.post("/v1/traffic/cards/promote").json()["weights"] == {new: 100.0}
    rolled = api.post("/v1/domains/cards/rollback", json={"reason": "errors"}).json()
    assert (rolled["removed"], rolled["plan"]["weights"]) == ([new], {old: 100.0})
    changes = [entry["change"] for entry in api.get("/v1/traffic/cards/history").json()["history"]]
    assert changes == ["traffic.rollback", "traffic.promote", "traffic.shift", "traffic.deploy", "traffic.deploy"]
    assert [each["status"] for each in api.get("/v1/deployments?domain=cards").json()["deployments"]] == [
        "rolled_back",
        "deployed",
    ]


def test_deploy__gate_fails__409_with_the_deployment(api: TestClient, platform: Platform) -> None:
    register(platform, "cards", 1, accuracy=0.5)
    answer = api.post("/v1/deployments", json={"version": "cards"})
    assert (answer.status_code, answer.json()["status"]) == (409, "held")
    assert answer.json()["decision"] == "accuracy 0.5 is below 0.85"
    assert api.get("/v1/traffic/cards").status_code == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"version": "typo"}, 404),
        ({"version": "cards", "share_percent": 0}, 422),
        ({"version": "cards", "share_percent": 20.001}, 422),
        ({"version": "cards", "share_percent": 20}, 422),
        ({"version": "cards", "force": True}, 422),
        ({"version": "cards", "domain": "loans"}, 422),
        ({"version": "cards", "revision": 7}, 409),
        ({"version": "cards", "colour": "red"}, 422),
        ({"version": "car\0ds"}, 422),
        ({"version": "cards", "reason": "a\0b"}, 422),
    ],
)
def test_deploy__bad_request__problem_and_nothing_deployed(
    api: TestClient, platform: Platform, body: dict[str, Any], status: int
) -> None:
    register(platform, "cards", 1)
    answer = api.post("/v1/deployments", json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert api.get("/v1/traffic").json() == {"revision": 0, "plans": []}
    assert api.get("/v1/deployments").json() == {"deployments": []}


@pytest.mark.parametrize("weights", [{}, {"a": 50}, {"a": 120, "b": -20}, {"a": "x"}, {"a": 33.333, "b": 66.667}])
def test_shift__bad_weights__422(api: TestClient, platform: Platform, weights: dict[str, Any]) -> None:
    deploy(api, register(platform, "cards", 1)[0])
    assert api.put("/v1/traffic/cards", json={"weights": weights}).status_code == 422


def test_assignment__user__same_version_each_time(api: TestClient, platform: Platform) -> None:
    deploy(api, register(platform, "cards", 1)[0])
    first = api.get("/v1/traffic/cards/assignment", params={"unit": "user-42"}).json()
    assert first == api.get("/v1/traffic/cards/assignment", params={"unit": "user-42"}).json()
    assert api.get("/v1/traffic/loans/assignment", params={"unit": "user-42"}).status_code == 404


def test_at__before_and_after__what_served(api: TestClient, platform: Platform) -> None:
    version = register(platform, "cards", 1)[0]
    deploy(api, version)
    assert api.get("/v1/traffic/cards/at", params={"instant": "2026-03-01T11:59:59Z"}).status_code == 404
    found = api.get("/v1/traffic/cards/at", params={"instant": "2026-03-01T12:00:00Z"}).json()
    assert found["weights"] == {version: 100.0}
    for odd in ("2026-03-01T12:00:00", "9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00"):
        assert api.get("/v1/traffic/cards/at", params={"instant": odd}).status_code == 422
        assert api.get("/v1/metrics/cards", params={"until": odd}).status_code == 422


def test_metrics__observations_and_feedback__summed_up(api: TestClient, platform: Platform) -> None:
    platform.metrics.served("req-1", "cards", "v1", {"latency_ms": 4.0})
    platform.metrics.flush()
    platform.metrics.feedback("req-1", value=True)
    found = api.get("/v1/metrics/cards").json()
    assert [(line["metric"], line["count"], line["p95"]) for line in found["metrics"]] == [("latency_ms", 1, 4.0)]
    assert [(line["version"], line["mean"]) for line in found["feedback"]] == [("v1", 1.0)]
    backwards = {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
    assert api.get("/v1/metrics/cards", params=backwards).status_code == 422


def test_versions__deployed_and_asked__joined_with_their_live_metrics(api: TestClient, platform: Platform) -> None:
    version = register(platform, "cards", 1)[0]
    deploy(api, version)
    platform.metrics.served("req-1", "cards", version, {"latency_ms": 4.0, "failed": 0.0})
    platform.metrics.flush()
    platform.metrics.feedback("req-1", value=True)
    found = api.get("/v1/metrics/cards/versions").json()["versions"]
    assert [(each["version"], each["share_percent"], each["live"]["attempts"]) for each in found] == [(version, 100, 1)]
    assert (found[0]["live"]["judged"], found[0]["live"]["correct"]) == (1, 1.0)
    assert found[0]["deployments"][0]["status"] == "deployed"
    assert api.get("/v1/metrics/cards/versions", params={"version": "nothing"}).status_code == 404
    assert api.get("/v1/metrics/nonsense/versions").status_code == 404


def test_prometheus__weights_in_force__as_ratios(api: TestClient, platform: Platform) -> None:
    version = register(platform, "cards", 1)[0]
    deploy(api, version)
    answer = api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert f'bailiwick_traffic_weight_ratio{{domain="cards",version="{version}"}} 1\n' in answer.text


@pytest.mark.parametrize(
    "path", ["/v1/traffic/{}", "/v1/traffic/{}/history", "/v1/metrics/{}", "/v1/deployments?domain={}"]
)
def test_any_path__domain_that_cannot_be__422(api: TestClient, path: str) -> None:
    for domain in ("a%00b", "UPPER", "x" * 65, "%27%20OR%201"):
        assert api.get(path.format(domain)).status_code == 422
