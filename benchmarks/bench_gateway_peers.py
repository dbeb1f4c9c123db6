"""CPU time per proxied request and stream: Bailiwick plain and with everything on, beside LiteLLM and TensorZero.

One upstream, one run, the same load on each, one after the other; CPU seconds of the serving process with its children,
user and system. Added milliseconds are those of single requests beside the same requests sent to the upstream itself;
requests per second are of one client that waits for each answer: load, upstream and gateway share the machine.
``--quick`` sends a tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.bench_gateway import CONNECTIONS
from benchmarks.gateway_load import CHUNKS, RUNS, Target, latencies_ms, process, resident_mib, us_per_request
from benchmarks.gateway_peers import litellm, tensorzero
from benchmarks.gateway_upstreams import command
from benchmarks.records import publish, record

GOALS = {False: 250, True: 500}
ROUNDS = 5
ADDED_MS = {"median": 0.4, "99th percentile": 1.0}


def build(home: Path, upstream: str) -> None:
    """Two domains that the echo answers, one of them told apart by its words, with an experiment on it."""
    from bailiwick.domains.model import Backend, Domain
    from bailiwick.governance.audit import Actor
    from bailiwick.platform import Platform
    from bailiwick.settings import Settings
    from bailiwick.traffic.model import SLOTS, Arm, ExperimentPlan
    from bailiwick.traffic.splits import first_split

    platform = Platform(Settings(home=home))
    bench = Actor("bench")
    backend = Backend("openai-compatible", base_url=f"{upstream}/v1", model="echo")
    for name, words in (("plain", ("mortgage", "loan")), ("full", ("card", "debit"))):
        domain = Domain(name, name, "bench", keywords=words, backend=backend)
        platform.domains.create(domain, bench, activate=True)
    platform.domains.set_default("full", bench)
    split = first_split("full", "warmth", {"cold": 5_000, "warm": 5_000})
    arms = (Arm("cold", None, {"temperature": 0.1}), Arm("warm", None, {"temperature": 0.9}))
    plan = ExperimentPlan("warmth", "full", "answers", ((0, SLOTS),), split, arms)
    with platform.traffic.changing() as connection:
        platform.traffic.place(connection, plan, actor=bench)
    platform.close()


def run(quick: bool) -> list[dict[str, Any]]:
    """Every figure that can be had here."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        echo, upstream = stack.enter_context(process(*command("echo")))
        build(folder, upstream)
        serve = ("-m", "bailiwick", "--home", name, "--json", "serve", "--port", "0")
        plain = Target(*stack.enter_context(process(*serve)), "plain")
        log = str(folder / "access.log")
        full = Target(*stack.enter_context(process(*serve, BAILIWICK_ACCESS_LOG=log)), "auto")
        targets = {
            "Bailiwick, plain": plain,
            "Bailiwick, detection, experiment, metrics, access log": full,
            "TensorZero 2026.6.0": stack.enter_context(tensorzero(folder, upstream, quiet=False)),
            "TensorZero 2026.6.0 without its log": stack.enter_context(tensorzero(folder, upstream, quiet=True)),
            "LiteLLM 1.106.2": stack.enter_context(litellm(folder, upstream)),
        }
        there = {name: target for name, target in targets.items() if target is not None}
        if quick:
            there = {
                name: replace(target, whole=max(64, target.whole // 10), streams=max(64, target.streams // 10))
                for name, target in there.items()
            }
        alone = Target(echo, upstream, "echo")
        return [*_figures({"the upstream alone": alone} | there), *_added(alone, there), *_memory(there)]


def _added(alone: Target, targets: dict[str, Target]) -> Iterator[dict[str, Any]]:
    """Milliseconds that a gateway adds to a request, and requests per second; all in turn, so that noise is shared."""
    taken: dict[str, list[float]] = {name: [] for name in ("", *targets)}
    for _ in range(ROUNDS):
        for name, target in {"": alone, **targets}.items():
            print(f"  latency: {name or 'the upstream alone'}", file=sys.stderr)
            taken[name] += asyncio.run(latencies_ms(target, max(100, target.whole // ROUNDS)))
    for name in targets:
        ours = name.startswith("Bailiwick")
        for what, goal in ADDED_MS.items():
            share = 0.5 if what == "median" else 0.99
            added = _quantile(taken[name], share) - _quantile(taken[""], share)
            yield record(
                f"added to a request at rest, {what}: {name}",
                round(added, 3),
                "ms",
                better="lower",
                goal=goal if ours else None,
                peer="the upstream alone",
                peer_value=round(_quantile(taken[""], share), 3),
            )
        rate = 1e3 / statistics.fmean(taken[name])
        yield record(f"one client that waits for each answer: {name}", round(rate), "requests/s", better="higher")


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * len(values))]


def _figures(targets: dict[str, Target]) -> Iterator[dict[str, Any]]:
    for stream in (False, True):
        what = f"stream of {CHUNKS} events" if stream else "request"
        for connections in CONNECTIONS:
            measured = {}
            for name, target in targets.items():
                print(f"  {what}, {connections} connections: {name}", file=sys.stderr)
                measured[name] = us_per_request(target, connections, stream=stream)
            for name, value in measured.items():
                ours = name.startswith("Bailiwick")
                other = next((each for each in measured if not each.startswith(("Bailiwick", "the "))), None)
                yield record(
                    f"CPU per {what}, {connections} connections: {name}",
                    value,
                    "us",
                    better="lower",
                    goal=GOALS[stream] if ours else None,
                    peer=other if ours else None,
                    peer_value=measured[other] if ours and other else None,
                    runs=RUNS,
                )


def _memory(targets: dict[str, Target]) -> Iterator[dict[str, Any]]:
    for name, target in targets.items():
        yield record(f"memory after the load: {name}", resident_mib(target.pid), "MiB", better="lower")


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="send a tenth, publish nothing")
    arguments = parser.parse_args()
    found = run(arguments.quick)
    if arguments.quick:
        from benchmarks.records import show

        show("gateway-peers", found)
    else:
        publish("gateway-peers", found)


if __name__ == "__main__":
    main()
