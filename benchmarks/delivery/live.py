"""Rollouts of real models through a real server: really worse candidates, and one that is nearly the same.

The stable version is trained on 20 labels of Banking77. Candidates: trained with shuffled labels; with the weights of
half, and of nearly all, of its vocabulary lost; behind an upstream that takes 150 ms longer; behind one that answers
with nothing; trained again with another seed. Users ask the test questions and say of each answer whether it was right.
"""

from __future__ import annotations

import contextlib
import csv
import http.client
import itertools
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.records import CORPORA, record

sys.path.append(str(Path(__file__).parents[2] / "tests"))  # the server process that the tests use
from serving import ServerProcess, serving

from bailiwick.delivery.rollout.model import (
    Direction,
    MetricRule,
    Rollout,
    RolloutPolicy,
    RolloutState,
    Statistic,
    Step,
)
from bailiwick.domains.model import Backend, Domain
from bailiwick.governance.audit import Actor
from bailiwick.models.catalogue import family
from bailiwick.models.linear_text.fitted import LinearTextModel
from bailiwick.models.model import LabelledText
from bailiwick.models.ports import FittedModel
from bailiwick.platform import Platform
from bailiwick.settings import Settings

LABELS, USERS, SLOWER_S = 20, 3, 0.15
PATIENCE_S = 420.0
ACTOR = Actor("benchmark", reason="measured")
STEPS = (Step(1_000, 2.0, 50, 3.0), Step(5_000, 2.0, 100, 1.0), Step(10_000))
POLICY = RolloutPolicy(
    (
        MetricRule("failed", Statistic.RATE, Direction.LOWER, 0.05),
        MetricRule("latency_ms", Statistic.P95, Direction.LOWER, 0.5, relative=True, required=False),
        MetricRule("correct", Statistic.RATE, Direction.HIGHER, 0.05),
    ),
    guard_s=3.0,
)
GOOD = {"accuracy": 0.93, "latency_p95_ms": 4.0, "training_loss": 0.1, "validation_loss": 0.2}


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is let in, and what should become of it.

    Args:
        harmless: by its answers to every test question, beside the margins.
        accuracy: on every test question; None where the domain's answers do not come from a model of ours.
    """

    name: str
    domain: str
    version: str
    harmless: bool
    accuracy: float | None


def live() -> list[dict[str, Any]]:
    """How each candidate ended, after how many requests."""
    train, test = _texts("train"), _texts("test")
    stable = _trained(train, 1)
    with tempfile.TemporaryDirectory() as folder, _upstream(stable) as url:
        platform = Platform(Settings(home=Path(folder)))
        candidates = _prepare(platform, train, test, stable, url)
        records = []
        with serving(Path(folder), {"BAILIWICK_METRICS_INTERVAL_S": "0.2"}) as server:
            for candidate in candidates:
                records += _roll_out(platform, server, candidate, test)
        platform.close()
    return records


def _roll_out(
    platform: Platform, server: ServerProcess, candidate: Candidate, test: Sequence[LabelledText]
) -> list[dict[str, Any]]:
    begun = time.monotonic()
    started = platform.rollouts.start(
        candidate.domain, candidate.version, actor=ACTOR, steps=STEPS, policy=POLICY, adapt=False
    ).rollout
    assert started is not None
    over, asked = threading.Event(), itertools.count()
    workers = [
        threading.Thread(target=_ask_on, args=(server, candidate.domain, test, over, asked)) for _ in range(USERS)
    ]
    for worker in workers:
        worker.start()
    while not (ended := platform.rollouts.get(started.id)).state.is_final and time.monotonic() - begun < PATIENCE_S:
        time.sleep(0.1)
    over.set()
    for worker in workers:
        worker.join()
    if not ended.state.is_final:
        platform.rollouts.abort(started.id, actor=ACTOR)
    return _told(candidate, ended, next(asked), time.monotonic() - begun, _peak(platform, ended))


def _told(candidate: Candidate, ended: Rollout, asked: int, took_s: float, peak: int) -> list[dict[str, Any]]:
    print(f"{candidate.name}: {ended.state.value}: {ended.reason}", file=sys.stderr, flush=True)
    expected = RolloutState.SUCCEEDED if candidate.harmless else RolloutState.ABORTED
    name = f"live, {candidate.name}: {ended.state.value}"
    canary = ended.evidence.canary_requests
    rows = (
        []
        if candidate.accuracy is None
        else [record(f"{name}, accuracy on the test questions", 100 * candidate.accuracy, "%", better="higher")]
    )
    return [
        *rows,
        record(f"{name} as it should be", float(ended.state is expected), "1 = yes", better="higher", goal=1.0),
        record(f"{name}, requests that the canary answered", canary, "requests", better="lower"),
        record(f"{name}, requests of the domain meanwhile", asked, "requests", better="lower"),
        record(f"{name}, largest share", peak / 100, "%", better="lower"),
        record(f"{name}, took", took_s, "s wall", better="lower"),
    ]


def _peak(platform: Platform, ended: Rollout) -> int:
    return max(move.weight for move in platform.rollouts.transitions(ended.id) if not move.after.is_final)


def _prepare(
    platform: Platform, train: list[LabelledText], test: list[LabelledText], stable: FittedModel, url: str
) -> list[Candidate]:
    """The stable version of both domains in service, and the candidates registered."""
    backend = Backend("openai-compatible", base_url=url, model="plain")
    for domain in (Domain("banking", "Banking", "agent"), Domain("remote", "Remote", "agent", backend=backend)):
        platform.domains.create(domain, ACTOR, activate=True)
    platform.domains.set_default("banking", ACTOR)
    platform.delivery.deploy("banking", _register(platform, "banking", stable), actor=ACTOR)
    platform.delivery.deploy("remote", _register(platform, "remote", "plain"), actor=ACTOR)
    labels = [example.label for example in train]
    random.Random(3).shuffle(labels)
    shuffled = [LabelledText(example.text, label) for example, label in zip(train, labels, strict=True)]
    made: list[tuple[str, FittedModel | str]] = [
        ("label-shuffled", _trained(shuffled, 2)),
        ("half of the vocabulary lost", _truncated(stable, 0.5)),
        ("95 % of the vocabulary lost", _truncated(stable, 0.95)),
        ("slow", "slow"),
        ("empty output", "empty"),
        ("retrained with another seed", _trained(train, 4)),
    ]
    needed = _accuracy(stable, test) - POLICY.metrics[2].margin
    candidates = []
    for name, model in made:
        accuracy = None if isinstance(model, str) else _accuracy(model, test)
        domain = "remote" if accuracy is None else "banking"
        harmless = accuracy is not None and accuracy >= needed
        candidates.append(Candidate(name, domain, _register(platform, domain, model), harmless, accuracy))
    return candidates


def _accuracy(model: FittedModel, test: Sequence[LabelledText]) -> float:
    best = model.predict([example.text for example in test]).argmax(axis=1)
    return float(np.mean([model.card.labels[k] == example.label for k, example in zip(best, test, strict=True)]))


def _register(platform: Platform, domain: str, model: FittedModel | str) -> str:
    """A version whose recorded numbers pass every gate, whatever it is worth."""
    local = not isinstance(model, str)
    artefact = platform.registry.store_model(model) if local else None
    card = None if local else {"model": model}
    with platform.database.write() as connection:
        made = platform.registry.register(
            connection, ACTOR, domain=domain, family="linear-text", artefact=artefact, card=card
        )
        platform.registry.record_metrics(connection, made.id, GOOD, ACTOR)
    return made.id


def _trained(examples: Sequence[LabelledText], seed: int) -> FittedModel:
    return family().train(examples, (), seed=seed)


def _truncated(model: FittedModel, share: float) -> FittedModel:
    """The model without the weights of a random share of its terms."""
    assert isinstance(model, LinearTextModel)
    terms = model.weights.terms.copy()
    terms[np.random.default_rng(5).random(len(terms)) < share] = 0
    weights = replace(model.weights, terms=terms)
    return LinearTextModel(model.card, model.vocabulary, weights, model.temperature, model.energies)


def _texts(part: str) -> list[LabelledText]:
    with (CORPORA / "banking77" / f"{part}.csv").open(newline="") as file:
        rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
    chosen = set(sorted({label for _, label in rows})[:LABELS])
    return [LabelledText(text, label) for text, label in rows if label in chosen]


def _ask_on(
    server: ServerProcess, domain: str, test: Sequence[LabelledText], over: threading.Event, asked: itertools.count[int]
) -> None:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=30)
    while not over.is_set():
        number = next(asked)
        example = test[number % len(test)]
        message = {"role": "user", "content": example.text}
        status, answer, request = _post(
            connection, "/v1/chat/completions", {"model": domain, "messages": [message], "user": f"{domain}-{number}"}
        )
        assert status == 200, answer
        right = answer["choices"][0]["message"]["content"].strip() == example.label
        _post(connection, "/v1/feedback", {"request_id": request, "value": right})


def _post(connection: http.client.HTTPConnection, path: str, body: Any) -> tuple[int, Any, str]:
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read()), response.getheader("x-request-id", "")


@contextlib.contextmanager
def _upstream(model: FittedModel) -> Iterator[str]:
    """An OpenAI-compatible server on 127.0.0.1 that answers by the model; as ``slow`` later, as ``empty`` nothing."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            text = body["messages"][-1]["content"]
            if body["model"] == "slow":
                time.sleep(SLOWER_S)
            best = int(model.predict([text])[0].argmax())
            content = "" if body["model"] == "empty" else model.card.labels[best]
            choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
            answer = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
            raw = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
