"""A/A experiments replayed through the real thing: service, assignment, recorder, tally, analysis and decision.

Many A/A experiments run at once, each in a layer of its own, so that every one of them divides the same users anew, by
salts of its own; what a user's request shows has nothing to do with any of them. Each is looked at again and again. A
verdict that finds a difference, or users missing, is a false one. Over HTTP the same happens with a server between.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bailiwick.clock import VirtualClock
from bailiwick.domains.model import Domain
from bailiwick.experiments.document import parse_design
from bailiwick.governance.audit import Actor
from bailiwick.metrics.exposures import Exposure
from bailiwick.platform import Platform
from bailiwick.settings import Settings
from bailiwick.traffic.enter import assignments, compile_domain
from benchmarks.records import publish, record

ADA = Actor("benchmark", reason="replay")
AT_ONCE = 100
"""Experiments over the same users."""
USERS = 1_000
LOOK_EVERY = 50
RIGHT = 0.7
BURN_IN = 100
CARDS = Domain("cards", "Cards", "agent-cards")
AT_ONCE_OVER_HTTP = 8
"""Users who ask at the same moment, so that requests are computed together."""


def run(experiments: int = 1_000, http: int = 100) -> list[dict[str, Any]]:
    """False verdicts of replayed A/A experiments, in process and over HTTP, and what a look costs.

    Args:
        experiments: replayed in process.
        http: at once over HTTP.
    """
    false_verdicts = false_alarms = done = 0
    look_s: list[float] = []
    for batch in range(max(1, experiments // AT_ONCE)):
        verdicts, alarms = _replay(batch, look_s)
        false_verdicts += verdicts
        false_alarms += alarms
        done += AT_ONCE
        print(f"  {done} replayed, {false_verdicts} false verdicts", file=sys.stderr)
    wrong, hits = _over_http(http)
    over = f"A/A over HTTP with cache, batching and routing on, {USERS:,} users who ask twice"
    name = "A/A through assignment, recorder, tally and analysis"
    return [
        record(f"{name}: false verdicts", 100 * false_verdicts / done, "%", better="lower", goal=5.4, runs=done),
        record(f"{name}: sample ratio alarms", 100 * false_alarms / done, "%", better="lower", goal=0.13, runs=done),
        record("one look at an A/A, service included", 1000 * float(np.median(look_s)), "ms CPU", better="lower"),
        record(f"{over}: false verdicts", 100 * wrong / http, "%", better="lower", goal=5.4, runs=http),
        record(f"{over}: answers from the cache", 100 * hits, "%", better="higher"),
    ]


def _replay(seed: int, look_s: list[float]) -> tuple[int, int]:
    with tempfile.TemporaryDirectory() as folder:
        clock = VirtualClock(datetime(2026, 3, 1, tzinfo=UTC))
        platform = Platform(Settings(home=Path(folder)), clock)
        ids = _create(platform, AT_ONCE, seed)
        compiled = compile_domain(platform.traffic.experiments("cards"), platform.traffic.holdout())
        random = np.random.default_rng(seed)
        wrong: set[str] = set()
        alarmed: set[str] = set()
        for user in range(USERS):
            found = assignments(compiled, lambda _: None, {"user": f"user-{seed}-{user}"}.get)
            exposures = [Exposure(f.experiment, f.epoch, f.arm.name, f.unit, f.propensity) for f in found]
            values = {"correct": float(random.random() < RIGHT), "failed": 0.0}
            platform.metrics.served(f"request-{user}", "cards", "v1", values, exposures=exposures, unit=f"user-{user}")
            if (user + 1) % LOOK_EVERY == 0:
                clock.advance(timedelta(minutes=1))
                platform.metrics.flush()
                platform.metrics.experiments.tally_all()
                if user + 1 >= 2 * BURN_IN:
                    _look(platform, ids, wrong, alarmed, look_s)
        platform.close()
    return len(wrong), len(alarmed)


def _create(platform: Platform, count: int, seed: int, domain: Domain = CARDS) -> list[str]:
    platform.domains.create(domain, ADA, activate=True)
    ids = [f"same-{seed}-{number}" for number in range(count)]
    for id in ids:
        design = {
            "id": id,
            "domain": "cards",
            "kind": "aa",
            "layer": id,
            "primary": {"metric": "correct"},
            "minimum_effect": 0.1,
            "arms": [{"name": "one"}, {"name": "other"}],
            "burn_in_units": BURN_IN,
        }
        platform.experiments.create(parse_design(design), actor=ADA)
        platform.experiments.start(id, actor=ADA)
    return ids


def _look(platform: Platform, ids: list[str], wrong: set[str], alarmed: set[str], look_s: list[float]) -> None:
    for id in ids:
        started = time.process_time()
        analysis = platform.experiment_analyst.report(id).analysis
        look_s.append(time.process_time() - started)
        if analysis.waiting is None and any(effect.significant for effect in analysis.primary):
            wrong.add(id)
        if any(each.alarm for each in analysis.sample_ratio):
            alarmed.add(id)


def _over_http(count: int) -> tuple[int, float]:
    """A/A experiments whose users come through a real server, with all on that could mix them up.

    Returns:
        False verdicts by the server's REST interface, and the share of answers that came from the cache.
    """
    from bailiwick.domains.batching import Batching
    from bailiwick.domains.cache import AnswerCaching
    from bailiwick.models.catalogue import family
    from bailiwick.models.model import LabelledText
    from bailiwick.routing.model import Mode

    with tempfile.TemporaryDirectory() as folder:
        platform = Platform(Settings(home=Path(folder)))
        words = ("card", "cards")
        ids = _create(platform, count, 0, replace(CARDS, keywords=words, cache=AnswerCaching(), batching=Batching()))
        platform.domains.set_default("cards", ADA)
        platform.routing.set_mode(Mode.ON, ADA)
        examples = [LabelledText(f"{word} card {n}", word) for word in ("lost", "new", "fee") for n in range(8)]
        model = family().train(examples, (), seed=1)
        artefact = platform.registry.store_model(model)
        with platform.database.write() as connection:
            version = platform.registry.register(
                connection, ADA, domain="cards", family=model.card.family, artefact=artefact
            )
        platform.delivery.deploy("cards", version.id, actor=ADA, force=True)
        command = [sys.executable, "-m", "bailiwick", "--home", folder, "--json", "serve", "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as server:
            try:
                assert server.stdout is not None
                ask = _client(json.loads("".join(iter(server.stdout.readline, "}\n")) + "}")["url"])
                found = _ask_everything(ask, ids, np.random.default_rng(0))
            finally:
                server.terminate()
        platform.close()
    return found


def _ask_everything(ask: Callable[..., Any], ids: list[str], random: np.random.Generator) -> tuple[int, float]:
    messages = [{"role": "user", "content": "where is my new card"}]

    def one(user: int, right: bool) -> int:
        """One user: asks twice, and says of the first answer whether it was right."""
        hits = 0
        for number in range(2):
            body = {"model": "auto", "user": f"user-{user}", "messages": messages}
            answer, headers = ask("/v1/chat/completions", body)
            hits += headers["x-bailiwick-cache"] == "hit"
            if not number:
                ask("/v1/feedback", {"request_id": answer["id"], "value": right})
        return hits

    with ThreadPoolExecutor(AT_ONCE_OVER_HTTP) as users:
        rights = (random.random(USERS) < RIGHT).tolist()
        hits = sum(users.map(one, range(USERS), rights))
    reports = [_report(ask, id) for id in ids]
    assert all(report["analysis"]["waiting"] is None for report in reports), "nothing was decided"
    return sum(report["analysis"]["primary"][0]["significant"] for report in reports), hits / (2 * USERS)


def _report(ask: Callable[..., Any], id: str) -> Any:
    """What an experiment has found once every user is counted."""
    ends = time.monotonic() + 60
    while (report := ask(f"/v1/experiments/{id}/results")[0])["analysis"]["units"] != USERS:
        assert time.monotonic() < ends, "users were lost"
        time.sleep(0.5)
    return report


def _client(base: str) -> Callable[..., Any]:
    def ask(path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{base}{path}", data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer), answer.headers

    return ask


if __name__ == "__main__":
    publish("experiment_replay", run())
