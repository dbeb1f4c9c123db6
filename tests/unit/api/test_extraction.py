from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bailiwick.api.app import create_api
from bailiwick.platform import Platform
from bailiwick.settings import Settings


def client(home: Path, root: Path | None) -> TestClient:
    return TestClient(create_api(Platform(Settings(home=home, extraction_root=root))))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    root = tmp_path / "files"
    (root / "crm").mkdir(parents=True)
    (root / "crm" / "people.json").write_text('[{"id": 1}]')
    (root / "crm" / "cut.json").write_text('[{"id": ')
    return root


def test_extraction__below_the_root__runs_and_is_listed(tmp_path: Path, files: Path) -> None:
    api = client(tmp_path / "home", files)
    answer = api.post("/v1/extractions", json={"paths": ["crm"], "source": "crm"}, headers={"x-actor": "ada"})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["assets"]["table"] == 1
    assert body["complete"] is False
    assert body["failed"][0]["file"] == "crm/cut.json"
    (run,) = api.get("/v1/extractions").json()
    assert (run["run"], run["actor"]) == (body["run"], "api:ada")
    outcomes = api.get(f"/v1/extractions/{body['run']}/outcomes", params={"outcome": "failed"}).json()
    assert (outcomes["count"], outcomes["outcomes"][0]["file"]) == (1, "crm/cut.json")


@pytest.mark.parametrize("path", ["..", "../home", "/etc", "crm/../../.."])
def test_extraction__outside_the_root__is_denied(tmp_path: Path, files: Path, path: str) -> None:
    answer = client(tmp_path / "home", files).post("/v1/extractions", json={"paths": [path]})
    assert (answer.status_code, answer.json()["code"]) == (403, "policy_denied")


def test_extraction__through_a_link_out_of_the_root__is_denied(tmp_path: Path, files: Path) -> None:
    (files / "out").symlink_to(tmp_path)
    assert client(tmp_path / "home", files).post("/v1/extractions", json={"paths": ["out"]}).status_code == 403


def test_extraction__no_root_configured__is_denied_with_the_remedy(tmp_path: Path) -> None:
    answer = client(tmp_path / "home", None).post("/v1/extractions", json={"paths": ["x"]})
    assert answer.status_code == 403
    assert "BAILIWICK_EXTRACTION_ROOT" in answer.json()["remedy"]


def test_extraction__bad_requests__are_problems(tmp_path: Path, files: Path) -> None:
    api = client(tmp_path / "home", files)
    assert api.post("/v1/extractions", json={"paths": ["absent"]}).status_code == 422
    assert api.post("/v1/extractions", json={"paths": ["a\u0000b"]}).status_code == 422
    assert api.post("/v1/extractions", json={"paths": ["crm"], "colour": 1}).status_code == 422
    assert api.post("/v1/extractions", json={"paths": ["crm"], "dialect": "klingon"}).status_code == 422
    assert api.get("/v1/extractions/none/outcomes").status_code == 404
