"""`make bench-statistics_sequential`: what a look costs, and how often the watched statistics are wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from bailiwick.statistics.closed_testing import closed_mean
from bailiwick.statistics.confidence_sequence import Tuning, Watch, compare
from bailiwick.statistics.group_sequential import boundaries
from bailiwick.statistics.guardrail import Margin, guard
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.quantile_sequence import Empirical, compare_quantiles
from bailiwick.statistics.sample_ratio import sample_ratio
from bailiwick.statistics.score import Support
from benchmarks.peers import measured_by_gbstats
from benchmarks.records import record
from benchmarks.simulations import sequential, uneven

_RUNS = 7


def records(peer_python: str | None = None) -> list[dict[str, Any]]:
    """Cost of one look from moments, in microseconds of CPU time.

    Args:
        peer_python: an interpreter that has gbstats, whose `process_analysis` then does the same in the same run.
    """
    peer = measured_by_gbstats(peer_python)["analysis"] if peer_python else None
    generator = np.random.default_rng(1)
    rows = []
    for units in (1_000, 1_000_000):
        arms = [UnitMoments.of(generator.normal(10, 3, units), covariates=generator.normal(size=units)) for _ in "abcd"]
        control, tuning, state = arms[0], Tuning(planned_units=4 * units), Watch()

        def analysis(
            arms: list[UnitMoments] = arms,
            control: UnitMoments = control,
            tuning: Tuning = tuning,
            state: Watch = state,
        ) -> None:
            closed_mean([compare([control], [arm], tuning, state).e_value for arm in arms[1:]])

        rows.append(
            _cost(
                f"sequential analysis, 4 arms, {units:,} units each",
                analysis,
                goal=100,
                peer="gbstats 0.8.0 process_analysis" if peer else None,
                peer_value=peer,
            )
        )
    guarded = Tuning(planned_units=4_000, support=Support.REAL)
    rows.append(_cost("guardrail, one look", lambda: guard([arms[0]], [arms[1]], guarded, Margin(0.02))))
    rows.append(_cost("sample ratio, 4 arms, one look", lambda: sample_ratio([((250, 240, 260, 251), (1, 1, 1, 1))])))
    latencies = [Empirical.of(np.round(generator.lognormal(5, 1, 100_000))) for _ in "ab"]
    rows.append(
        _cost("p95 of two arms, one look", lambda: compare_quantiles(latencies[0], latencies[1], 0.95, 100_000), 20)
    )
    rows.append(_cost("boundaries of 14 scheduled looks", lambda: boundaries([k / 14 for k in range(1, 15)]), 1))
    return rows


def run() -> list[dict[str, Any]]:
    """The costs, then every simulation with 10,000 repetitions."""
    return records() + sequential.records() + uneven.records()


def _cost(
    name: str,
    action: Callable[[], object],
    times: int = 300,
    *,
    goal: float | None = None,
    peer: str | None = None,
    peer_value: float | None = None,
) -> dict[str, Any]:
    measured = []
    for _ in range(_RUNS):
        start = time.process_time()
        for _ in range(times):
            action()
        measured.append((time.process_time() - start) / times * 1e6)
    return record(name, median(measured), "us", better="lower", goal=goal, peer=peer, peer_value=peer_value, runs=_RUNS)
