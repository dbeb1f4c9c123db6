"""A bad version behind a real gateway is taken back by itself, and its users get the old one again."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

from serving import Fleet, ServerProcess, serving

QUESTION = {"role": "user", "content": "my card was stolen"}
ENOUGH = 60


def call(server: ServerProcess, path: str, body: Any = None) -> tuple[Any, Any]:
    """The parsed answer and its headers."""
    raw = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}{path}", raw, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response), response.headers


def ask(server: ServerProcess, right: float) -> str:
    """One answered request with its feedback; the version that answered."""
    _, headers = call(server, "/v1/chat/completions", {"model": "cards", "messages": [QUESTION]})
    call(server, "/v1/feedback", {"request_id": headers["x-request-id"], "value": right})
    return str(headers["x-bailiwick-version"])


def until_served_by(server: ServerProcess, version: str) -> None:
    for _ in range(300):
        _, headers = call(server, "/v1/chat/completions", {"model": "cards", "messages": [QUESTION]})
        if headers["x-bailiwick-version"] == version:
            return
        time.sleep(0.1)
    raise AssertionError(f"{version} does not serve")


def test_serve__version_is_wrong_by_feedback__old_one_is_back_by_itself(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path)
    (old,) = fleet.versions["cards"]
    new = fleet.train("cards")
    fleet.platform.close()
    with serving(tmp_path) as server:
        assert {ask(server, right=1.0) for _ in range(ENOUGH)} == {old}
        made, _ = call(server, "/v1/deployments", {"version": new, "force": True, "reason": "not measured"})
        assert (made["status"], made["previous"]) == ("deployed", old)
        until_served_by(server, new)
        for _ in range(ENOUGH):
            ask(server, right=0.0)
        until_served_by(server, old)
        (event,) = call(server, "/v1/rollbacks?domain=cards")[0]["rollbacks"]
        assert (event["automatic"], event["removed"], event["restored"]) == (True, [new], {old: 100.0})
        assert (event["metric"], event["baseline"], event["deployment"]) == ("correct", 1.0, made["id"])
        assert event["current"] < 0.95
        assert call(server, f"/v1/deployments/{made['id']}")[0]["status"] == "rolled_back"
        assert call(server, "/v1/traffic/cards")[0]["weights"] == {old: 100.0}
