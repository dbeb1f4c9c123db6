"""`make bench-privacy`: accounting, speed of releases, the ledger, and private training, in one table.

With ``--tune`` it chooses the settings of private training instead, on training texts alone; with ``--only PART`` it
measures one part and only prints it: published figures are all of one run, whose date and load they carry.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

from benchmarks.records import publish, show

PARTS = ("mechanisms", "ledger", "training")


def run(only: str | None = None) -> list[dict[str, Any]]:
    """The records of every part, in order, or of one."""
    records: list[dict[str, Any]] = []
    for part in PARTS:
        if only not in (None, part):
            continue
        print(f"Measuring {part} ...", file=sys.stderr)
        records += importlib.import_module(f"benchmarks.bench_privacy_{part}").run()
    return records


def main() -> None:
    """As the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tune", action="store_true", help="choose the settings of private training")
    parser.add_argument("--only", choices=PARTS, help="measure one part, and publish nothing")
    asked = parser.parse_args()
    if asked.tune:
        from benchmarks.bench_privacy_tune import tune

        tune()
    elif asked.only:
        show("privacy", run(asked.only))
    else:
        publish("privacy", run())


if __name__ == "__main__":
    main()
