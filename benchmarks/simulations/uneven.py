"""Watched tests where they have it hard: canaries of 1 %, weights that change, drifting users, a few true effects.

The same process as in `benchmarks.simulations.sequential`, on what a real fleet does to it. Every comparison is one of
a version with itself, or counts only the verdicts that are false.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from bailiwick.statistics.quantile_sequence import Empirical, compare_quantiles
from bailiwick.statistics.score import Support
from benchmarks.simulations.populations import bernoulli, clustered_ratio, latency, normal
from benchmarks.simulations.returning import self_exciting, steady
from benchmarks.simulations.sequential import (
    ALPHA,
    chunks,
    ever,
    false_verdicts,
    family,
    rare_events,
    returning_false_verdicts,
    share_of,
)
from benchmarks.simulations.watching import arrivals, watched, watched_epochs

RAMP = (0.01, 0.05, 0.1, 0.25, 0.5, 0.5, 0.9)
"""Of a rollout, and back: share of the treatment in one epoch after the other."""


def records(repetitions: int = 2_000, seed: int = 41) -> list[dict[str, Any]]:
    """Every cell, as records of the benchmark; rates in per cent.

    Args:
        repetitions: of every cell.
        seed: of the first part.
    """
    rows: list[dict[str, Any]] = []
    for number, part in enumerate((_canaries, _epochs, _returning, _families, _quantiles)):
        rows += part(np.random.default_rng(seed + number), repetitions)
    return rows


def _canaries(generator: np.random.Generator, repetitions: int) -> list[dict[str, Any]]:
    """One unit in a hundred is treated."""
    rows = []
    for population, units in ((normal(), 40_000), (latency(), 60_000), (clustered_ratio(), 40_000)):
        hits = false_verdicts(generator, repetitions, population, share=0.01, units=units)
        rows.append(share_of(hits, repetitions, f"A/A ever significant, 99/1, {population.name}"))
    for share, units in ((0.02, 400_000), (0.5, 60_000)):
        hits = 0
        for size in chunks(repetitions, 2_000):
            arms = rare_events(generator, size, share, units, 2_000, treated=0.01)
            hits += int(ever(watched(*arms, Support.BINARY, units).log_e_values(ALPHA)).sum())
        rows.append(share_of(hits, repetitions, f"A/A ever significant, 99/1, {bernoulli(share).name}, 2,000 looks"))
    return rows


def ramp_false_verdicts(generator: np.random.Generator, repetitions: int, share: float, epochs: int | None) -> int:
    """A/A tests of yes-or-no units whose rate drifts from epoch to epoch that are ever significant.

    Args:
        generator: of everything.
        repetitions: how many tests.
        share: of successes in the first epoch; in every later one a tenth more of it.
        epochs: of 90/10 that end soon after their burn-in; None for `RAMP`, with as many units in each.
    """
    weights = RAMP if epochs is None else (0.1,) * epochs
    units = [round((30 if epochs else 60) / share / weight) for weight in weights]
    hits = 0
    for size in chunks(repetitions, 200 * len(weights)):
        made = [
            rare_events(generator, size, share * (1 + 0.1 * number), entered, 200, treated=weight)
            for number, (weight, entered) in enumerate(zip(weights, units, strict=True))
        ]
        process = watched_epochs(made, Support.BINARY, float(sum(units)))
        hits += int(ever(process.log_e_values(ALPHA)).sum())
    return hits


def _epochs(generator: np.random.Generator, repetitions: int) -> list[dict[str, Any]]:
    rows = []
    for name, share, epochs in (
        ("ramp 1 to 90 %, drifting rate of 2 %", 0.02, None),
        ("ramp 1 to 90 %, drifting rate of 30 %", 0.3, None),
        ("20 short epochs of 90/10, drifting rate of 2 %", 0.02, 20),
    ):
        hits = ramp_false_verdicts(generator, repetitions, share, epochs)
        rows.append(share_of(hits, repetitions, f"A/A ever significant, {name}"))
    hits = 0
    for size in chunks(repetitions, 10_000):
        made = [
            arrivals(latency(median_ms=120 + 30 * number), generator, (size, 2_500), share=weight)
            for number, weight in enumerate((0.1, 0.25, 0.5, 0.75))
        ]
        hits += int(ever(watched_epochs(made, Support.NON_NEGATIVE, 10_000).log_e_values(ALPHA)).sum())
    rows.append(share_of(hits, repetitions, "A/A ever significant, 4 epochs of other weights, drifting latency"))
    return rows


def _returning(generator: np.random.Generator, repetitions: int) -> list[dict[str, Any]]:
    """Users who come back, one in ten of them treated."""
    requests, rows = 6_000, []
    for name, senders, effect in (
        ("steady", lambda size: steady(generator, (size, requests), 3_000, 0.7), 1.0),
        ("ever heavier", lambda size: self_exciting(generator, (size, requests), 0.7), 0.3),
    ):
        hits = returning_false_verdicts(generator, repetitions, senders, effect, share=0.1, requests=requests)
        rows.append(share_of(hits, repetitions, f"A/A ever significant, 90/10, returning users, {name}"))
    return rows


def _families(generator: np.random.Generator, repetitions: int) -> list[dict[str, Any]]:
    """Half of the variants have an effect, some of them for the worse; only verdicts on the others are false."""
    rows = []
    for treatments, true in ((4, 2), (10, 5), (10, 9)):
        lifts = np.where(np.arange(treatments) < true, np.where(np.arange(treatments) % 2, 0.25, -0.25), 0.0)
        false = 0
        for size in chunks(repetitions, 100 * treatments):
            adjusted = family(generator, size, treatments, lifts)[1]
            false += int((adjusted[:, :, true:] >= 1 / ALPHA).any(axis=(1, 2)).sum())
        rows.append(share_of(false, repetitions, f"any false verdict, {treatments} variants, {true} true effects"))
    return rows


def quantile_false_verdicts(generator: np.random.Generator, repetitions: int, *, clustered: bool) -> int:
    """A/A tests of p95 latency ever significant at 12 looks, where half of a request's latency is its user's own.

    Args:
        generator: of everything.
        repetitions: how many tests.
        clustered: whether the analysis is told how many independent requests there are.
    """
    ends, users = np.unique(np.geomspace(60, 600, 12).astype(int)), 600
    hits = 0
    for _ in range(repetitions):
        requests = 1 + generator.poisson(9, (2, users))
        found = []
        for counts in requests:
            own = np.repeat(generator.normal(0, 0.7, users), counts)
            found.append((counts, np.exp(5 + own + generator.normal(0, 0.7, len(own)))))
        for end in ends:
            arms = []
            for counts, values in found:
                seen = counts[:end]
                worth = float(seen.sum()) ** 2 / float(seen @ seen) if clustered else None
                arms.append(Empirical.of(values[: seen.sum()], worth))
            if compare_quantiles(arms[0], arms[1], 0.95, 1_000).p_value <= ALPHA:
                hits += 1
                break
    return hits


def _quantiles(generator: np.random.Generator, repetitions: int) -> list[dict[str, Any]]:
    few = max(50, repetitions // 4)
    hits = quantile_false_verdicts(generator, few, clustered=True)
    row = share_of(hits, few, "p95 latency ever different, A/A, requests clustered by user, 12 looks")
    row["peer"] = "requests taken as independent"
    row["peer_value"] = 100 * quantile_false_verdicts(generator, few, clustered=False) / few
    return [row]


if __name__ == "__main__":
    for row in records(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000):
        sys.stdout.write(f"{row['name']:80} {row['value']:6.2f} {row['unit']} {row['runs']:7,} runs\n")
