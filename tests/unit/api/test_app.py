from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bailiwick.api.app import create_api
from bailiwick.backends.model import UpstreamFailed, UpstreamRefused
from bailiwick.errors import BailiwickError, GateFailed, NotFound
from bailiwick.platform import Platform
from bailiwick.settings import Settings


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("gone"), 404),
        (GateFailed("held"), 409),
        (UpstreamFailed("away"), 503),
        (UpstreamRefused("no"), 422),
        (BailiwickError("other"), 500),
    ],
)
def test_problem__error_or_one_derived_from_it__its_status_and_code(
    error: BailiwickError, status: int, tmp_path: Path
) -> None:
    api = create_api(Platform(Settings(home=tmp_path)))

    @api.get("/failing")
    def failing() -> None:
        raise error

    answer = TestClient(api).get("/failing")
    assert (answer.status_code, answer.json()["code"]) == (status, error.code)


def test_path__that_is_not_there__a_problem_like_every_other(tmp_path: Path) -> None:
    client = TestClient(create_api(Platform(Settings(home=tmp_path))))
    missing = client.get("/v1/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert missing.headers["content-type"] == "application/problem+json"
    wrong = client.put("/v1/domains")
    assert (wrong.status_code, wrong.json()["status"]) == (405, 405)
    assert "GET" in wrong.headers["allow"]
