"""CPU time of the gateway per request, beside a bare uvicorn application that echoes, on the same machine and run.

CPU seconds (user and system, of the serving process alone) are what stays comparable on a shared machine; requests per
second are not reported. The load comes over loopback from another process, on connections that are kept open.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.gateway_load import (
    ANSWER,
    CHUNKS,
    QUERY,
    REQUESTS,
    RUNS,
    Target,
    environment,
    process,
    us_per_request,
)
from benchmarks.gateway_upstreams import command
from benchmarks.records import publish, record

CONNECTIONS = (1, 16, 64)
FLEETS = (10, 1_000, 10_000)


def build_estate(home: Path, upstream: str, failing: str) -> None:
    """The sample estate's cards domain, trained and deployed, and domains whose models are the echo."""
    from bailiwick.domains.model import Backend, Domain
    from bailiwick.governance.audit import Actor
    from bailiwick.platform import Platform
    from bailiwick.settings import Settings

    def run(*words: str) -> None:
        given = [sys.executable, "-m", "bailiwick", "--home", str(home), *words]
        subprocess.run(given, cwd=home, env=environment(), check=True, capture_output=True)

    run("estate")
    run("domain", "import", "estate/domains.json")
    run("dataset", "import", "estate/queries.csv", "--name", "queries")
    run("train", "cards", "--dataset", "queries")
    run("deploy", "cards", "--force", "--reason", "a benchmark")
    run("detect", "warm", "--learn-from", "queries")
    platform = Platform(Settings(home=home))
    for name, url in (("proxied", upstream), ("flaky", failing)):
        backend = Backend("openai-compatible", base_url=f"{url}/v1", model="echo")
        platform.domains.create(Domain(name, name, "bench", backend=backend), Actor("bench"), activate=True)
    platform.close()


def run() -> list[dict[str, Any]]:
    """Every figure."""
    with (
        tempfile.TemporaryDirectory() as folder,
        process(*command("echo")) as (echo_pid, echo_url),
        process(*command("flaky")) as (_, failing_url),
    ):
        build_estate(Path(folder), echo_url, failing_url)
        measured = [*_in_process(folder, echo_pid, echo_url), *_proxied(folder), _survived(folder)]
        return [*measured, *_fleets(echo_url)]


def _fleets(upstream: str) -> Iterator[dict[str, Any]]:
    """The same request where ever more domains are served."""
    from bailiwick.domains.model import Backend, Domain
    from bailiwick.governance.audit import Actor
    from bailiwick.platform import Platform
    from bailiwick.settings import Settings

    backend = Backend("openai-compatible", base_url=f"{upstream}/v1", model="echo")
    smallest: float | None = None
    with tempfile.TemporaryDirectory() as folder:
        platform = Platform(Settings(home=Path(folder)))
        there = 0
        for count in FLEETS:
            for number in range(there, count):
                domain = Domain(f"d{number}", f"Domain {number}", "bench", keywords=(f"word{number}",), backend=backend)
                platform.domains.create(domain, Actor("bench"), activate=True)
            there = count
            with process("-m", "bailiwick", "--home", folder, "--json", "serve", "--port", "0") as (pid, url):
                found = us_per_request(Target(pid, url, f"d{count // 2}"), 16)
            yield record(
                f"gateway CPU per request: proxied upstream, 16 connections, {count:,} domains",
                found,
                "us",
                better="lower",
                goal=None if smallest is None else 1.25 * smallest,
                peer=None if smallest is None else f"{FLEETS[0]} domains",
                peer_value=smallest,
                runs=RUNS,
            )
            smallest = smallest or found
        platform.close()


def _survived(folder: str) -> dict[str, Any]:
    """Requests that fail while every tenth call to the upstream does."""
    asked = {"model": "flaky", "messages": [{"role": "user", "content": QUERY}]}
    body = json.dumps(asked).encode()
    with process("-m", "bailiwick", "--home", folder, "--json", "serve", "--port", "0") as (_, url):

        def one(_number: int) -> bool:
            request = urllib.request.Request(f"{url}/v1/chat/completions", body)
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return answer.read() != ANSWER.replace(b" ", b"")
            except urllib.error.HTTPError:
                return True

        with ThreadPoolExecutor(8) as threads:
            failed = sum(threads.map(one, range(REQUESTS)))
    return record(
        f"gateway: failed requests of {REQUESTS:,}, an upstream that answers 503 to every tenth",
        failed,
        "requests",
        better="lower",
        goal=0,
        peer="calls that the upstream failed",
        peer_value=REQUESTS // 9,
    )


def _in_process(folder: str, echo_pid: int, echo_url: str) -> Iterator[dict[str, Any]]:
    """Local models, beside an application that does nothing."""
    with process("-m", "bailiwick", "--home", folder, "--json", "serve", "--port", "0") as (pid, url):
        for connections in CONNECTIONS:
            peer = us_per_request(Target(echo_pid, echo_url, "echo"), connections)
            for name, model, goal in (
                ("local model, named domain", "cards", 350),
                ("local model, auto (detection)", "auto", 800),
            ):
                yield record(
                    f"gateway CPU per request: {name}, {connections} connections",
                    us_per_request(Target(pid, url, model), connections),
                    "us",
                    better="lower",
                    goal=goal,
                    peer="bare uvicorn echo",
                    peer_value=peer,
                    runs=RUNS,
                )


def _proxied(folder: str) -> Iterator[dict[str, Any]]:
    """An upstream's model, beside the same gateway with aiohttp as its client."""
    serve = ("-m", "bailiwick", "--home", folder, "--json", "serve", "--port", "0")
    with (
        process(*serve) as (pid, url),
        process(*serve, BAILIWICK_UPSTREAM_CLIENT="aiohttp") as (peer_pid, peer_url),
    ):
        for stream, name, goal in (
            (False, "proxied upstream", 250),
            (True, f"proxied stream of {CHUNKS} events", 500),
        ):
            for connections in CONNECTIONS:
                yield record(
                    f"gateway CPU per request: {name}, {connections} connections",
                    us_per_request(Target(pid, url, "proxied"), connections, stream=stream),
                    "us",
                    better="lower",
                    goal=goal,
                    peer="the same with aiohttp",
                    peer_value=us_per_request(Target(peer_pid, peer_url, "proxied"), connections, stream=stream),
                    runs=RUNS,
                )


def main(publish_records: Callable[[str, list[dict[str, Any]]], None] = publish) -> None:
    """Measure and publish."""
    publish_records("gateway", run())


if __name__ == "__main__":
    main()
