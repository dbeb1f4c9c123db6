from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from bailiwick.api.app import create_api
from bailiwick.clock import VirtualClock
from bailiwick.platform import Platform
from bailiwick.settings import Settings


@pytest.fixture
def platform(tmp_path: Path, clock: VirtualClock) -> Iterator[Platform]:
    made = Platform(Settings(home=tmp_path, metrics_queue=50), clock)
    yield made
    made.close()


@pytest.fixture
def api(platform: Platform) -> TestClient:
    return TestClient(create_api(platform))


def seen(value: Any = 1.0, **more: Any) -> dict[str, Any]:
    return {"domain": "cards", "version": "v1", "metric": "latency_ms", "value": value, **more}


def test_observe__one_and_many__in_the_metrics(api: TestClient, platform: Platform, clock: VirtualClock) -> None:
    assert api.post("/v1/observations", json=seen(5)).json() == {"accepted": 1, "dropped": 0, "refused": []}
    at = (clock.now() - timedelta(minutes=5)).isoformat()
    answer = api.post("/v1/observations", json={"observations": [seen(7.0, at=at), seen(True, metric="correct")]})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    platform.metrics.flush()
    lines = api.get("/v1/metrics/cards").json()["metrics"]
    assert {line["metric"]: (line["count"], line["mean"]) for line in lines} == {
        "correct": (1, 1.0),
        "latency_ms": (2, 6.0),
    }


def test_observe__some_do_not_fit__refused_by_place_and_the_rest_taken(api: TestClient, clock: VirtualClock) -> None:
    old = (clock.now() - timedelta(days=9)).isoformat()
    answer = api.post("/v1/observations", json={"observations": [seen(), seen(1e200), seen(at=old)]}).json()
    assert answer["accepted"] == 1
    assert [(each["place"], each["reason"][:7]) for each in answer["refused"]] == [(1, "a name "), (2, "too old")]


def test_observe__more_than_the_queue_holds__dropped_and_counted(api: TestClient) -> None:
    answer = api.post("/v1/observations", json={"observations": [seen()] * 60}).json()
    assert answer["accepted"] + answer["dropped"] == 60
    assert answer["dropped"] > 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"observations": []},
        seen("fast"),
        seen(None),
        seen(domain="No Domain"),
        seen(metric=""),
        seen(extra=1),
        seen(at="2026-03-01T12:00:00"),
    ],
)
def test_observe__malformed__problem_and_nothing_taken(api: TestClient, platform: Platform, body: Any) -> None:
    answer = api.post("/v1/observations", json=body)
    assert answer.status_code == 422
    assert platform.metrics.counts().accepted == 0


def test_trend_comparison_and_ranking__over_rest(api: TestClient, platform: Platform, clock: VirtualClock) -> None:
    for hour in range(20):
        for version, size in (("v1", 10.0), ("v2", 5.0)):
            for value in (size + hour, size + hour + 1):
                at = clock.now() - timedelta(hours=20 - hour)
                platform.metrics.record("cards", version, "latency_ms", value, at=at)
        platform.metrics.flush()
    platform.metrics.record("cards", "v3", "latency_ms", 1.0)
    platform.metrics.flush()
    found = api.get("/v1/metrics/cards/trend", params={"metric": "latency_ms", "version": "v1"}).json()
    assert (found["trend"]["direction"], found["trend"]["slope"]) == ("rising", pytest.approx(24))
    assert [point["count"] for point in found["points"]] == [2] * 20
    query = {"metric": "latency_ms", "first": "v1", "second": "v2"}
    assert api.get("/v1/metrics/cards/compare", params=query).json()["difference"] == pytest.approx(5)
    ranking = api.get("/v1/metrics/cards/ranking", params={"metric": "latency_ms"}).json()
    assert [(each["name"], each["rank"]) for each in ranking] == [("v2", 1), ("v1", 2), ("v3", None)]
    query["first"] = "unknown"
    assert api.get("/v1/metrics/cards/compare", params=query).json()["verdict"] == "inconclusive"
    assert api.get("/v1/metrics/cards/trend", params={"metric": "x", "version": "no version"}).status_code == 422
