"""How often the watched statistics are wrong, and how much they find: every promise of `docs/experiments.md`, counted.

`records` runs every cell with as many repetitions as asked; the suite runs few, `make bench-experiments` 10,000.
Comparisons are looked at after every event, unless a name says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bailiwick.statistics.bernoulli_sequence import log_common_rate
from bailiwick.statistics.betting import log_capital
from bailiwick.statistics.closed_testing import closed_mean
from bailiwick.statistics.error_counts import log_e_value_more
from bailiwick.statistics.group_sequential import boundaries, crossing_probability
from bailiwick.statistics.normal_mixture import log_e_value_above, mixture_precision
from bailiwick.statistics.quantile_sequence import Empirical, compare_quantiles
from bailiwick.statistics.sample_ratio import log_multinomial_e_value
from bailiwick.statistics.score import Support
from benchmarks.records import record
from benchmarks.simulations.populations import (
    Population,
    bernoulli,
    clustered_ratio,
    latency,
    normal,
    zero_inflated_cost,
)
from benchmarks.simulations.returning import Users, running_sums, self_exciting, steady
from benchmarks.simulations.watching import ArmSums, Flags, Floats, Watched, arrivals, support_of, watched

ALPHA = 0.05
FALSE_VERDICTS = 5.4
FALSE_ALARMS = 0.13
UNITS = 8_000
_CELLS = 500_000


def records(repetitions: int = 10_000, seed: int = 1, only: int | None = None) -> list[dict[str, Any]]:
    """Every cell, as records of the benchmark; rates in per cent.

    Args:
        repetitions: of every cell; costly ones take fewer, each record says how many.
        seed: of the first of `PARTS`; the next one's is one more.
        only: the number of a single part.
    """
    rows: list[dict[str, Any]] = []
    for number, part in enumerate(PARTS):
        if only in (None, number):
            rows += part(np.random.default_rng(seed + number), repetitions)
    return rows


def chunks(repetitions: int, width: int) -> Iterator[int]:
    """Repetitions in parts that fit in memory, where each is as wide as this."""
    size = max(1, _CELLS // width)
    for start in range(0, repetitions, size):
        yield min(size, repetitions - start)


def share_of(hits: int, repetitions: int, name: str, goal: float = FALSE_VERDICTS) -> dict[str, Any]:
    """So many of so many, in per cent, as a record."""
    return record(name, 100 * hits / repetitions, "%", better="lower", goal=goal, runs=repetitions)


def ever(e_values: Floats, alpha: float = ALPHA) -> Flags:
    """Whether a row of logarithms of e-values ever suffices."""
    return np.asarray((e_values >= -math.log(alpha)).any(axis=1))


def false_verdicts(
    generator: np.random.Generator, repetitions: int, population: Population, share: float = 0.5, units: int = UNITS
) -> int:
    """A/A tests that are ever significant, looked at after every unit."""
    hits = 0
    for rows in chunks(repetitions, units):
        arms = arrivals(population, generator, (rows, units), share=share)
        hits += int(ever(watched(*arms, support_of(population), units).log_e_values(ALPHA)).sum())
    return hits


def rare_events(
    generator: np.random.Generator, rows: int, share: float, units: int, looks: int, treated: float = 0.5
) -> tuple[ArmSums, ArmSums]:
    """Yes-or-no units at a rate so small that looking after each block of units is looking after each event."""
    block = units // looks
    entered = generator.binomial(block, treated, (rows, looks))
    arms = []
    for members in (block - entered, entered):
        events = np.cumsum(generator.binomial(members, share), axis=1).astype(np.float64)
        count = np.cumsum(members, axis=1).astype(np.float64)
        arms.append(ArmSums(count, events, count, events, count, events))
    return arms[0], arms[1]


def _watched_alone(generator: np.random.Generator, repetitions: int) -> list[dict[str, Any]]:
    """A/A tests of every population, also with one treated unit in ten."""
    rows = []
    for population in (normal(), bernoulli(0.02), bernoulli(0.5), latency(), zero_inflated_cost(), clustered_ratio()):
        hits = false_verdicts(generator, repetitions, population)
        rows.append(share_of(hits, repetitions, f"A/A ever significant, {population.name}"))
    for population in (latency(sigma=1.5), zero_inflated_cost()):
        hits = false_verdicts(generator, repetitions, population, share=0.1)
        rows.append(share_of(hits, repetitions, f"A/A ever significant, 90/10, {population.name}"))
    hits = sum(int(ever(_rarely(generator, size).log_e_values(ALPHA)).sum()) for size in chunks(repetitions, 5_000))
    rows.append(share_of(hits, repetitions, "A/A ever significant, Bernoulli 0.001"))
    return rows


def _rarely(generator: np.random.Generator, rows: int) -> Watched:
    return watched(*rare_events(generator, rows, 0.001, 300_000, 5_000), Support.BINARY, 300_000)


def returning_false_verdicts(
    generator: np.random.Generator,
    repetitions: int,
    senders: Callable[[int], Users],
    effect: float,
    share: float = 0.5,
    requests: int = 4_000,
) -> int:
    """A/A tests over users who return, whose values share the user's own level as far as ``effect`` says."""
    hits = 0
    for size in chunks(repetitions, requests):
        user = senders(size)
        users = int(user.max()) + 1
        treated = np.take_along_axis(generator.random((size, users)) < share, user, axis=1)
        level = np.take_along_axis(generator.normal(10, effect, (size, users)), user, axis=1)
        value = level + generator.normal(0, 1, user.shape)
        process = watched(*running_sums(user, treated, value), Support.REAL, users)
        hits += int(ever(process.log_e_values(ALPHA)).sum())
    return hits


