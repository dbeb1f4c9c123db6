"""Artefacts that are tampered with or gone: what serves goes on serving, and the server says what is wrong."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deliveries import ADA, GOOD
from serving import Fleet, ServerProcess, serving

from bailiwick.errors import Conflict, NotFound
from bailiwick.governance.audit import Actor


def ask(server: ServerProcess, path: str, body: Any = None) -> tuple[int, Any]:
    """Status, and document or text."""
    raw = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{server.url}{path}", raw), timeout=30) as response:
            text = response.read().decode()
            return response.status, json.loads(text) if "json" in response.headers["content-type"] else text
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def chat(server: ServerProcess, model: str) -> tuple[int, str]:
    """Status, and the version that answered or the error's words."""
    messages = [{"role": "user", "content": "my card was stolen"}]
    status, document = ask(server, "/v1/chat/completions", {"model": model, "messages": messages})
    return status, document["model"].partition("@")[2] if status == 200 else document["error"]["message"]


def eventually(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)


def folder_of(fleet: Fleet, version: str) -> Path:
    sha256 = fleet.platform.registry.get(version).artefact_sha256
    assert sha256 is not None
    return fleet.home / "artefacts" / sha256[:2] / sha256


def problems(server: ServerProcess) -> str:
    return " ".join(ask(server, "/readyz")[1]["problems"])


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    made = Fleet(tmp_path)
    made.train("cards")
    return made


def measured(fleet: Fleet, version: str) -> str:
    with fleet.platform.database.write() as connection:
        fleet.platform.registry.record_metrics(connection, version, GOOD, ADA)
    return version


def test_server__new_version_tampered_with__old_one_serves_and_the_reason_is_shown(fleet: Fleet) -> None:
    old, new = fleet.versions["cards"]
    weights = folder_of(fleet, new) / "weights.safetensors"
    content = weights.read_bytes()
    with serving(fleet.home) as server:
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        fleet.shift("cards", {new: 10_000})

        eventually(lambda: "damaged" in problems(server))
        assert chat(server, "cards") == (200, old)
        assert "kept as before" in problems(server)
        assert "bailiwick_gateway_domains_with_problems 1\n" in ask(server, "/metrics")[1]
        status, words = chat(server, f"cards@{new}")
        assert (status, "damaged" in words) == (503, True)
        assert chat(server, "loans")[0] == 200

        weights.write_bytes(content)
        fleet.shift("cards", {old: 1, new: 9_999})
        eventually(lambda: not problems(server))
        assert chat(server, f"cards@{new}") == (200, new)


def test_server__started_with_a_canary_that_is_gone__main_version_serves_everybody(fleet: Fleet) -> None:
    old, new = fleet.versions["cards"]
    fleet.shift("cards", {old: 6_000, new: 4_000})
    shutil.rmtree(folder_of(fleet, new))
    with serving(fleet.home) as server:
        assert {chat(server, "cards") for _ in range(30)} == {(200, old)}
        assert f"{old} stands in" in problems(server)


@pytest.mark.parametrize("force", [False, True])
def test_deploy__artefact_damaged_or_gone__refused_and_nothing_changed(fleet: Fleet, force: bool) -> None:
    new = measured(fleet, fleet.versions["cards"][1])
    folder = folder_of(fleet, new)
    before = fleet.platform.traffic.revision()
    (folder / "extra.txt").write_text("not mine")
    with pytest.raises(Conflict, match="damaged"):
        fleet.platform.delivery.deploy("cards", new, actor=Actor("ada", reason="hurry"), force=force)
    shutil.rmtree(folder)
    with pytest.raises(NotFound, match="artefact"):
        fleet.platform.delivery.deploy("cards", new, actor=Actor("ada", reason="hurry"), force=force)
    assert (fleet.platform.traffic.revision(), list(fleet.platform.delivery.history())) == (before, [])


def test_rollback__artefact_of_the_version_before_is_gone__served_while_loaded_and_said_after_a_restart(
    fleet: Fleet,
) -> None:
    old, new = (measured(fleet, version) for version in fleet.versions["cards"])
    delivery = fleet.platform.delivery
    delivery.deploy("cards", new, actor=ADA)
    shutil.rmtree(folder_of(fleet, old))
    with serving(fleet.home) as server:
        assert chat(server, "cards") == (200, new)
        assert delivery.rollback("cards", actor=ADA).plan.weights == {old: 10_000}
        eventually(lambda: "is not in" in problems(server))
        assert chat(server, "cards") == (200, new), "a gateway without the artefact keeps what it has, and says so"
    with serving(fleet.home) as server:
        status, words = chat(server, "cards")
        assert (status, "cannot answer now" in words) == (503, True), "a version that was rolled back is not revived"
        assert chat(server, "loans")[0] == 200
        assert ask(server, "/readyz")[1]["domains"] == ["loans"]
