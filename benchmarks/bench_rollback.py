"""Automatic rollback: how often it takes back a version that is no worse, and how soon one that is.

Accuracy by feedback, 0.9 before over 500 judged answers; a look after every 5 more, up to 1,000 of the new version. Each
line is one rule with its defaults; ``--runs`` sets how many deployments are simulated for each.
"""

from __future__ import annotations

import argparse
from statistics import median

import numpy as np
from records import publish, record

from bailiwick.delivery.degradation import Observed, Rate, RollbackEvidence, Tolerances, degraded

BEFORE, USUAL, LOOK_EVERY, LONGEST = 500, 0.9, 5, 1_000
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


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    rules = {
        "thresholds, 50 samples": Tolerances(evidence=RollbackEvidence.THRESHOLDS),
        "thresholds, 400 samples": Tolerances(evidence=RollbackEvidence.THRESHOLDS, samples=400),
        "sequential": Tolerances(evidence=RollbackEvidence.SEQUENTIAL),
        "either (the default)": Tolerances(),
    }
    found = []
    for name, tolerances in rules.items():
        for harm, drop in DROPS.items():
            generator = np.random.default_rng(20261123)
            ends = [taken_back_at(drop, tolerances, generator) for _ in range(runs)]
            back = [end for end in ends if end is not None]
            better = "higher" if drop else "lower"
            found.append(record(f"{name}: {harm}: taken back", 100 * len(back) / runs, "%", better=better, runs=runs))  # type: ignore[arg-type]
            if back and drop:
                value = float(median(back))
                found.append(
                    record(f"{name}: {harm}: judged answers until then", value, "answers", better="lower", runs=runs)
                )
    publish("rollback", found)


if __name__ == "__main__":
    main()