def _returning(generator: np.random.Generator, repetitions: int) -> list[dict[str, Any]]:
    requests = 4_000
    cells: tuple[tuple[str, Callable[[int], Users], float], ...] = (
        ("returning users, steady", lambda size: steady(generator, (size, requests), 1_500, 0.7), 1.0),
        ("returning users, independent requests", lambda size: steady(generator, (size, requests), 1_500, 0.7), 0.0),
        ("returning users, ever heavier", lambda size: self_exciting(generator, (size, requests), 0.7), 0.3),
    )
    rows = []
    for name, senders, effect in cells:
        hits = returning_false_verdicts(generator, repetitions, senders, effect)
        rows.append(share_of(hits, repetitions, f"A/A ever significant, {name}"))
    return rows


def lift_ever_missed(generator: np.random.Generator, repetitions: int, population: Population, lift: float) -> int:
    """Comparisons whose interval of the lift ever leaves the true lift out."""
    missed = 0
    for size in chunks(repetitions, UNITS):
        process = watched(*arrivals(population, generator, (size, UNITS), lift), support_of(population), UNITS)
        with np.errstate(divide="ignore", invalid="ignore"):
            # Fieller's test of this lift; the control's covariance with the difference is minus its variance
            variance = 1 / process.information + (2 * lift + lift * lift) * process.control_variance
            z = (process.difference - lift * process.control) / np.sqrt(variance)
        missed += int((process.counted & (np.abs(z) > process.boundary(ALPHA))).any(axis=1).sum())
    return missed


def _coverage(generator: np.random.Generator, repetitions: int) -> list[dict[str, Any]]:
    rows = []
    for population in (normal(), bernoulli(0.02), latency(), clustered_ratio()):
        missed = lift_ever_missed(generator, repetitions, population, 0.1)
        rows.append(share_of(missed, repetitions, f"interval of a 10 % lift ever wrong, {population.name}"))
    return rows


