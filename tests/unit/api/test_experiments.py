from __future__ import annotations

import json
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


@pytest.fixture
def versions(platform: Platform) -> list[str]:
    return register(platform, "cards", 3)


def _design(versions: list[str], **changes: Any) -> dict[str, Any]:
    arms = [{"name": "control", "version": versions[0]}, {"name": "treatment", "version": versions[1]}]
    return {
        "id": "new-model",
        "domain": "cards",
        "primary": {"metric": "correct"},
        "minimum_effect": 0.02,
        "arms": arms,
        **changes,
    }


def _started(api: TestClient, versions: list[str], **changes: Any) -> None:
    api.post("/v1/deployments", json={"version": versions[0]})
    assert api.post("/v1/experiments", json=_design(versions, **changes)).status_code == 201
    assert api.post("/v1/experiments/new-model/start").status_code == 200


def test_whole_story__create_to_archive(api: TestClient, versions: list[str]) -> None:
    _started(api, versions)
    weights = api.put("/v1/experiments/new-model/weights", json={"weights": {"control": 80, "treatment": 20}}).json()
    assert (weights["epoch"], weights["state"]) == (2, "running")
    third = {"arm": {"name": "bolder", "version": versions[2], "weight": 10}}
    assert api.post("/v1/experiments/new-model/arms", json=third).json()["epoch"] == 3
    assert api.delete("/v1/experiments/new-model/arms/bolder").json()["epoch"] == 4
    assert api.put("/v1/experiments/new-model/overrides", json={"unit": "ada", "arm": "treatment"}).status_code == 200
    results = api.get("/v1/experiments/new-model/results").json()
    assert (results["decision"]["verdict"], results["analysis"]["units"]) == ("continue", 0)
    stale = {"verdict": "inconclusive", "reason": "enough", "revision": 2}
    assert api.post("/v1/experiments/new-model/conclude", json=stale).status_code == 409
    ended = api.post("/v1/experiments/new-model/conclude", json={"verdict": "inconclusive", "reason": "enough"}).json()
    assert (ended["state"], ended["conclusion"]["winner"]) == ("concluded", None)
    assert api.get("/v1/experiments/new-model/events").text == ""
    assert api.get("/v1/experiments/new-model/events", params={"format": "csv"}).text.startswith("at,experiment,epoch")
    assert api.post("/v1/experiments/new-model/archive").json()["state"] == "archived"
    listed = api.get("/v1/experiments", params={"state": "archived"}).json()["experiments"]
    assert [each["id"] for each in listed] == ["new-model"]


def test_deploy__beside_a_running_experiment__says_so(api: TestClient, versions: list[str]) -> None:
    _started(api, versions)
    made = api.post("/v1/deployments", json={"version": versions[2]}).json()
    assert made["experiments"] == ["new-model"]


def test_assignment__names_the_arm_behind_the_version(api: TestClient, versions: list[str]) -> None:
    _started(api, versions)
    api.put("/v1/experiments/new-model/overrides", json={"unit": "ada", "arm": "treatment"})
    found = api.get("/v1/traffic/cards/assignment", params={"unit": "ada"}).json()
    assert (found["version"], found["held_out"]) == (versions[1], False)
    [arm] = found["experiments"]
    assert (arm["experiment"], arm["arm"], arm["counted"]) == ("new-model", "treatment", False)
    api.put("/v1/holdout", json={"share": 99.99})
    away = api.get("/v1/traffic/cards/assignment", params={"unit": "bob"}).json()
    assert (away["version"], away["held_out"], away["experiments"]) == (versions[0], True, [])


def test_holdout__put_and_get(api: TestClient, versions: list[str]) -> None:
    assert api.get("/v1/holdout").json() == {"share": 0.0}
    assert api.put("/v1/holdout", json={"share": 2.5, "reason": "to compare"}).json() == {"share": 2.5}
    assert api.put("/v1/holdout", json={"share": 100}).status_code == 422
    assert api.get("/v1/holdout").json() == {"share": 2.5}


def _two(versions: list[str], **second: Any) -> list[dict[str, Any]]:
    return [{"name": "control", "version": versions[0]}, {"name": "treatment", "version": versions[1], **second}]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda v: {"arms": _two(v, name="control")}, "two arms are named"),
        (lambda v: {"arms": _two(v, version="cards-v9")}, "no registered version"),
        (lambda v: {"arms": _two(v, weight=40)}, "has no weight, but others have"),
        (lambda v: {"arms": [{**arm, "weight": 40} for arm in _two(v)]}, "sum to 80 %"),
        (lambda v: {"arms": _two(v)[:1]}, "with 1 arm"),
        (lambda v: {"primary": {"metric": "happiness"}}, "never seen"),
        (lambda v: {"minimum_effect": -1}, "minimum_effect"),
        (lambda v: {"minimum_effect": "much"}, "neither a number nor a percentage"),
        (lambda v: {"level": 95}, "a level of 95"),
        (lambda v: {"power": 1}, "a power of 1"),
        (lambda v: {"domain": "loans"}, "loans"),
        (lambda v: {"unit": "planet"}, "unit"),
        (lambda v: {"surprise": 1}, "surprise"),
    ],
)
def test_create__bad_input__refused_with_nothing_changed(
    api: TestClient, versions: list[str], wrong: Any, says: str
) -> None:
    answer = api.post("/v1/experiments", json=_design(versions, **wrong(versions)))
    assert answer.status_code in (404, 422) and says in answer.text
    assert api.get("/v1/experiments").json() == {"experiments": []}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
@pytest.mark.parametrize("field", ["minimum_effect", "maximum_days", "coverage", "level", "feedback_hours"])
def test_create__no_finite_number__refused(api: TestClient, versions: list[str], field: str, number: str) -> None:
    text = json.dumps(_design(versions, **{field: "@"})).replace('"@"', number)
    answer = api.post("/v1/experiments", content=text, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert api.get("/v1/experiments").json() == {"experiments": []}


def test_unknown__404(api: TestClient, versions: list[str]) -> None:
    for path in ("none", "none/results", "none/events"):
        assert api.get(f"/v1/experiments/{path}").status_code == 404
    assert api.post("/v1/experiments/none/start").status_code == 404
