"""Three gateways over PostgreSQL and Redis: how long until a committed change is served by every one of them."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # the servers that the tests use
import servers

from bailiwick.domains.model import Backend, Domain
from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.settings import Settings
from bailiwick.traffic.model import SLOTS, Arm, ExperimentPlan
from bailiwick.traffic.splits import first_split
from benchmarks.gateway_load import process
from benchmarks.records import publish, record

CHANGES = 20
BENCH = Actor("bench")


def run() -> list[dict[str, Any]]:
    """The slowest and the median change, for each kind of change."""
    with ExitStack() as stack:
        scope = f"bench-{time.time_ns()}"
        stores = {
            "database_url": stack.enter_context(servers.using("postgres", scope))["url"],
            "redis_url": stack.enter_context(servers.using("redis", scope))["url"],
        }
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        platform = Platform(Settings(home=home, **stores))
        backend = Backend("openai-compatible", base_url="http://127.0.0.1:9/v1", model="echo")
        platform.domains.create(Domain("chat", "Chat", "bench", backend=backend), BENCH, activate=True)
        with platform.database.write() as connection:
            versions = [
                platform.registry.register(connection, BENCH, domain="chat", family="upstream").id for _ in range(2)
            ]
        variables = {f"BAILIWICK_{name.upper()}": url for name, url in stores.items()}
        serve = ("-m", "bailiwick", "--home", str(home), "--json", "serve", "--port", "0")
        urls = [stack.enter_context(process(*serve, **variables))[1] for _ in range(3)]
        found = []
        for kind in ("domain", "traffic plan", "experiment"):
            taken = [_until_served(platform, urls, kind, number, versions) for number in range(CHANGES)]
            for name, value in (("median", statistics.median(taken)), ("slowest", max(taken))):
                found.append(
                    record(
                        f"a changed {kind} is served by 3 gateways, {name} of {CHANGES}",
                        round(value, 3),
                        "s",
                        better="lower",
                        goal=2.0,
                        runs=CHANGES,
                    )
                )
        platform.close()
        return found


def _until_served(platform: Platform, urls: list[str], kind: str, number: int, versions: list[str]) -> float:
    """Seconds from the commit until the last gateway says that it serves the change."""
    if kind == "domain":
        present = platform.domains.get("chat").domain
        platform.domains.update(replace(present, description=f"change {number}"), BENCH)
    else:
        with platform.traffic.changing() as connection:
            if kind == "traffic plan":
                share = 1_000 + 100 * number
                weights = {versions[0]: 10_000 - share, versions[1]: share}
                platform.traffic.change(connection, "chat", weights, actor=BENCH)
            else:
                platform.traffic.place(connection, _experiment(number), actor=BENCH)
    began = time.monotonic()
    version = platform.domains.version()
    assert version is not None
    wanted = {"domains": asdict(version), "traffic": platform.traffic.revision()}
    waiting = list(urls)
    while waiting:
        with urllib.request.urlopen(f"{waiting[0]}/readyz", timeout=30) as answer:
            said = json.load(answer)["revision"]
        if all(said[name] == value for name, value in wanted.items()):
            waiting.pop(0)
        else:
            time.sleep(0.01)
    return time.monotonic() - began


def _experiment(number: int) -> ExperimentPlan:
    name, layer = f"test-{number}", f"layer-{number}"
    arms = (Arm("a", None, {f"flag-{number}": "a"}), Arm("b", None, {f"flag-{number}": "b"}))
    split = first_split("chat", name, {"a": 5_000, "b": 5_000})
    return ExperimentPlan(name, "chat", layer, ((0, SLOTS),), split, arms)


def main() -> None:
    """Measure and publish."""
    publish("replicas", run())


if __name__ == "__main__":
    main()
