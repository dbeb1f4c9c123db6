"""A real server that learns from feedback where queries go: rules, decisions, weights, explanations."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from serving import ADA, Fleet, ServerProcess, serving

from bailiwick.routing.model import Mode
from bailiwick.routing.rules import Rule

BOTH = "the fee of my card and my loan"
FAST = {
    "BAILIWICK_ROUTING_UPDATE_INTERVAL_S": "0.2",
    "BAILIWICK_METRICS_INTERVAL_S": "0.1",
    "BAILIWICK_ROUTING_MARGIN": "1",
    "BAILIWICK_ROUTING_EXPLORATION_FLOOR": "0.1",
    "BAILIWICK_ROUTING_PRIOR_STRENGTH": "5",
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    built = Fleet(tmp_path_factory.mktemp("routing"))
    built.platform.routing.set_rules([Rule("risk", "loans", keywords=("fraud",))], ADA)
    built.platform.routing.set_mode(Mode.ON, ADA)
    return built


@pytest.fixture(scope="module")
def server(fleet: Fleet) -> Iterator[ServerProcess]:
    with serving(fleet.home, FAST) as running:
        yield running


def call(server: ServerProcess, path: str, body: Any = None, method: str | None = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    named = {"content-type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    request = urllib.request.Request(f"{server.url}{path}", data, named, method=method)
    with urllib.request.urlopen(request, timeout=30) as response:
        raw = response.read()
        return (json.loads(raw) if "json" in response.headers["content-type"] else raw.decode()), response.headers


def ask(server: ServerProcess, text: str, **headers: str) -> tuple[str, str, str]:
    """Domain, request id and method."""
    body = {"model": "auto", "messages": [{"role": "user", "content": text}]}
    found = call(server, "/v1/chat/completions", body, **headers)[1]
    return found["x-bailiwick-domain"], found["x-request-id"], found["x-bailiwick-route"]


def judge(server: ServerProcess, request_id: str, value: bool) -> None:
    call(server, "/v1/feedback", {"request_id": request_id, "metric": "correct", "value": value})


def until(holds: Callable[[], bool]) -> None:
    for _ in range(300):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen within 30 seconds")


def status(server: ServerProcess) -> Any:
    return call(server, "/v1/routing")[0]


def test_rule__word_in_the_query__goes_before_detection(server: ServerProcess) -> None:
    assert ask(server, "my card was stolen, fraud!")[::2] == ("loans", "user-rule")
    assert ask(server, "my card was stolen")[0] == "cards"


def test_feedback__one_domain_is_always_right__traffic_moves_there(server: ServerProcess) -> None:
    assert len({ask(server, BOTH)[0] for _ in range(20)}) == 1, "nothing was judged, so nothing is explored"
    judge(server, ask(server, BOTH)[1], True)
    until(lambda: status(server)["decisions_learned_from"] >= 1)
    begun = status(server)["revision"]
    until(lambda: call(server, "/readyz")[0]["revision"]["routing"] >= begun)
    assert len({ask(server, BOTH)[0] for _ in range(40)}) == 2, "a near tie is explored"
    first = call(server, "/v1/routing/explain", {"text": BOTH})[0]["learning"]["candidates"]
    worse = max(first, key=lambda each: each["probability"])["domain"]
    for _ in range(60):
        domain, request_id, _ = ask(server, BOTH)
        judge(server, request_id, domain != worse)
    until(lambda: status(server)["decisions_learned_from"] >= 60)
    learned = call(server, "/v1/routing/explain", {"text": BOTH})[0]["learning"]["candidates"]
    after = {each["domain"]: each["probability"] for each in learned}
    assert after[worse] < 0.2
    assert after[worse] < next(each["probability"] for each in first if each["domain"] == worse)
    revision = status(server)["revision"]
    until(lambda: call(server, "/readyz")[0]["revision"]["routing"] >= revision)
    served = Counter(ask(server, BOTH)[0] for _ in range(40))
    assert served[worse] < 20


def test_decision__past_request__is_replayed_from_the_log(server: ServerProcess) -> None:
    domain, request_id, _ = ask(server, BOTH)
    judge(server, request_id, True)

    def judged() -> bool:
        try:
            found = call(server, f"/v1/routing/decisions/{request_id}")[0]
        except urllib.error.HTTPError as error:
            assert error.code == 404
            return False
        return bool(found["feedback"]["value"] == 1.0)

    until(judged)
    found = call(server, f"/v1/routing/decisions/{request_id}")[0]
    assert found["domain"] == found["proposed"] == domain
    assert found["replayed"] and found["keyed_by_request"]
    assert 0 < found["propensity"] <= 1
    shares = [each["probability"] for each in found["candidates"]]
    assert sum(shares) == pytest.approx(1)
    assert found["propensity"] in shares


def test_conversation__later_turns__stay_with_the_first_domain(server: ServerProcess) -> None:
    for session in ("s-1", "s-2", "s-3"):
        domain = ask(server, BOTH, x_session_id=session)[0]
        assert {ask(server, "what is the mortgage rate today", x_session_id=session)[0] for _ in range(3)} == {domain}


def test_named_domain__is_neither_ruled_nor_logged(server: ServerProcess) -> None:
    body = {"model": "cards", "messages": [{"role": "user", "content": "fraud"}]}
    headers = call(server, "/v1/chat/completions", body)[1]
    assert (headers["x-bailiwick-domain"], headers["x-bailiwick-route"]) == ("cards", "explicit")
    ask(server, "my loan rate", x_request_id="logged-later")
    until(lambda: "logged-later" in _logged_ids(server, "logged-later"))
    assert _logged_ids(server, headers["x-request-id"]) == set()


def _logged_ids(server: ServerProcess, request_id: str) -> set[str]:
    try:
        return {call(server, f"/v1/routing/decisions/{request_id}")[0]["request_id"]}
    except urllib.error.HTTPError as error:
        assert error.code == 404
        return set()


def test_metrics__decisions_are_counted_by_domain_and_method(server: ServerProcess) -> None:
    ask(server, "fraud")
    shown = call(server, "/metrics")[0]
    assert 'bailiwick_routing_decisions_total{domain="loans",method="user-rule",mode="on"}' in shown
    assert "bailiwick_routing_decisions_dropped_total 0" in shown


def test_analytics__after_feedback__accuracy_and_regret(server: ServerProcess) -> None:
    found = call(server, "/v1/routing/analytics")[0]
    assert {each["domain"] for each in found["domains"]} == {"cards", "loans"}
    assert any(each["judged"] and each["accuracy"] is not None for each in found["domains"])


def test_mode_off__nothing_is_explored(server: ServerProcess) -> None:
    revision = call(server, "/v1/routing/mode", {"mode": "off"}, "PUT")[0]["revision"]
    until(lambda: call(server, "/readyz")[0]["revision"]["routing"] >= revision)
    assert len({ask(server, BOTH)[0] for _ in range(20)}) == 1
    assert ask(server, "fraud")[::2] == ("loans", "user-rule"), "rules hold in every mode"
