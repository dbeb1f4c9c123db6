"""`make bench-privacy`: accounting, speed of releases, the ledger, and private training, in one table.

With ``--tune`` it chooses the settings of private training instead, on training texts alone; with ``--only PART`` it
measures one part and keeps the published figures of the others.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from typing import Any

from benchmarks.records import RESULTS, publish

PARTS = ("mechanisms", "ledger", "training")


def run(only: str | None = None) -> list[dict[str, Any]]:
    """The records of every part, in order; of parts that are left out, those published before."""
    records: list[dict[str, Any]] = []
    published = json.loads((RESULTS / "privacy.json").read_text("utf-8"))["records"] if only else []
    for part in PARTS:
        if only not in (None, part):
            continue
        print(f"Measuring {part} ...", file=sys.stderr)
        records += importlib.import_module(f"benchmarks.bench_privacy_{part}").run()
    measured = {each["name"] for each in records}
    return [*(each for each in published if each["name"] not in measured), *records]


def main() -> None:
    """As the command line asks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tune", action="store_true", help="choose the settings of private training")
    parser.add_argument("--only", choices=PARTS, help="measure one part")
    asked = parser.parse_args()
    if asked.tune:
        from benchmarks.bench_privacy_tune import tune

        tune()
    else:
        publish("privacy", run(asked.only))


if __name__ == "__main__":
    main()
