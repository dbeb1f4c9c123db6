"""Fixed-horizon analyses per CPU second, each beside scipy or statsmodels in the same run.

gbstats needs an environment of its own: ``--peer-python /path/to/bin/python`` names one that has it, and
`benchmarks.peers` makes one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.proportion import test_proportions_2indep as two_shares
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from bailiwick.statistics.dunnett import dunnett
from bailiwick.statistics.exact_proportions import boschloo_exact
from bailiwick.statistics.mann_whitney import mann_whitney
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.power import Design, Metric, sample_size
from bailiwick.statistics.proportions import Share, score_test
from bailiwick.statistics.welch import estimate_arms, welch, welch_many
from benchmarks.peers import measured_by_gbstats
from benchmarks.records import publish, record

PAIRS = 100_000
RUNS = 5


def run(peer_python: str | None = None) -> list[dict[str, Any]]:
    """Every figure, in CPU microseconds per analysis."""
    generator = np.random.default_rng(1)
    x, y = generator.normal(10, 3, 5_000), generator.normal(10.1, 3, 5_000)
    control, treatment = UnitMoments.of(x), UnitMoments.of(y)
    listed = [
        _figure("Welch: p-value, intervals of difference and lift", lambda: welch(control, treatment), 2_000, 10.0,
                "scipy ttest_ind_from_stats, p-value only", lambda: _scipy_welch(x, y), 500),
        _figure("Welch: p-value, intervals of difference and lift", lambda: welch(control, treatment), 2_000, 10.0,
                "statsmodels CompareMeans, raw values", lambda: _statsmodels_welch(x, y), 50),
        *_vectorised(),
        _figure("score test: p-value, intervals of difference and lift",
                lambda: score_test(Share(100, 1000), Share(120, 1000)), 300, None,
                "statsmodels proportions_2indep, score, no lift", _statsmodels_score, 20),
        _figure("Dunnett: 3 treatments, p-values and intervals",
                lambda: dunnett(control, [treatment, control, treatment], pooled=True), 20, None,
                "scipy dunnett, p-values and intervals", lambda: _scipy_dunnett(x, y), 2),
        _figure("Boschloo: 40 and 50 units", lambda: boschloo_exact(Share(10, 40), Share(22, 50)), 5, None,
                "scipy boschloo_exact", lambda: stats.boschloo_exact([[22, 10], [28, 30]]), 2),
        _figure("Mann-Whitney: 2 x 5,000 values, with shift and interval", lambda: mann_whitney(x, y), 5, None,
                "scipy mannwhitneyu, p-value only", lambda: stats.mannwhitneyu(y, x), 5),
        _figure("sample size for a mean", lambda: sample_size(Design(Metric(0.0, 1.0)), 0.05), 50, None,
                "statsmodels solve_power", lambda: TTestIndPower().solve_power(0.05, alpha=0.05, power=0.8), 10),
    ]  # fmt: skip
    return listed + ([_beside_gbstats(peer_python, listed[0]["value"])] if peer_python else [])


def _figure(
    name: str,
    own: Callable[[], object],
    times: int,
    goal: float | None,
    peer: str,
    other: Callable[[], object],
    few: int,
) -> dict[str, Any]:
    return record(
        name, _microseconds(own, times), "CPU us", better="lower", goal=goal,
        peer=peer, peer_value=_microseconds(other, few), runs=RUNS,
    )  # fmt: skip


def _microseconds(call: Callable[[], object], times: int) -> float:
    """Median CPU time of a call over runs of so many calls."""
    call()
    found = []
    for _ in range(RUNS):
        start = time.process_time()
        for _ in range(times):
            call()
        found.append((time.process_time() - start) / times)
    return round(1e6 * statistics.median(found), 3)


def _vectorised() -> list[dict[str, Any]]:
    """All pairs of a large fleet in one call."""
    generator = np.random.default_rng(2)
    moments = np.zeros((2 * PAIRS, 10))
    moments[:, 0] = moments[:, 2] = moments[:, 5] = generator.integers(50, 5_000, 2 * PAIRS)
    moments[:, 1] = moments[:, 7] = moments[:, 0] * generator.normal(10, 0.1, 2 * PAIRS)
    moments[:, 4] = moments[:, 1] ** 2 / moments[:, 0] + 9 * (moments[:, 0] - 1)

    def own() -> object:
        return welch_many(estimate_arms(moments[:PAIRS]), estimate_arms(moments[PAIRS:]))

    def peer() -> object:
        mean, units = moments[:, 1] / moments[:, 0], moments[:, 0]
        spread = np.full(PAIRS, 3.0)
        return stats.ttest_ind_from_stats(
            mean[:PAIRS], spread, units[:PAIRS], mean[PAIRS:], spread, units[PAIRS:], equal_var=False
        )

    return [
        record(
            f"Welch: {PAIRS:,} pairs in one call, each", _microseconds(own, 1) / PAIRS, "CPU us", better="lower",
            goal=5.0, peer="scipy ttest_ind_from_stats, p-values only", peer_value=_microseconds(peer, 1) / PAIRS,
            runs=RUNS,
        )
    ]  # fmt: skip


def _scipy_welch(x: Any, y: Any) -> object:
    return stats.ttest_ind_from_stats(10.1, 3.0, len(y), 10.0, 3.0, len(x), equal_var=False)


def _statsmodels_welch(x: Any, y: Any) -> object:
    compared = CompareMeans(DescrStatsW(y), DescrStatsW(x))
    return compared.ttest_ind(usevar="unequal"), compared.tconfint_diff(usevar="unequal")


def _statsmodels_score() -> object:
    counts = (120, 1000, 100, 1000)
    return two_shares(*counts, method="score"), confint_proportions_2indep(*counts, method="score", compare="diff")


def _scipy_dunnett(x: Any, y: Any) -> object:
    found = stats.dunnett(y, x, y, control=x, rng=np.random.default_rng(0))
    return found.pvalue, found.confidence_interval()


def _beside_gbstats(peer_python: str, own: float) -> dict[str, Any]:
    return record(
        "Welch: p-value, intervals of difference and lift", own, "CPU us", better="lower", goal=10.0,
        peer="gbstats 0.8.0, Welch", peer_value=measured_by_gbstats(peer_python)["welch"], runs=RUNS,
    )  # fmt: skip


def records(peer_python: str | None = None) -> list[dict[str, Any]]:
    """As `run`, for those who collect all records of the experiments' statistics."""
    return run(peer_python)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", help="an interpreter that has gbstats")
    publish("statistics_fixed", run(parser.parse_args().peer_python))
