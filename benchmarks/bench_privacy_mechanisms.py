"""Private mechanisms: composition beside naive and advanced, and releases per second beside OpenDP one by one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bailiwick.privacy.accounting.filter import AdaptiveFilter
from bailiwick.privacy.accounting.plan import FixedPlan
from bailiwick.privacy.accounting.steps import Laplace
from bailiwick.privacy.mechanisms.counts import STEPS_PER_ROW, noisy_counts
from bailiwick.privacy.mechanisms.noise import opendp
from benchmarks.records import publish, record

DELTA = 1e-6
COUNTS = 50_000
ONE_BY_ONE = 2_000
RUNS = 5


def run() -> list[dict[str, Any]]:
    """Every figure, as records."""
    return [*composition(), *speed()]


def composition() -> list[dict[str, Any]]:
    """100 Laplace queries at epsilon 0.1, delta 1e-6: ours beside the sum and advanced composition."""
    plan = FixedPlan.of((Laplace(0.1, STEPS_PER_ROW), 100))
    found = plan.bounds(DELTA)
    kept = AdaptiveFilter.of(0.5)
    for _ in range(100):
        kept = kept.after(Laplace(0.1, STEPS_PER_ROW))
    name, unit = "100 counts at epsilon 0.1, delta 1e-6", "epsilon"
    fixed, advanced = plan.epsilon(DELTA), "advanced composition (DRV10)"
    return [
        record(f"{name}: fixed plan", fixed, unit, better="lower", goal=4.70, peer="naive", peer_value=found["naive"]),
        record(
            f"{name}: fixed plan", fixed, unit, better="lower", goal=4.70, peer=advanced, peer_value=found["advanced"]
        ),
        record(
            f"{name}: adaptive filter",
            kept.epsilon(DELTA),
            unit,
            better="lower",
            goal=5.76,
            peer=advanced,
            peer_value=found["advanced"],
        ),
    ]


def speed() -> list[dict[str, Any]]:
    """Noisy counts per CPU second: one vector, beside OpenDP called once per count with its measurement ready made."""
    library = opendp()
    space = library.domains.atom_domain(T="i64"), library.metrics.absolute_distance(T="i64")
    measurement = library.measurements.make_laplace(*space, scale=10.0)
    exact = np.arange(COUNTS, dtype=np.int64)
    few = [int(value) for value in exact[:ONE_BY_ONE]]
    noisy_counts(exact[:10], 1, 0.1)
    ours = COUNTS / cpu_seconds(lambda: noisy_counts(exact, 1, 0.1))
    theirs = ONE_BY_ONE / cpu_seconds(lambda: [measurement(value) for value in few])
    return [
        record(
            "noisy counts in one release",
            ours,
            "counts per CPU second",
            better="higher",
            goal=10 * theirs,
            peer="OpenDP, one call per count",
            peer_value=theirs,
            runs=RUNS,
        )
    ]


def cpu_seconds(task: Callable[[], Any]) -> float:
    """The median of several runs."""
    spent = []
    for _ in range(RUNS):
        begin = time.process_time()
        task()
        spent.append(time.process_time() - begin)
    return statistics.median(spent)


if __name__ == "__main__":
    publish("privacy_mechanisms", run())
