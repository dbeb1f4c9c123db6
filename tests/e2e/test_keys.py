"""Keys through real server processes, asked by the official client."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import openai
import pytest
from serving import ADA, Fleet, ServerProcess, Upstream, serving

from bailiwick.governance.access.model import IssuedKey, Limits

HELLO = [{"role": "user", "content": "my card was stolen"}]
WITHIN_S = 2.0


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.close()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Fleet:
    built = Fleet(tmp_path_factory.mktemp("fleet"))
    built.upstream("chatty", upstream.url)
    return built


@pytest.fixture(scope="module")
def server(fleet: Fleet) -> Iterator[ServerProcess]:
    required = {"BAILIWICK_KEYS": "required", "BAILIWICK_ACCESS_LOG": str(fleet.home / "access.log")}
    with serving(fleet.home, required) as running:
        yield running


def issue(fleet: Fleet, name: str, limits: Limits = Limits(), *domains: str) -> IssuedKey:  # noqa: B008 - frozen
    return fleet.platform.access.create(name, actor=ADA, limits=limits, domains=domains)


def client_of(server: ServerProcess, secret: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=secret, max_retries=0, timeout=30)


def ask(client: openai.OpenAI, model: str = "cards", **more: Any) -> Any:
    return client.chat.completions.create(model=model, messages=HELLO, **more)  # type: ignore[call-overload]


def until(done: Any) -> float:
    """Seconds until something is so; a change is seen within two."""
    began = time.monotonic()
    while not done():
        assert time.monotonic() - began < 30
        time.sleep(0.02)
    return time.monotonic() - began


def answered(client: openai.OpenAI) -> bool:
    try:
        ask(client)
    except openai.AuthenticationError:
        return False
    return True


def test_client__with_a_key__asks_and_without_one_is_refused(server: ServerProcess, fleet: Fleet) -> None:
    issued = issue(fleet, "app")
    with client_of(server, issued.secret) as client, client_of(server, "sk-other") as other:
        until(lambda: answered(client))
        assert ask(client).choices[0].message.content == "lost_card"
        assert {each.id for each in client.models.list()} == {"auto", "cards", "loans", "chatty"}
        with pytest.raises(openai.AuthenticationError) as raised:
            ask(other)
    assert (raised.value.code, raised.value.type) == ("invalid_api_key", "invalid_request_error")


def test_client__model_that_the_key_is_not_for__is_a_permission_error(server: ServerProcess, fleet: Fleet) -> None:
    with client_of(server, issue(fleet, "narrow", Limits(), "car*").secret) as client:
        until(lambda: answered(client))
        with pytest.raises(openai.PermissionDeniedError) as raised:
            ask(client, "loans")
        assert raised.value.code == "model_not_allowed"
        assert {each.id for each in client.models.list()} == {"auto", "cards"}
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("loans")


def test_client__over_its_limit__is_a_rate_limit_error_and_waits_by_itself(server: ServerProcess, fleet: Fleet) -> None:
    with client_of(server, issue(fleet, "slow", Limits(requests_per_minute=120)).secret) as client:
        until(lambda: answered(client))
        with pytest.raises(openai.RateLimitError) as raised:
            for _ in range(200):
                ask(client)
        headers = raised.value.response.headers
        assert raised.value.code == "rate_limit_exceeded"
        assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("120", "0")
        assert 0 < int(headers["retry-after-ms"]) <= 500
        patient = client.with_options(max_retries=3)
        for _ in range(3):
            assert ask(patient).choices[0].message.content == "lost_card"


def test_client__streaming_from_upstream__is_counted_by_events(
    server: ServerProcess, fleet: Fleet, upstream: Upstream
) -> None:
    upstream.will("ok")
    issued = issue(fleet, "streaming", Limits(tokens_per_minute=10_000))
    with client_of(server, issued.secret) as client:
        until(lambda: answered(client))
        words = [chunk.choices[0].delta.content for chunk in ask(client, "chatty", stream=True, max_tokens=2_000)]
        assert "".join(word or "" for word in words) == "hello"
        raw = client.chat.completions.with_raw_response.create(model="chatty", messages=HELLO)  # type: ignore[arg-type]
        assert int(raw.headers["x-ratelimit-remaining-tokens"]) > 9_000  # two thousand came back


def test_revocation__reaches_the_gateway_within_two_seconds(server: ServerProcess, fleet: Fleet) -> None:
    issued = issue(fleet, "lost")
    with client_of(server, issued.secret) as client:
        until(lambda: answered(client))
        fleet.platform.access.revoke("lost", actor=ADA)
        assert until(lambda: not answered(client)) < WITHIN_S


def test_rotation__both_secrets_open__then_only_the_new_one(server: ServerProcess, fleet: Fleet) -> None:
    old = issue(fleet, "rotated")
    new = fleet.platform.access.rotate("rotated", actor=ADA, grace=timedelta(hours=1))
    with client_of(server, old.secret) as first, client_of(server, new.secret) as second:
        until(lambda: answered(second))
        assert answered(first)
        fleet.platform.access.rotate("rotated", actor=ADA, grace=timedelta(0))
        until(lambda: not answered(first))


def test_usage_and_budget__of_a_gateway_that_is_killed__were_written_a_second_ago(fleet: Fleet) -> None:
    counted, thrifty = issue(fleet, "counted"), issue(fleet, "thrifty", Limits(tokens_per_day=60))
    settings = {"BAILIWICK_KEYS": "required", "BAILIWICK_METRICS_INTERVAL_S": "0.1"}

    def written(issued: IssuedKey) -> tuple[int, int]:
        days = fleet.platform.access.usage.per_day(key=issued.key.id)
        return sum(each.requests for each in days), sum(each.tokens for each in days)

    def spend_all(server: ServerProcess) -> int:
        asked = 0
        with client_of(server, thrifty.secret) as client, pytest.raises(openai.RateLimitError) as raised:
            while True:
                ask(client)
                asked += 1
        assert raised.value.code == "insufficient_quota"
        assert raised.value.response.headers["x-should-retry"] == "false"
        return asked

    with serving(fleet.home, settings) as server, client_of(server, counted.secret) as client:
        answers = [ask(client) for _ in range(5)]
        spent = spend_all(server)
        until(lambda: (written(counted)[0], written(thrifty)[0]) == (5, spent))
        server.process.kill()
        server.process.wait()
    with serving(fleet.home, settings) as server, client_of(server, counted.secret) as client:
        answers.append(ask(client))
        assert spend_all(server) == 0
        server.terminate()
    assert written(counted) == (6, sum(each.usage.total_tokens for each in answers))
    assert 0 < written(thrifty)[1] <= 60
    assert fleet.platform.access.get("counted").last_used_at is not None


def test_secret__is_in_no_metric_log_or_document(server: ServerProcess, fleet: Fleet) -> None:
    issued = issue(fleet, "quiet")
    with client_of(server, issued.secret) as client:
        until(lambda: answered(client))
        ask(client)
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as response:
        metrics = response.read().decode()
    assert f'key="{issued.key.id}",status="200"' in metrics
    log = fleet.home / "access.log"
    until(lambda: issued.key.id in log.read_text())
    with urllib.request.urlopen(f"{server.url}/v1/keys", timeout=30) as response:
        keys = response.read().decode()
    assert "quiet" in keys
    shown = metrics + log.read_text() + keys + "".join(server.errors)
    assert issued.secret[:12] not in shown


def test_control_plane__left_out__is_not_there(fleet: Fleet) -> None:
    with serving(fleet.home, {"BAILIWICK_CONTROL_PLANE": "false", "BAILIWICK_KEYS": "required"}) as server:
        for path in ("/v1/keys", "/v1/domains", "/docs", "/openapi.json"):
            with pytest.raises(urllib.error.HTTPError) as raised:
                urllib.request.urlopen(f"{server.url}{path}", timeout=30)
            assert (raised.value.code, json.load(raised.value)["error"]["code"]) == (404, "not_found")
        with urllib.request.urlopen(f"{server.url}/readyz", timeout=30) as response:
            assert response.status == 200
        assert server.terminate() == 0


def test_rest__a_keys_life(server: ServerProcess) -> None:
    def call(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        raw = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", "x-actor": "ada"}
        request = urllib.request.Request(f"{server.url}/v1/keys{path}", raw, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    status, made = call("POST", "", {"name": "rest", "domains": ["cards"], "limits": {"requests_per_minute": 600}})
    assert (status, made["limits"], made["created_by"]) == (201, {"requests_per_minute": 600}, "api:ada")
    assert made["secret"].startswith("bwk_")
    assert call("POST", "", {"name": "rest"})[0] == 409
    assert call("POST", "", {"name": "odd", "limits": {"requests_per_minute": -1}})[0] == 422
    assert call("GET", "/nobody")[0] == 404
    status, changed = call("PATCH", "/rest", {"limits": {"in_flight": 2}, "expires_at": "2100-01-01T00:00:00Z"})
    assert (status, changed["limits"]) == (200, {"requests_per_minute": 600, "in_flight": 2})
    status, changed = call("PATCH", "/rest", {"limits": {"in_flight": None}, "expires_at": None})
    assert (changed["limits"], changed["expires_at"]) == ({"requests_per_minute": 600}, None)
    status, rotated = call("POST", "/rest/rotate", {"grace_s": 60})
    assert (status, rotated["secret"] != made["secret"]) == (200, True)
    assert "secret" not in call("GET", f"/{made['id']}")[1]
    assert call("PATCH", "/domains/nowhere", {"requests_per_minute": 5})[1]["limits"] == {"requests_per_minute": 5}
    assert {"domain": "nowhere", "limits": {"requests_per_minute": 5}} in call("GET", "/domains")[1]["domains"]
    assert call("PATCH", "/domains/nowhere", {"requests_per_minute": None, "reason": "enough"})[1]["limits"] == {}
    assert call("GET", "/usage?key=rest")[1] == {"usage": []}
    assert call("POST", "/rest/revoke")[1]["status"] == "revoked"
    assert call("POST", "/rest/revoke")[0] == 409