def _exact(generator: np.random.Generator, repetitions: int) -> list[dict[str, Any]]:
    """The sequences that need no burn-in, from the first event on."""
    rows = []
    for share in (0.01, 0.5):
        treated = np.cumsum(generator.random((repetitions, 300)) < share, axis=1)
        e_values = log_e_value_more(np.arange(1, 301) - treated, treated, share)
        rows.append(share_of(int(ever(e_values).sum()), repetitions, f"errors ever worse, A/A, {share:.0%} treated"))
    missed = 0
    for _ in range(repetitions):
        missed += bool((log_capital(generator.beta(8, 2, 400), [0.8]) >= -math.log(ALPHA)).any())
    rows.append(share_of(missed, repetitions, "betting interval ever wrong, judges' scores"))
    few = max(50, repetitions // 5)
    looks = np.unique(np.geomspace(20, 1_500, 15).astype(int))
    quantiles = rates = 0
    for _ in range(few):
        values = generator.lognormal(5, 1, (2, looks[-1]))
        yes = np.cumsum(generator.random((2, looks[-1])) < 0.02, axis=1)
        quantiles += any(
            compare_quantiles(Empirical.of(values[0, :n]), Empirical.of(values[1, :n]), 0.95, 1_000).p_value <= ALPHA
            for n in looks
        )
        rates += any(log_common_rate((yes[0, n - 1], n), (yes[1, n - 1], n)) >= -math.log(ALPHA) for n in looks)
    rows.append(share_of(quantiles, few, "p95 latency ever different, A/A, 15 looks"))
    rows.append(share_of(rates, few, "exact rates ever different, A/A, 15 looks"))
    return rows


def family(
    generator: np.random.Generator, rows: int, treatments: int, lifts: Floats, looks: int = 100
) -> tuple[Floats, Floats]:
    """E-values of treatments against one control at geometric looks: raw, and adjusted by closed testing.

    Returns:
        Both of shape ``(rows, looks, treatments)``.
    """
    ends = np.unique(np.geomspace(300, 5_000, looks).astype(int))
    steps = np.diff(ends, prepend=0)
    shares = 0.2 * np.concatenate([[1.0], 1 + lifts])
    events = np.cumsum(generator.binomial(steps, shares[:, None, None], (treatments + 1, rows, len(ends))), axis=2)
    units = np.broadcast_to(ends.astype(np.float64), events.shape[1:])
    arms = [ArmSums(units, arm, units, arm, units, arm) for arm in events.astype(np.float64)]
    logs = [watched(arms[0], arm, Support.BINARY, 10_000).log_e_values(ALPHA) for arm in arms[1:]]
    raw = np.exp(np.minimum(np.stack(logs, axis=2), 700))
    return raw, closed_mean(raw)


def _families(generator: np.random.Generator, repetitions: int) -> list[dict[str, Any]]:
    rows = []
    for treatments in (3, 5, 10):
        for name, true in (("no effect", 0), ("one true effect", 1)):
            lifts = np.where(np.arange(treatments) < true, 0.15, 0.0)
            false = 0
            for size in chunks(repetitions, 100 * treatments):
                adjusted = family(generator, size, treatments, lifts)[1]
                false += int((adjusted[:, :, true:] >= 1 / ALPHA).any(axis=(1, 2)).sum())
            rows.append(share_of(false, repetitions, f"any false verdict, {treatments} variants, {name}, 100 looks"))
    few = min(repetitions, 2_000)
    raw, adjusted = family(generator, few, 3, np.full(3, 0.15))
    rows.append(
        record(
            "power, 3 variants with true effects: closed testing",
            100 * float((adjusted >= 1 / ALPHA).any(axis=1).mean()),
            "%",
            better="higher",
            peer="Bonferroni on e-values",
            peer_value=100 * float((raw >= 3 / ALPHA).any(axis=1).mean()),
            runs=few,
        )
    )
    return rows


def ratio_alarms(
    generator: np.random.Generator, repetitions: int, weights: tuple[float, ...], shares: tuple[float, ...]
) -> int:
    """Runs of 20,000 units with an alarm at 0.001 at any of 1,000 looks."""
    alarms = 0
    for size in chunks(repetitions, 1_000 * len(weights)):
        counts = np.cumsum(generator.multinomial(20, shares, (size, 1_000)), axis=1)
        alarms += int(ever(log_multinomial_e_value(counts, weights) + math.log(2 / 3), 0.001).sum())
    return alarms


def _shares(generator: np.random.Generator, repetitions: int) -> list[dict[str, Any]]:
    rows = []
    for name, weights in (
        ("50/50", (0.5, 0.5)),
        ("90/10", (0.9, 0.1)),
        ("99/1", (0.99, 0.01)),
        ("4 arms", (0.25,) * 4),
    ):
        alarms = ratio_alarms(generator, repetitions, weights, weights)
        rows.append(share_of(alarms, repetitions, f"sample ratio false alarms, {name}", FALSE_ALARMS))
    few = min(repetitions, 2_000)
    found = 100 * ratio_alarms(generator, few, (0.5, 0.5), (0.48, 0.52)) / few
    rows.append(record("sample ratio 48/52 found in 20,000 units", found, "%", better="higher", goal=90, runs=few))
    found = 100 * ratio_alarms(generator, few, (0.99, 0.01), (0.993, 0.007)) / few
    rows.append(record("sample ratio 99/1, 30 % of the canary lost, found", found, "%", better="higher", runs=few))
    return rows


def watched_power(generator: np.random.Generator, repetitions: int, times: float, units: int) -> tuple[float, float]:
    """Share of tests that find ``times`` the effect of 80 % fixed power, and mean units used over planned units."""
    effect = times * (1.959964 + 0.841621) * math.sqrt(4 / units)
    population = normal(1.0, 1.0)
    found, used = 0, 0.0
    for size in chunks(repetitions, units):
        arms = arrivals(population, generator, (size, units), lift=effect)
        e_values = watched(*arms, Support.REAL, units).log_e_values(ALPHA)
        hits = e_values >= -math.log(ALPHA)
        hit = hits.any(axis=1)
        found += int(hit.sum())
        used += float(np.where(hit, hits.argmax(axis=1), units).sum())
    return 100 * found / repetitions, 100 * used / repetitions / units


def _power(generator: np.random.Generator, repetitions: int) -> list[dict[str, Any]]:
    few = min(repetitions, 2_000)
    once, _ = watched_power(generator, few, 1.0, 20_000)
    twice, used = watched_power(generator, few, 2.0, 20_000)
    looks = boundaries([look / 14 for look in range(1, 15)])
    scheduled = 100 * crossing_probability(looks.times, looks.z, 1.959964 + 0.841621)
    return [
        record("power at the planned effect, watched", once, "%", better="higher", goal=50, runs=few),
        record("power at twice the planned effect, watched", twice, "%", better="higher", goal=99, runs=few),
        record("units used at twice the planned effect, of the plan", used, "%", better="lower", goal=35, runs=few),
        record("power of 14 scheduled looks, of one look's 80 %", scheduled / 0.8, "%", better="higher", goal=97),
        share_of(_harmed_at_the_margin(generator, repetitions), repetitions, "guardrail ever harmed, at its margin"),
    ]


def _harmed_at_the_margin(generator: np.random.Generator, repetitions: int) -> int:
    """Treatments exactly at the margin that are ever called worse than it."""
    hits = 0
    for size in chunks(repetitions, UNITS):
        process = watched(*arrivals(normal(1.0, 1.0), generator, (size, UNITS), lift=-0.1), Support.REAL, UNITS)
        rho = mixture_precision(1.0, ALPHA, one_sided=True) * process.planned_information[:, None]
        s = -(process.difference + 0.1) * np.sqrt(process.information * process.clock)
        hits += int(ever(np.where(process.counted, log_e_value_above(s, process.clock, rho), 0.0)).sum())
    return hits


PARTS = (_watched_alone, _returning, _coverage, _exact, _families, _shares, _power)
"""Each with a seed of its own, so that one can be run again alone."""
