"""An experiment through a real server: two versions of a real model on the sample estate, one of them really worse."""

from __future__ import annotations

import csv
import json
import os
import pty
import random
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from deliveries import GOOD
from serving import ADA, ServerProcess, serving

import bailiwick
from bailiwick.domains.model import Domain
from bailiwick.experiments.document import parse_design
from bailiwick.models.catalogue import family
from bailiwick.models.model import LabelledText
from bailiwick.platform import Platform
from bailiwick.settings import Settings

QUERIES = Path(bailiwick.__file__).parent / "estate" / "queries.csv"
_LIMIT_S = 120.0


@dataclass(frozen=True)
class Bank:
    """The cards of the sample bank: a version that learned from the estate, one that learned from shuffled labels."""

    platform: Platform
    home: Path
    good: str
    shuffled: str
    unseen: Sequence[LabelledText]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    home = tmp_path_factory.mktemp("bank")
    platform = Platform(Settings(home=home))
    with QUERIES.open(encoding="utf-8", newline="") as lines:
        rows = [LabelledText(row["text"], row["label"]) for row in csv.DictReader(lines) if row["domain"] == "cards"]
    random.Random(1).shuffle(rows)
    learned, unseen = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    labels = [row.label for row in learned]
    random.Random(2).shuffle(labels)
    wrong = [LabelledText(row.text, label) for row, label in zip(learned, labels, strict=True)]
    platform.domains.create(Domain("cards", "Cards", "agent-cards"), ADA, activate=True)
    good, shuffled = _version(platform, learned), _version(platform, wrong)
    platform.delivery.deploy("cards", shuffled, actor=ADA)
    return Bank(platform, home, good, shuffled, unseen)


def _version(platform: Platform, examples: list[LabelledText]) -> str:
    model = family().train(examples, (), seed=1)
    artefact = platform.registry.store_model(model)
    with platform.database.write() as connection:
        made = platform.registry.register(connection, ADA, domain="cards", family=model.card.family, artefact=artefact)
        platform.registry.record_metrics(connection, made.id, GOOD, ADA)
    return made.id


@pytest.fixture
def server(bank: Bank) -> Iterator[ServerProcess]:
    with serving(bank.home, {"BAILIWICK_EXPERIMENTS_INTERVAL_S": "0.3"}) as running:
        yield running


