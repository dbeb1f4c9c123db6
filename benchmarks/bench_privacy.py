"""`make bench-privacy`: accounting, speed of releases, the ledger, and private training, in one table."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from benchmarks.records import publish

PARTS = ("mechanisms", "ledger", "training")


def run() -> list[dict[str, Any]]:
    """The records of every part, in order."""
    records: list[dict[str, Any]] = []
    for part in PARTS:
        print(f"Measuring {part} ...", file=sys.stderr)
        records += importlib.import_module(f"benchmarks.bench_privacy_{part}").run()
    return records


if __name__ == "__main__":
    publish("privacy", run())
