"""`make bench-experiments`: assignment, statistics, their error rates, and A/A experiments through the real thing.

``--quick`` repeats each simulation a tenth as often; ``--peer-python`` names an interpreter that has the peers.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
from typing import Any

from benchmarks import experiment_replay
from benchmarks.records import publish

PARTS = (
    "bench_assignment",
    "bench_statistics_fixed",
    "bench_statistics_sequential",
    "simulations.fixed_horizon",
    "simulations.sequential",
    "simulations.adaptive",
)


def run(*, quick: bool = False, peer_python: str | None = None) -> list[dict[str, Any]]:
    """The records of every part, in order.

    Args:
        quick: a tenth of the repetitions.
        peer_python: an interpreter whose environment holds the peers, for the parts that take one.
    """
    found: list[dict[str, Any]] = []
    for part in PARTS:
        print(f"Measuring {part} ...", file=sys.stderr)
        measure = importlib.import_module(f"benchmarks.{part}").records
        takes = inspect.signature(measure).parameters
        given: dict[str, Any] = {"peer_python": peer_python} if "peer_python" in takes else {}
        if quick and "repetitions" in takes:
            given["repetitions"] = takes["repetitions"].default // 10
        found += measure(**given)
    print("Replaying A/A experiments ...", file=sys.stderr)
    return found + experiment_replay.run(experiments=100 if quick else 1_000)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the repetitions")
    parser.add_argument("--peer-python", help="an interpreter that has the peers")
    arguments = parser.parse_args()
    publish("experiments", run(quick=arguments.quick, peer_python=arguments.peer_python))
