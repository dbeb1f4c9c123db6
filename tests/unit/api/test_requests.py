"""What every route shares: how long a body may be, and who is recorded as the actor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bailiwick.api.app import create_api
from bailiwick.platform import Platform
from bailiwick.settings import Settings

LIMIT = 2_048
AS_JSON = {"content-type": "application/json"}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    made = Platform(Settings(home=tmp_path, max_body_bytes=LIMIT))
    yield made
    made.close()


@pytest.fixture
def client(platform: Platform) -> TestClient:
    return TestClient(create_api(platform))


def pieces(length: int) -> Iterator[bytes]:
    """A body of unknown length."""
    yield b'{"id": "cards", "description": "'
    for _ in range(length // 100):
        yield b"x" * 100
    yield b'"}'


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("path", ["/v1/domains/create", "/v1/training/runs", "/v1/deployments", "/nowhere"])
def test_body__longer_than_the_limit__413_and_nothing_done(
    client: TestClient, platform: Platform, path: str, streamed: bool
) -> None:
    body = pieces(3 * LIMIT)
    answer = client.post(path, content=body if streamed else b"".join(body), headers=AS_JSON)

    # A path that does not exist is answered without reading the body.
    assert answer.status_code == (404 if streamed and path == "/nowhere" else 413), answer.text
    if answer.status_code == 413:
        assert (answer.json()["code"], answer.json()["allowed"]) == ("request_too_large", LIMIT)
    assert platform.domains.list_domains() == []


@pytest.mark.parametrize("streamed", [False, True])
def test_body__within_the_limit__accepted(client: TestClient, streamed: bool) -> None:
    body = pieces(LIMIT - 200)
    sent = body if streamed else b"".join(body)
    assert client.post("/v1/domains/create", content=sent, headers=AS_JSON).status_code == 201


def test_body__data_set__may_be_longer(client: TestClient) -> None:
    rows = "text,label,domain\n" + "".join(f"lost card {n},{'ab'[n % 2]},cards\n" for n in range(500))
    assert len(rows) > LIMIT
    assert client.post("/v1/datasets/cards", content=rows).status_code == 201


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        ("ada", "api:ada"),
        ("Zoë".encode(), "api:Zoë"),
        ("x" * 5_000, "api:" + "x" * 180),
        (b"ada\x1b[31m\tcli:root\x7f", "api:ada[31mcli:root"),
        ("ada\u202enimda\u2028x".encode(), "api:adanimdax"),
        ("   ", "api:anonymous"),
        ("", "api:anonymous"),
    ],
)
def test_actor__odd_header__recorded_as_one_printable_line(
    client: TestClient, platform: Platform, given: str | bytes, recorded: str
) -> None:
    odd = {"X-Actor": given, "X-Reason": b"why\x01" + b"y" * 9_000, "X-Request-Id": "a b"}
    assert client.post("/v1/domains/create", json={"id": "cards"}, headers=odd).status_code == 201
    entry = platform.audit.entries()[0]
    assert entry.actor == recorded
    assert entry.reason == ("why" + "y" * 9_000)[:2_000]
    assert entry.request_id
    assert entry.request_id.isalnum()
