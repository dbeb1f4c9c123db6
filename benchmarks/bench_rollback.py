"""Automatic rollback: how often it takes back a version that is no worse, and how soon one that is.

Accuracy by feedback, 0.9 before over 500 judged answers; a look after every 5 more, up to 1,000 of the new version.
Each line is one rule with its defaults, over 200 simulated deployments.
"""

from __future__ import annotations

from statistics import median
from typing import Any

import numpy as np

from bailiwick.delivery.degradation import Observed, Rate, RollbackEvidence, Tolerances, degraded
from benchmarks.records import publish, record

BEFORE, USUAL, LOOK_EVERY, LONGEST = 500, 0.9, 5, 1_000
RUNS = 200
DROPS = {"no worse": 0.0, "down 5 points": 0.05, "down 15 points": 0.15, "down 50 points": 0.5}


def taken_back_at(drop: float, tolerances: Tolerances, generator: np.random.Generator) -> int | None:
    """After how many judged answers of the new version; None: never."""
    before = Rate(float(generator.binomial(BEFORE, USUAL)), BEFORE)
    right = np.cumsum(generator.random(LONGEST) < USUAL - drop)
    for seen in range(LOOK_EVERY, LONGEST + 1, LOOK_EVERY):
        now = Rate(float(right[seen - 1]), seen)
        if degraded(Observed(correct=before), Observed(correct=now), tolerances):
            return seen
    return None


def run() -> list[dict[str, Any]]:
    """Simulate; one record per rule and harm, and how soon."""
    rules = {
        "thresholds, 50 samples": Tolerances(evidence=RollbackEvidence.THRESHOLDS),
        "thresholds, 400 samples": Tolerances(evidence=RollbackEvidence.THRESHOLDS, samples=400),
        "sequential": Tolerances(evidence=RollbackEvidence.SEQUENTIAL),
        "either (the default)": Tolerances(),
    }
    return [
        made
        for name, rule in rules.items()
        for harm, drop in DROPS.items()
        for made in _figures(name, rule, harm, drop)
    ]


def _figures(name: str, tolerances: Tolerances, harm: str, drop: float) -> list[dict[str, Any]]:
    generator = np.random.default_rng(20261123)
    ends = [taken_back_at(drop, tolerances, generator) for _ in range(RUNS)]
    back = [end for end in ends if end is not None]
    title = f"{name}: {harm}: taken back"
    found = [record(title, 100 * len(back) / RUNS, "%", better="higher" if drop else "lower", runs=RUNS)]
    if back and drop:
        found.append(record(f"{title} after", float(median(back)), "answers", better="lower", runs=RUNS))
    return found


if __name__ == "__main__":
    publish("rollback", run())
