"""Shadows, telemetry, the access log and webhooks through a real server process and its faces."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from receivers import LOOPBACK, Receiver, eventually, receiving
from serving import Fleet, ServerProcess, Upstream, serving

from bailiwick.governance.notifications.signing import is_signed, key_of


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    running = Upstream()
    yield running
    running.close()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Fleet]:
    built = Fleet(tmp_path_factory.mktemp("fleet"))
    built.upstream("chatty", upstream.url, timeout_s=5.0, retries=0)
    built.train("cards")
    yield built
    built.platform.close()


@pytest.fixture(scope="module")
def access_log(fleet: Fleet) -> Path:
    return fleet.home / "access.jsonl"


@pytest.fixture(scope="module")
def server(fleet: Fleet, access_log: Path) -> Iterator[ServerProcess]:
    environment = {
        "BAILIWICK_WEBHOOK_NETWORKS": f'["{LOOPBACK}"]',
        "BAILIWICK_ACCESS_LOG": str(access_log),
        "BAILIWICK_AUDIT_INTERVAL_S": "0.2",
        "BAILIWICK_METRICS_INTERVAL_S": "0.2",
    }
    with serving(fleet.home, environment) as running:
        yield running


def call(server: ServerProcess, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        server.url + path,
        None if body is None else json.dumps(body).encode(),
        {"content-type": "application/json", "x-actor": "ada"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        raw = answer.read()
        return json.loads(raw) if raw else None


def refused(server: ServerProcess, method: str, path: str, body: Any = None) -> tuple[int, str]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        call(server, method, path, body)
    return caught.value.code, json.loads(caught.value.read())["title"]


def page(server: ServerProcess) -> str:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def test_shadow__cast_over_rest__answers_copies_and_shows_how_it_compares(server: ServerProcess, fleet: Fleet) -> None:
    served, newer = fleet.versions["cards"]
    plan = call(server, "PUT", "/v1/traffic/cards/shadow", {"version": newer, "reason": "before the rollout"})
    assert (plan["shadow"], plan["weights"]) == ({"version": newer, "share": 100.0}, {served: 100.0})
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none")

    def answered() -> bool:
        for number in range(5):
            stream = number % 2 == 0
            answer = client.chat.completions.create(
                model="cards", messages=[{"role": "user", "content": "I lost my card"}], stream=stream
            )
            if stream:
                list(answer)
        return call(server, "GET", "/v1/traffic/cards/shadow")["compared"] >= 20

    eventually(answered, "the shadow answers nothing")
    report = call(server, "GET", "/v1/traffic/cards/shadow")
    assert report["version"] == newer
    assert report["failed"] == 0
    assert report["interval"][0] <= report["agreed"] / report["compared"] <= report["interval"][1]
    metrics = call(server, "GET", "/v1/metrics/cards")["metrics"]
    assert {line["version"] for line in metrics} == {served}  # nobody got an answer of the shadow
    assert {"time_to_first_token_ms", "tokens_per_second", "prompt_tokens", "completion_tokens"} <= {
        line["metric"] for line in metrics
    }
    shown = page(server)
    assert f'bailiwick_gateway_shadow_requests_total{{domain="cards",version="{newer}",outcome="answered"}}' in shown
    assert 'gen_ai_server_time_to_first_token_seconds_count{gen_ai_operation_name="chat"' in shown
    assert call(server, "GET", "/v1/traffic/cards/history")["history"][0]["change"] == "traffic.shadow"
    assert refused(server, "PUT", "/v1/traffic/cards/shadow", {"version": served})[0] == 409
    assert refused(server, "PUT", "/v1/traffic/cards/shadow", {"version": "nobody"})[0] == 404
    assert call(server, "DELETE", "/v1/traffic/cards/shadow")["shadow"] is None


def test_telemetry__a_proxied_answer__has_the_upstreams_tokens(
    server: ServerProcess, upstream: Upstream, access_log: Path
) -> None:
    upstream.will("ok")
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none")
    said: list[Any] = [{"role": "user", "content": "my secret question"}]
    client.chat.completions.create(model="chatty", messages=said)
    list(client.chat.completions.create(model="chatty", messages=said, stream=True))

    def lines() -> list[dict[str, Any]]:
        every = map(json.loads, access_log.read_text().splitlines())
        return [line for line in every if line.get("domain") == "chatty"]

    eventually(lambda: len(lines()) == 2, "nothing is logged")
    whole, stream = lines()
    assert (whole["prompt_tokens"], whole["completion_tokens"], whole["status"]) == (1, 1, 200)
    assert "time_to_first_token_ms" in stream
    assert "prompt_tokens" not in stream  # that upstream does not say
    assert "secret" not in access_log.read_text()


def test_webhook__added_over_rest__is_told_of_changes_signed_and_in_order(
    server: ServerProcess, receiver: Receiver, fleet: Fleet
) -> None:
    body = {"name": "ops", "url": receiver.url, "on": ["traffic.*"], "reason": "on call"}
    added = call(server, "POST", "/v1/webhooks", body)
    assert added["url"].endswith("/...")
    assert call(server, "POST", "/v1/webhooks/ops/test")["status_code"] == 200
    newer = fleet.versions["cards"][1]
    call(server, "PUT", "/v1/traffic/cards/shadow", {"version": newer, "share_percent": 10})
    call(server, "DELETE", "/v1/traffic/cards/shadow")
    eventually(lambda: len(receiver.messages) >= 3, "nothing arrives")
    test, cast, off = receiver.messages[:3]
    assert test.document["type"] == "webhook.test"
    assert cast.document["type"] == off.document["type"] == "traffic.shadow"
    assert cast.document["data"]["after"]["shadow"] == {"version": newer, "share": 1000}
    key = key_of(added["generated_secret"])
    for message in receiver.messages:
        assert is_signed(message.headers, message.body, key, fleet.platform.clock.now())
    eventually(
        lambda: all(
            each["status"] == "delivered" for each in call(server, "GET", "/v1/webhooks/ops/deliveries")["deliveries"]
        ),
        "they are not settled",
    )
    gauges = page(server)
    assert 'bailiwick_webhook_deliveries{webhook="ops",status="dead"} 0\n' in gauges
    assert 'bailiwick_webhook_oldest_waiting_seconds{webhook="ops"} 0\n' in gauges
    assert 'bailiwick_traffic_weight_ratio{domain="cards"' in gauges
    shown = json.dumps([call(server, "GET", "/v1/webhooks"), call(server, "GET", "/v1/webhooks/ops")])
    assert added["generated_secret"] not in shown
    assert "path-is-secret" not in shown
    assert refused(server, "POST", "/v1/webhooks", body)[0] == 409
    code, title = refused(server, "POST", "/v1/webhooks", {**body, "name": "in", "url": "https://169.254.169.254/x"})
    assert (code, "may go to" in title) == (422, True)
    call(server, "DELETE", "/v1/webhooks/ops")
    assert refused(server, "GET", "/v1/webhooks/ops")[0] == 404


def test_audit__while_a_server_runs__is_signed_and_anchored_by_itself(server: ServerProcess, fleet: Fleet) -> None:
    def protected() -> bool:
        found = fleet.platform.transparency.verify()
        assert found.findings == ()
        return found.waiting == 0 and found.anchored == found.entries > 0

    eventually(protected, "nobody anchors")


def test_server__stopped__leaves_nothing_wrong_behind(server: ServerProcess) -> None:
    assert server.terminate() == 0
    assert server.errors == []
