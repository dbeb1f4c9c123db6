"""Routing: regret of learning, off-policy estimates against the truth, two corpora end to end, CPU per decision.

``make bench-routing`` measures everything (about eight CPU minutes) and writes ``results/routing.json``;
``BENCH_FLAGS=--quick`` takes a tenth of the repetitions and writes nothing. ``python -m benchmarks.routing.figures
--write`` puts the figures into the page.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from benchmarks.records import CORPORA, publish, show
from benchmarks.routing import corpora, fleet, speed, truth


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """The records of every part."""
    found = fleet.records(2 if quick else fleet.SEEDS)
    found += truth.records(20 if quick else truth.REPETITIONS)
    found += speed.records()
    if (CORPORA / "hwu64").is_dir() and (CORPORA / "banking77").is_dir():
        found += corpora.records()
    else:
        print(f"  {CORPORA} does not hold hwu64 and banking77: left out", file=sys.stderr)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the repetitions; nothing is written")
    given = parser.parse_args()
    measured = run(quick=given.quick)
    if given.quick:
        show("routing, quick", measured)
    else:
        publish("routing", measured)
