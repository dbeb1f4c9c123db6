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
