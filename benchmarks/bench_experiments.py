"""`make bench-experiments`: assignment, statistics, their error rates, and A/A experiments through the real thing.

``--quick`` repeats each simulation a tenth as often; ``--replay`` measures only the last part, and keeps what was
published of the others. The peers run in an environment of their own, made by `benchmarks.peers`, or in that of
``--peer-python``, or not at all with ``--without-peers``.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from benchmarks import experiment_replay
from benchmarks.peers import environment
from benchmarks.records import RESULTS, publish

TIMED = ("bench_assignment", "bench_statistics_fixed", "bench_statistics_sequential")
"""One after the other: they measure time."""
SIMULATED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("simulations.sequential", {"only": 0}),
    ("simulations.sequential", {"only": 1}),
    ("simulations.sequential", {"only": 2}),
    ("simulations.sequential", {"only": 3}),
    ("simulations.sequential", {"only": 4}),
    ("simulations.sequential", {"only": 5}),
    ("simulations.sequential", {"only": 6}),
    ("simulations.uneven", {}),
    ("simulations.fixed_horizon", {}),
    ("simulations.adaptive", {}),
)
"""Beside each other, each with a seed of its own: they count."""


def run(*, quick: bool = False, peer_python: str | None = None, jobs: int | None = None) -> list[dict[str, Any]]:
    """The records of every part, in order.

    Args:
        quick: a tenth of the repetitions.
        peer_python: an interpreter whose environment holds the peers, for the parts that take one.
        jobs: simulations at once; one per core where left out.
    """
    found: list[dict[str, Any]] = []
    for part in TIMED:
        print(f"Measuring {part} ...", file=sys.stderr)
        measure = importlib.import_module(f"benchmarks.{part}").records
        found += [{**row, "part": part} for row in measure(peer_python)]
    with ProcessPoolExecutor(jobs or os.cpu_count()) as pool:
        simulated = [pool.submit(_simulate, part, dict(given), quick) for part, given in SIMULATED]
        for (part, given), future in zip(SIMULATED, simulated, strict=True):
            found += future.result()
            print(f"Counted {part} {given.get('only', '')}", file=sys.stderr)
    return found + _replayed(100 if quick else 1_000)


def _replayed(experiments: int) -> list[dict[str, Any]]:
    print("Replaying A/A experiments ...", file=sys.stderr)
    return [{**row, "part": "experiment_replay"} for row in experiment_replay.run(experiments=experiments)]


def _again() -> list[dict[str, Any]]:
    """What was published, with the last part measured again."""
    published = json.loads((RESULTS / "experiments.json").read_text("utf-8"))["records"]
    return [row for row in published if row["part"] != "experiment_replay"] + _replayed(1_000)


def _simulate(part: str, given: dict[str, Any], quick: bool) -> list[dict[str, Any]]:
    measure = importlib.import_module(f"benchmarks.{part}").records
    if quick:
        given["repetitions"] = inspect.signature(measure).parameters["repetitions"].default // 10
    return [{**row, "part": part} for row in measure(**given)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the repetitions")
    parser.add_argument("--replay", action="store_true", help="measure the last part again, keep the others' figures")
    parser.add_argument("--peer-python", help="an interpreter that has the peers")
    parser.add_argument("--without-peers", action="store_true", help="measure ours alone")
    parser.add_argument("--jobs", type=int, help="simulations at once; one per core where left out")
    arguments = parser.parse_args()
    if arguments.replay:
        publish("experiments", _again())
        raise SystemExit
    interpreter = None if arguments.without_peers else arguments.peer_python or environment()
    records = run(quick=arguments.quick, peer_python=interpreter, jobs=arguments.jobs)
    # a quick run must not take the place of the figures that the docs rest on
    publish("experiments_quick" if arguments.quick else "experiments", records)
