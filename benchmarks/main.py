"""`make bench-main`: the figures of the main job, stage by stage."""

from __future__ import annotations

import importlib
import sys

from benchmarks.records import publish

STAGES = ("extraction", "graph", "detection", "training", "gateway")


def main(stages: list[str]) -> None:
    """Measure the named stages (default: all) and publish them as ``main``, or under the stages' own names."""
    records = []
    for stage in stages or STAGES:
        print(f"Measuring {stage} ...", file=sys.stderr)
        records += importlib.import_module(f"benchmarks.bench_{stage}").run()
    publish("main" if not stages else "-".join(stages), records)


if __name__ == "__main__":
    main(sys.argv[1:])
