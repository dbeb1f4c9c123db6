"""`/v1/domains`, through the real application on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from bailiwick.api.app import create_api
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.settings import Settings

AS_ADA = {"X-Actor": "ada", "X-Reason": "spring cleaning"}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(Settings(home=tmp_path))
    yield platform
    platform.close()


@pytest.fixture
def client(platform: Platform) -> Iterator[TestClient]:
    with TestClient(create_api(platform)) as client:
        yield client


def _create(client: TestClient, domain_id: str = "cards", **fields: object) -> None:
    answer = client.post("/v1/domains/create?activate=true", json={"id": domain_id, **fields}, headers=AS_ADA)
    assert answer.status_code == 201, answer.text


def test_create__new_domain__is_a_draft_and_audited(client: TestClient, platform: Platform) -> None:
    answer = client.post("/v1/domains/create", json={"id": "cards", "keywords": ["card"]}, headers=AS_ADA)

    assert (answer.status_code, answer.headers["location"], answer.headers["etag"]) == (201, "/v1/domains/cards", '"1"')
    assert (answer.json()["lifecycle"], answer.json()["config"]["agent_id"]) == ("draft", "agent-cards")
    entry = platform.audit.entries(subject="domain:cards")[0]
    assert (entry.actor, entry.action, entry.reason) == ("api:ada", "domain.create", "spring cleaning")
    assert client.post("/v1/domains/create", json={"id": "cards"}).status_code == 409


def test_domain__whole_life_over_http__each_step_answers(client: TestClient) -> None:
    _create(client)

    updated = client.put("/v1/domains/cards", json={"name": "Bank cards", "tags": ["pan"]}, headers={"If-Match": '"1"'})
    assert (updated.status_code, updated.json()["revision"]) == (200, 2)
    assert client.post("/v1/domains/cards/default").json() == {"default_domain": "cards"}
    assert client.post("/v1/domains/cards/archive").status_code == 409, "it is the default domain"
    _create(client, "accounts")
    client.post("/v1/domains/accounts/default")
    assert client.post("/v1/domains/cards/archive").json()["lifecycle"] == "archived"
    assert client.post("/v1/domains/cards/activate").json()["lifecycle"] == "active"
    assert client.delete("/v1/domains/cards").status_code == 409
    assert client.delete("/v1/domains/cards?force=true").json()["lifecycle"] == "deleted"
    assert client.get("/v1/domains/cards").status_code == 404
    revisions = client.get("/v1/domains/cards/history").json()["revisions"]
    assert [each["revision"] for each in revisions] == [5, 4, 3, 2, 1]
    changes = client.get("/v1/domains/cards/diff?from=1&to=2").json()["changes"]
    assert changes == [
        {"field": "name", "before": "Cards", "after": "Bank cards"},
        {"field": "tags", "before": [], "after": ["pan"]},
    ]
    assert client.get("/v1/domains/cards?revision=1").json()["config"]["name"] == "Cards"


def test_list__and_full_list__hold_what_readers_need(client: TestClient) -> None:
    _create(client, keywords=["card"], tags=["pan"], layer="products", team="retail")
    client.post("/v1/domains/create", json={"id": "loans"})

    short = client.get("/v1/domains/list").json()
    assert [each["id"] for each in short["domains"]] == ["cards", "loans"]
    assert [each["id"] for each in client.get("/v1/domains/list?lifecycle=active").json()["domains"]] == ["cards"]
    full = client.get("/v1/domains").json()["domains"][0]
    assert full["config"]["keywords"] == full["keywords"] == ["card"]
    assert (full["agent_id"], full["layer"], full["team"], full["tags"]) == (
        "agent-cards",
        "products",
        "retail",
        ["pan"],
    )
    assert (full["model_version"], full["training_run"], full["latest_metrics"]) == (None, None, None)


def test_export_and_import__between_two_houses__carry_everything(client: TestClient, tmp_path: Path) -> None:
    _create(client, keywords=["card"])
    client.post("/v1/domains/cards/default")
    exported = client.get("/v1/domains/export")
    assert exported.json()["layer_mapping"] == {"default": {"default": ["cards"]}}
    same = client.get("/v1/domains/export", headers={"If-None-Match": exported.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")

    other = Platform(Settings(home=tmp_path / "other"))
    with TestClient(create_api(other)) as second:
        dry = second.post("/v1/domains/import?dry_run=true", content=exported.content).json()
        assert (dry["created"], second.get("/v1/domains/list").json()["domains"]) == (["cards"], [])
        assert second.post("/v1/domains/import", content=exported.content).json()["created"] == ["cards"]
        assert second.get("/v1/domains/export").json() == exported.json()
    other.close()


REFUSED = {
    "no id": ("POST", "/create", {"json": {"name": "x"}}, 422, "id"),
    "unknown field": ("POST", "/create", {"json": {"id": "a", "keyword": []}}, 422, "body.keyword"),
    "bad id": ("POST", "/create", {"json": {"id": "A B"}}, 422, "body.id"),
    "missing fallback": ("POST", "/create", {"json": {"id": "a", "fallback": "b"}}, 422, "domains.a.fallback"),
    "other id": ("PUT", "/cards", {"json": {"id": "loans"}}, 422, "domains.cards.id"),
    "unknown domain": ("PUT", "/nope", {"json": {}}, 404, None),
    "stale revision": ("PUT", "/cards", {"json": {"name": "x"}, "headers": {"If-Match": '"7"'}}, 409, None),
    "bad If-Match": ("PUT", "/cards", {"json": {}, "headers": {"If-Match": "new"}}, 422, None),
    "hostile path": ("GET", "/a%00b", {}, 404, None),
    "huge revision": ("GET", "/cards?revision=99999999999999999999", {}, 422, "query.revision"),
    "import of half a file": ("POST", "/import", {"content": b'{"domains": {'}, 422, "request body:1:"),
    "import of a bad domain": (
        "POST",
        "/import",
        {"content": b'{"domains": {"a": {}, "b": {"tags": 1}}}'},
        422,
        "request body: domains.b.tags",
    ),
    "deep nesting": ("POST", "/import", {"content": b"[" * 100_000}, 422, "request body"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_request__refused__is_a_problem_document_and_changes_nothing(
    case: str, client: TestClient, platform: Platform
) -> None:
    _create(client)
    before = platform.domains.version()
    method, path, request, status, where = REFUSED[case]

    answer = client.request(method, f"/v1/domains{path}", **request)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert where is None or where in answer.json()["where"]
    assert platform.domains.version() == before
    assert len(platform.audit.entries()) == 1


def test_create__token_limit_of_400_digits__is_refused(client: TestClient) -> None:
    answer = client.post("/v1/domains/create", json={"id": "cards", "generation": {"max_tokens": 10**400}})

    assert (answer.status_code, answer.json()["where"]) == (422, "body.generation.max_tokens")


def test_show_all__version_in_service_is_not_registered__domains_are_listed_all_the_same(
    client: TestClient, platform: Platform
) -> None:
    _create(client)
    _create(client, "loans")
    with platform.traffic.changing() as connection:
        platform.traffic.change(connection, "cards", {"gone": 10_000}, actor=Actor("ada"))

    listed = client.get("/v1/domains").json()["domains"]

    assert [(each["id"], each["model_version"]) for each in listed] == [("cards", "gone"), ("loans", None)]
    assert client.get("/v1/domains/cards").json()["model_version"] == "gone"
