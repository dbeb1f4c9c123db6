"""Rollouts of real models through a real server process: one that is really worse comes back by itself."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from deliveries import GOOD
from receivers import LOOPBACK, eventually, receiving
from serving import ADA, TEXTS, Fleet, ServerProcess, serving

from bailiwick.delivery.rollout.model import (
    Direction,
    MetricRule,
    Rollout,
    RolloutPolicy,
    RolloutState,
    Statistic,
    Step,
)
from bailiwick.models.catalogue import family
from bailiwick.models.model import LabelledText

QUICK = {"BAILIWICK_METRICS_INTERVAL_S": "0.2", "BAILIWICK_WEBHOOK_NETWORKS": json.dumps([LOOPBACK])}
STEPS = (Step(3_000, 1.0, 40, 3.0), Step(10_000))
POLICY = RolloutPolicy(
    (
        MetricRule("failed", Statistic.RATE, Direction.LOWER, 0.05),
        MetricRule("correct", Statistic.RATE, Direction.HIGHER, 0.05),
    ),
    guard_s=2.0,
)
QUESTIONS = [(text, label) for label, texts in TEXTS["cards"].items() for text in texts]


@dataclass(frozen=True)
class Answer:
    """A status, the JSON, and the request id."""

    status_code: int
    body: Any
    request_id: str | None


class Client:
    """One kept-alive connection to the server."""

    def __init__(self, server: ServerProcess, actor: str = "carol") -> None:
        self._connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
        self._actor = actor

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: Any = None, actor: str | None = None) -> Answer:
        """One request."""
        headers = {"content-type": "application/json", "x-actor": actor or self._actor}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = self._connection.getresponse()
        return Answer(response.status, json.loads(response.read()), response.getheader("x-request-id"))


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    return Fleet(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="module")
def server(fleet: Fleet) -> Iterator[ServerProcess]:
    with serving(fleet.home, QUICK) as running:
        yield running


def train(fleet: Fleet, *, shuffled: bool) -> str:
    """A version whose recorded numbers pass every gate; with shuffled labels it answers wrongly all the same."""
    labels = [label for _, label in QUESTIONS]
    if shuffled:
        labels = labels[4:] + labels[:4]
    examples = [LabelledText(text, label) for (text, _), label in zip(QUESTIONS, labels, strict=True)]
    registry = fleet.platform.registry
    model = family().train(examples, (), seed=7)
    artefact = registry.store_model(model)
    with fleet.platform.database.write() as connection:
        made = registry.register(connection, ADA, domain="cards", family=model.card.family, artefact=artefact)
        registry.record_metrics(connection, made.id, GOOD, ADA)
    return made.id


def users(server: ServerProcess, first: int, count: int) -> None:
    """Ask as so many new users, and say of each answer whether it was right."""
    with Client(server) as client:
        for number in range(first, first + count):
            text, label = QUESTIONS[number % len(QUESTIONS)]
            message = {"role": "user", "content": text}
            body = {"model": "cards", "messages": [message], "user": f"user-{number}"}
            answer = client.ask("POST", "/v1/chat/completions", body)
            assert answer.status_code == 200
            said = answer.body["choices"][0]["message"]["content"]
            given = {"request_id": answer.request_id, "value": label in said}
            assert client.ask("POST", "/v1/feedback", given).status_code in {200, 201}


def until_over(fleet: Fleet, rollout: Rollout, more: Callable[[], None]) -> Rollout:
    """Let users come until the server has decided; it has two minutes."""
    until = time.monotonic() + 120
    while not (found := fleet.platform.rollouts.get(rollout.id)).state.is_final:
        assert time.monotonic() < until, found.reason
        more()
    return found


def test_rollout__shuffled_labels__comes_back_by_itself_and_a_near_identical_retrain_gets_everything(
    fleet: Fleet, server: ServerProcess
) -> None:
    asked = 0

    def more() -> None:
        nonlocal asked
        users(server, asked, 40)
        asked += 40

    [old] = fleet.versions["cards"]
    wrong = train(fleet, shuffled=True)
    started = fleet.platform.rollouts.start("cards", wrong, actor=ADA, steps=STEPS, policy=POLICY, adapt=False)
    assert started.rollout is not None
    ended = until_over(fleet, started.rollout, more)
    assert (ended.state, ended.weight) == (RolloutState.ABORTED, 0)
    assert ended.reason.startswith("correct is worse: 0 % against 100 %")
    assert max(move.weight for move in fleet.platform.rollouts.transitions(ended.id)) == 3_000
    plan = fleet.platform.traffic.plan("cards")
    assert plan is not None
    assert plan.weights == {old: 10_000}

    same = train(fleet, shuffled=False)
    started = fleet.platform.rollouts.start("cards", same, actor=ADA, steps=STEPS, policy=POLICY, adapt=False)
    assert started.rollout is not None
    with Client(server) as client:
        until = time.monotonic() + 60
        while (shown := client.ask("GET", "/v1/rollouts/cards").body)["gateways"] != {"live": 1, "applied": 1}:
            assert time.monotonic() < until, shown
            time.sleep(0.05)
    ended = until_over(fleet, started.rollout, more)
    assert ended.state is RolloutState.SUCCEEDED, ended.reason
    plan = fleet.platform.traffic.plan("cards")
    assert plan is not None
    assert plan.weights == {same: 10_000}
    moves = fleet.platform.rollouts.transitions(ended.id)
    assert [move.action for move in moves] == ["start", "advance", "finish"]
    assert [move.actor for move in moves] == ["ada", "controller", "controller"]


def test_rest__whole_way_of_a_rollout__steered_by_hand(fleet: Fleet, server: ServerProcess) -> None:
    version = train(fleet, shuffled=False)
    with Client(server) as client:
        refused: dict[str, Any] = {"version": version, "policy": {"alpha": 2}}
        assert client.ask("POST", "/v1/rollouts", refused).status_code == 422
        steps = [{"share_percent": 5, "approval": True}, {"share_percent": 3}]
        body: dict[str, Any] = {"version": version, "policy": {"steps": steps}, "adapt": False}
        assert client.ask("POST", "/v1/rollouts", body).status_code == 422
        steps[1]["share_percent"] = 100
        made = client.ask("POST", "/v1/rollouts", body)
        assert made.status_code == 201, made.body
        rollout = made.body["rollout"]
        assert (rollout["state"], rollout["share_percent"], rollout["started_by"]) == ("running", 5.0, "api:carol")
        assert client.ask("POST", "/v1/rollouts", body).status_code == 409
        path = f"/v1/rollouts/{rollout['id']}"
        assert client.ask("POST", f"{path}/approve").status_code == 403
        assert client.ask("POST", f"{path}/approve", actor="dave").body["row_version"] == 2
        assert client.ask("POST", f"{path}/promote").status_code == 409
        assert client.ask("PUT", f"{path}/weight", {"share_percent": 1}).body["share_percent"] == 1.0
        assert client.ask("POST", f"{path}/pause", {"row_version": 1}).status_code == 409
        assert client.ask("POST", f"{path}/pause", {"reason": "lunch"}).body["reason"] == "lunch"
        assert client.ask("POST", f"{path}/resume").body["state"] == "running"
        aborted = client.ask("POST", f"{path}/abort").body
        assert (aborted["state"], aborted["reason"]) == ("aborted", "taken back by hand, by api:carol")
        assert client.ask("POST", f"{path}/abort", {"reason": "enough"}).status_code == 409
        moves = client.ask("GET", f"{path}/transitions").body["transitions"]
        assert [move["action"] for move in moves] == ["start", "approve", "weight", "pause", "resume", "abort"]
        assert client.ask("GET", f"{path}/report").body["peak_percent"] == 5.0
        assert rollout["id"] in json.dumps(client.ask("GET", "/v1/rollouts?domain=cards").body)
        assert client.ask("GET", "/v1/rollouts/nothing").status_code == 404


def test_rest__approval_needed__waits_then_begins_and_webhooks_tell_all_of_it(
    fleet: Fleet, server: ServerProcess
) -> None:
    version = train(fleet, shuffled=False)
    with receiving() as receiver, Client(server) as client:
        heard = {"name": "ops", "url": receiver.url, "on": ["rollout.*", "rollback.*", "deployment.*"]}
        assert client.ask("POST", "/v1/webhooks", heard).status_code == 201
        assert client.ask("PUT", "/v1/gates/cards", {"changes": {"approvals": 1}}).status_code == 200
        waiting = client.ask("POST", "/v1/rollouts", {"version": version})
        assert (waiting.status_code, waiting.body["rollout"]) == (202, None)
        asked = waiting.body["deployment"]
        assert (asked["status"], asked["share_percent"]) == ("waiting", 0)
        path = f"/v1/deployments/{asked['id']}/approve"
        assert client.ask("POST", path).status_code == 403
        assert client.ask("POST", path, actor="dave").body["status"] == "approved"
        begun = client.ask("POST", "/v1/rollouts", {"version": version})
        assert (begun.status_code, begun.body["deployment"]["id"]) == (201, asked["id"])
        assert client.ask("POST", "/v1/rollouts/cards/abort", {"reason": "enough"}).status_code == 200
        (event, *_) = client.ask("GET", "/v1/rollbacks?domain=cards").body["rollbacks"]
        assert (event["rule"], event["deployment"], event["removed"]) == ("rollout", asked["id"], [version])
        told = [
            "deployment.ask",
            "deployment.approve",
            "deployment.approved",
            "deployment.deploy",
            "rollout.start",
            "deployment.rolled_back",
            "rollback.record",
            "rollout.abort",
        ]
        eventually(lambda: len(receiver.messages) >= len(told))
        assert [each.document["type"] for each in receiver.messages] == told
        assert client.ask("PUT", "/v1/gates/cards", {"changes": {"approvals": None}}).status_code == 200