def _call(server: ServerProcess, method: str, path: str, body: Any = None, **headers: str) -> tuple[Any, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"{server.url}{path}", data, {"content-type": "application/json", **headers}, method=method
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        raw = answer.read()
        return (json.loads(raw) if answer.headers["content-type"] == "application/json" else raw), answer.headers


def _create(server: ServerProcess, **design: Any) -> None:
    common = {
        "domain": "cards",
        "primary": {"metric": "correct"},
        "minimum_effect": 0.1,
        "burn_in_units": 40,
        "burn_in_events": 5,
        "automatic": True,
        "reason": "does learning from the right labels pay?",
    }
    _call(server, "POST", "/v1/experiments", {**common, **design})
    _call(server, "POST", f"/v1/experiments/{design['id']}/start", {})


def _until_placed(server: ServerProcess, bank: Bank) -> None:
    """The server has taken the experiment into its snapshot."""
    revision = bank.platform.traffic.revision()
    deadline = time.monotonic() + _LIMIT_S
    while _call(server, "GET", "/readyz")[0]["revision"]["traffic"] != revision:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _ask_and_judge(server: ServerProcess, bank: Bank, users: range) -> None:
    """Each user asks once and says whether the answer was right; every fifth one is never content."""
    for number in users:
        query = bank.unseen[number % len(bank.unseen)]
        messages = [{"role": "user", "content": query.text}]
        body = {"model": "cards", "user": f"user-{number}", "messages": messages}
        answer, headers = _call(server, "POST", "/v1/chat/completions", body)
        right = answer["choices"][0]["message"]["content"] == query.label and number % 5 != 0
        _call(server, "POST", "/v1/feedback", {"request_id": headers["x-request-id"], "value": right})


def _concluded(server: ServerProcess, id: str) -> dict[str, Any]:
    deadline = time.monotonic() + _LIMIT_S
    while time.monotonic() < deadline:
        found: dict[str, Any] = _call(server, "GET", f"/v1/experiments/{id}")[0]
        if found["state"] == "concluded":
            return found
        time.sleep(0.2)
    raise AssertionError(_call(server, "GET", f"/v1/experiments/{id}/results")[0])


def test_experiment__equal_arms__finds_nothing(bank: Bank, server: ServerProcess) -> None:
    arms = [{"name": "one", "version": bank.good}, {"name": "other", "version": bank.good}]
    _create(server, id="same", kind="aa", arms=arms)
    _until_placed(server, bank)
    _ask_and_judge(server, bank, range(300))
    report, _ = _call(server, "GET", "/v1/experiments/same/results")
    assert report["analysis"]["units"] == 300 and report["analysis"]["waiting"] is None
    assert report["decision"]["verdict"] == "continue"
    effect = report["analysis"]["primary"][0]
    assert not effect["significant"]
    assert effect["always_valid"]["low"] < 0 < effect["always_valid"]["high"]
    ended, _ = _call(
        server, "POST", "/v1/experiments/same/conclude", {"verdict": "keep-control", "reason": "seen enough"}
    )
    assert ended["conclusion"]["winner"] is None


def test_experiment__control_learned_from_shuffled_labels__treatment_is_found_and_deployed(
    bank: Bank, server: ServerProcess
) -> None:
    arms = [{"name": "control", "version": bank.shuffled}, {"name": "treatment", "version": bank.good}]
    guardrails = [{"metric": "failed", "margin": 0.1}]
    _create(server, id="labels", arms=arms, guardrails=guardrails, deploy=True)
    _until_placed(server, bank)
    _ask_and_judge(server, bank, range(1000, 1400))
    found = _concluded(server, "labels")
    assert (found["conclusion"]["verdict"], found["conclusion"]["winner"]) == ("ship", "treatment")
    assert found["conclusion"]["reasons"][0].startswith("treatment improves correct by")
    traffic, _ = _call(server, "GET", "/v1/traffic/cards")
    assert traffic["weights"] == {bank.good: 100.0}
    log, headers = _call(server, "GET", "/v1/experiments/labels/events")
    events = [json.loads(line) for line in log.decode().splitlines()]
    assert headers["content-type"].startswith("application/x-ndjson")
    assert {event["version"] for event in events} == {bank.good, bank.shuffled}
    assert all("correct" in event["feedback"] and event["propensity"] == 0.5 for event in events[:100])


def test_watch__on_a_terminal__redraws_in_place_and_shows_the_decision(bank: Bank) -> None:
    arms = [{"name": "one", "version": bank.good}, {"name": "other", "version": bank.shuffled}]
    design = {"id": "seen", "domain": "cards", "layer": "seen", "coverage": 1, "minimum_effect": 0.1, "arms": arms}
    bank.platform.experiments.create(parse_design({**design, "primary": {"metric": "correct"}}), actor=ADA)
    bank.platform.experiments.start("seen", actor=ADA)
    command = ["-m", "bailiwick", "experiment", "watch", "seen", "--times", "2", "--every", "0.1"]
    child, terminal = pty.fork()
    if child == 0:
        os.environ |= {"BAILIWICK_HOME": str(bank.home), "TERM": "xterm", "LINES": "12", "COLUMNS": "80"}
        os.execv(sys.executable, [sys.executable, *command])
    shown = b""
    try:
        while part := os.read(terminal, 65_536):
            shown += part
    except OSError:  # Linux says so when the other side is closed
        pass
    assert os.waitpid(child, 0)[1] == 0
    text = shown.decode()
    frames = text.split("\x1b[?1049l")[0].split("\x1b[H")[-2:]
    for frame in frames:
        assert frame.count("\x1b[1mseen\x1b") == 1 and "Decision: continue" in frame
        assert len(frame.split("\r\n")) <= 12
    assert "Decision: continue" in text.split("\x1b[?1049l")[1]  # what was seen last stays
