"""A gateway changed every second, before an upstream that fails a tenth of the time: what fails, and what grows.

Streams and whole answers, of an upstream's model with a local one to fall back on, of local models, and detected. Each
second a traffic plan is shifted, or a domain is changed. ``--requests N`` runs until so many are answered instead, with
one change a minute, to see whether memory grows with requests.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bailiwick.governance.audit import Actor
from bailiwick.platform import Platform
from bailiwick.settings import Settings
from benchmarks.bench_gateway import build_estate
from benchmarks.gateway_load import QUERY, Target, process, request_bytes, resident_mib
from benchmarks.gateway_upstreams import command
from benchmarks.records import publish, record, show

WORKERS = 8
SAMPLE_S = 1.0
BENCH = Actor("bench")


@dataclass
class Seen:
    """What happened so far.

    Args:
        memory: pairs of requests answered and MiB resident, once a second.
    """

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    changes: int = 0
    memory: list[tuple[int, float]] = field(default_factory=list)

    def growth(self) -> float:
        """MiB for each 100,000 requests: the slope over the second half of the run, when everything is warm."""
        half = self.memory[len(self.memory) // 2 :]
        if len(half) < 5 or half[-1][0] == half[0][0]:
            return float("nan")
        requests, mib = np.array(half).T
        return float(np.polyfit(requests, mib, 1)[0] * 100_000)


async def _ask_forever(url: str, seen: Seen, number: int, stop: asyncio.Event) -> None:
    """One client: a request after the other on a connection that is kept."""
    models = ("lucky", "cards", "auto", "lucky")
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    turn = number
    while not stop.is_set():
        turn += 1
        stream = turn % 3 == 0
        asked = {"messages": [{"role": "user", "content": QUERY}], "user": f"user-{turn % 997}", "stream": stream}
        target = Target(0, url, models[turn % 4])
        try:
            async with asyncio.timeout(60):
                writer.write(request_bytes(target, {**asked, "model": target.model}))
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if b"chunked" in head:
                    body = await reader.readuntil(b"\r\n0\r\n\r\n")
                else:
                    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    body = await reader.readexactly(length)
            whole = b"[DONE]" in body if stream else b'"choices"' in body
            if not head.startswith(b"http/1.1 200") or not whole:
                seen.failed.append(f"{target.model}, stream {stream}: {head[:15]!r} {body[-300:]!r}")
        except (OSError, EOFError, TimeoutError) as error:
            seen.failed.append(f"{target.model}, stream {stream}: {error!r}")
            writer.close()
            reader, writer = await asyncio.open_connection(host, int(port))
        seen.answered += 1
    writer.close()


def _change(platform: Platform, versions: list[str], number: int) -> None:
    """Another share for the second version, or another description of a domain."""
    if number % 3 == 2:
        present = platform.domains.get("lucky").domain
        platform.domains.update(replace(present, description=f"change {number}"), BENCH)
        return
    share = 1_000 + number * 700 % 8_000
    with platform.traffic.changing() as connection:
        weights = {versions[0]: 10_000 - share, versions[1]: share}
        platform.traffic.change(connection, "cards", weights, actor=BENCH)


async def _soak(pid: int, url: str, change: Any, seen: Seen, seconds: float, requests: int | None) -> None:
    stop = asyncio.Event()
    clients = [asyncio.create_task(_ask_forever(url, seen, number, stop)) for number in range(WORKERS)]
    began = time.monotonic()
    every_s = 1.0 if requests is None else 60.0
    changed = began
    while (seen.answered < requests) if requests is not None else (time.monotonic() - began < seconds):
        await asyncio.sleep(SAMPLE_S)
        seen.memory.append((seen.answered, resident_mib(pid)))
        if time.monotonic() - changed >= every_s:
            changed = time.monotonic()
            await asyncio.to_thread(change, seen.changes)
            seen.changes += 1
        if len(seen.memory) % 30 == 0:
            said = f"  {seen.answered:,} answered, {len(seen.failed)} failed, {seen.memory[-1][1]:.1f} MiB"
            print(said, file=sys.stderr)
    stop.set()
    await asyncio.gather(*clients)


def _second_version(home: Path) -> tuple[Platform, list[str]]:
    """Two versions of the local domain, and the domain with the unlucky upstream falls back on it."""
    platform = Platform(Settings(home=home))
    (first,) = platform.registry.list("cards")
    with platform.database.write() as connection:
        artefact = (first.artefact_sha256 or "", first.artefact_bytes)
        second = platform.registry.register(
            connection, BENCH, domain="cards", family=first.family, artefact=artefact, card=first.card
        )
    return platform, [first.id, second.id]


def run(seconds: float, requests: int | None) -> list[dict[str, Any]]:
    """Soak, and say what was seen."""
    from bailiwick.domains.model import Backend, Domain

    seen = Seen()
    with (
        tempfile.TemporaryDirectory() as folder,
        process(*command("echo")) as (_, echo_url),
        process(*command("unlucky")) as (_, unlucky_url),
    ):
        build_estate(Path(folder), echo_url, unlucky_url)
        platform, versions = _second_version(Path(folder))
        backend = Backend("openai-compatible", base_url=f"{unlucky_url}/v1", model="echo", timeout_s=10.0)
        lucky = Domain("lucky", "Lucky", "bench", backend=backend, fallback="cards")
        platform.domains.create(lucky, BENCH, activate=True)
        serve = ("-m", "bailiwick", "--home", folder, "--json", "serve", "--port", "0")
        with process(*serve) as (pid, url), suppress(KeyboardInterrupt):
            asyncio.run(_soak(pid, url, lambda number: _change(platform, versions, number), seen, seconds, requests))
        platform.close()
    for failure in seen.failed[:5]:
        print(f"  failed: {failure}", file=sys.stderr)
    what = f"{seconds:g} s" if requests is None else f"{requests:,} requests"
    return [
        record(
            f"soak of {what}, {seen.changes} changes, an upstream that fails a tenth: failed requests",
            len(seen.failed),
            "requests",
            better="lower",
            goal=0,
            peer="answered",
            peer_value=seen.answered,
        ),
        record(f"soak of {what}: memory at the end", seen.memory[-1][1], "MiB", better="lower"),
        record(
            f"soak of {what}: growth in its second half",
            round(seen.growth(), 3),
            "MiB per 100,000 requests",
            better="lower",
        ),
    ]


def main() -> None:
    """Soak and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long (300)")
    parser.add_argument("--requests", type=int, help="until so many requests are answered instead, such as 1000000")
    parser.add_argument("--no-publish", action="store_true", help="only print")
    arguments = parser.parse_args()
    found = run(arguments.seconds, arguments.requests)
    name = "soak" if arguments.requests is None else "soak-requests"
    (show if arguments.no_publish else publish)(name, found)


if __name__ == "__main__":
    main()
