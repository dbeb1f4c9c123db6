"""Simulations of what adapts or believes: bandits, off-policy values, covariates, strata, Bayesian probabilities.

``records(repetitions)`` runs every one of them; `python -m benchmarks.simulations.adaptive` prints them. Bandits
run all at once as arrays, with the formulas of `bailiwick.statistics` themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from bailiwick.statistics.bayesian import compare_arms, rank_arms
from bailiwick.statistics.bayesian_shares import BetaBelief, rank_shares
from bailiwick.statistics.best_of import best_of_normals
from bailiwick.statistics.doubly_robust import half_width, score_sums
from bailiwick.statistics.moments import UnitMoments
from bailiwick.statistics.off_policy import Interval, Logged, doubly_robust, inverse_propensity, self_normalised
from bailiwick.statistics.regression_adjustment import regression_adjusted
from bailiwick.statistics.score import BurnIn
from bailiwick.statistics.stratification import post_stratified
from bailiwick.statistics.thompson import DEFAULT_FLOOR, with_floor
from benchmarks.records import record

Floats = NDArray[np.float64]

Z = float(ndtri(0.975))
EVER = 5.4  # per cent: 5 and twice the error of 10,000 repetitions
BURN_IN = BurnIn()
PROPOSED_VALUE = 0.9 * 0.7 + 0.1 * 0.3  # of the policy whose value `off_policy_runs` asks for


@dataclass(frozen=True, slots=True)
class Bandit:
    """How often each interval of treatment less control left out the truth, in per cent of the runs.

    Args:
        plain_at_end: ordinary 95 % interval of the pooled averages, read once.
        plain_ever: the same, read after every batch.
        ours_ever: the doubly robust confidence sequence, read after every batch.
        half_width: of ours at the end, mean over runs, in standard deviations of a unit.
    """

    plain_at_end: float
    plain_ever: float
    ours_ever: float
    half_width: float


@dataclass(frozen=True, slots=True)
class Look:
    """One batch of all runs, and what is concluded after it.

    Args:
        allocation: share of each arm, shape ``(repetitions, arms)``.
        units: of each arm in this batch.
        totals: sums of rewards.
        squares: sums of squared rewards.
        difference: estimate over all batches, shape ``(repetitions,)``.
        half_width: of its confidence sequence.
    """

    allocation: Floats
    units: Floats
    totals: Floats
    squares: Floats
    difference: Floats
    half_width: Floats


def thompson_runs(
    floor: float,
    *,
    arms: int = 2,
    effect: float = 0.0,
    share: float | None = None,
    repetitions: int,
    batches: int = 100,
    batch: int = 100,
    seed: int = 11,
    observe: Callable[[Look], None] | None = None,
) -> Bandit:
    """Batched Thompson sampling with a floor, and what is concluded about arm 1 against arm 0 while it runs.

    Args:
        floor: smallest share of an arm.
        arms: how many.
        effect: true mean of arm 1 less that of the others, in the reward's unit.
        share: of successes, for yes-or-no rewards; standard normal rewards where left out.
        repetitions: independent runs.
        batches: how often traffic is re-allocated, and results are looked at.
        batch: units in each.
        seed: of the generator.
        observe: is given every look.
    """
    generator = np.random.default_rng(seed)
    truth = np.zeros(arms) if share is None else np.full(arms, share)
    truth[1] += effect
    shape = (repetitions, arms)
    units, totals, squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    allocation = np.full(shape, 1 / arms)
    score, score_squares = np.zeros(repetitions), np.zeros(repetitions)
    plain_ever, ours_ever = np.zeros(repetitions, bool), np.zeros(repetitions, bool)
    half = plain_missed = np.zeros(repetitions)
    for number in range(1, batches + 1):
        new = generator.multinomial(batch, allocation).astype(np.float64)
        total, square = _rewards(generator, new, truth, share)
        known = np.where(units > 0, totals / np.maximum(units, 1), total / np.maximum(new, 1))
        pair = np.s_[:, :2]
        part = score_sums(np.float64(batch), new[pair], total[pair], square[pair], allocation[pair], known[pair])
        score, score_squares = score + part[0], score_squares + part[1]
        units, totals, squares = units + new, totals + total, squares + square
        count = float(number * batch)
        variance = np.maximum(0.0, score_squares - score * score / count) / (count - 1)
        half = half_width(count, variance, float(batches * batch), 0.95)
        if observe is not None:
            observe(Look(allocation, new, total, square, score / count, half))
        plain_missed = _plain_misses(units, totals, squares, effect)
        ready = (units[:, :2] >= BURN_IN.units).all(axis=1)
        if share is not None:
            ready &= (totals[:, :2] >= BURN_IN.events).all(axis=1)
        ours_ever |= ready & (np.abs(score / count - effect) > half)
        plain_ever |= ready & plain_missed
        # posterior of standard normal means; shares of successes are met by their normal approximation
        deviation = 1.0 if share is None else np.sqrt(share * (1 - share))
        precision = units / deviation**2 + 1.0
        belief = best_of_normals((totals / deviation**2) / precision, 1 / np.sqrt(precision))
        allocation = with_floor(belief.probability, floor)
    unit = 1.0 if share is None else float(np.sqrt(share * (1 - share)))
    return Bandit(
        100 * float(plain_missed.mean()),
        100 * float(plain_ever.mean()),
        100 * float(ours_ever.mean()),
        float(half.mean()) / unit,
    )


def _rewards(
    generator: np.random.Generator, units: Floats, truth: Floats, share: float | None
) -> tuple[Floats, Floats]:
    """Sums and sums of squares of so many rewards: exact draws of the sums, without drawing each reward."""
    if share is not None:
        successes = generator.binomial(units.astype(np.int64), truth).astype(np.float64)
        return successes, successes
    total = units * truth + np.sqrt(units) * generator.standard_normal(units.shape)
    around = 2 * generator.standard_gamma(np.maximum(units - 1, 0) / 2)
    return total, around + total * total / np.maximum(units, 1)


def _plain_misses(units: Floats, totals: Floats, squares: Floats, effect: float) -> NDArray[np.bool_]:
    count = np.maximum(units[:, :2], 2)
    means = totals[:, :2] / count
    variances = np.maximum(1e-12, squares[:, :2] / count - means**2) / (count - 1)
    return np.asarray(np.abs(means[:, 1] - means[:, 0] - effect) > Z * np.sqrt(variances.sum(axis=1)))


@dataclass(frozen=True, slots=True)
class Covariates:
    """CUPED over many experiments: per cent of variance gone, and of 95 % intervals that hold the true effect."""

    variance_gone: float
    coverage: float
    plain_coverage: float


def covariate_runs(
    repetitions: int, *, ratio: bool, units: int = 400, effect: float = 0.2, seed: int = 12
) -> Covariates:
    """Values correlated 0.7 with what was known before; as means, or as ratios over one to many requests per unit."""
    generator = np.random.default_rng(seed)
    gone, held, plain = [], 0, 0
    for _ in range(repetitions):
        arms = []
        for lift in (0.0, effect):
            before = generator.standard_normal(units)
            own = 0.7 * before + np.sqrt(1 - 0.49) * generator.standard_normal(units) + lift
            counts = 1.0 + generator.poisson(4.0, units) if ratio else np.ones(units)
            arms.append(UnitMoments.of(own * counts, counts, before * counts if ratio else before))
        made = regression_adjusted(arms)
        gone.append(1 - _variance(made.arms) / _variance(arms))
        held += _holds(made.arms, effect)
        plain += _holds(arms, effect)
    return Covariates(100 * float(np.mean(gone)), 100 * held / repetitions, 100 * plain / repetitions)


def _variance(arms: Any) -> float:
    return float(sum(arm.variance_of_mean for arm in arms))


def _holds(arms: Any, effect: float) -> bool:
    return abs(arms[1].mean - arms[0].mean - effect) <= Z * _variance(arms) ** 0.5


def strata_runs(repetitions: int, seed: int = 13) -> tuple[float, float]:
    """A ramp from 10 to 50 to 90 % while the mix of users worsens: coverage (per cent) of stratified and pooled."""
    generator = np.random.default_rng(seed)
    stratified = pooled = 0
    for _ in range(repetitions):
        epochs = []
        for weight, base in ((0.1, 0.6), (0.5, 0.5), (0.9, 0.4)):
            sizes = (round(1000 * (1 - weight)), round(1000 * weight))
            rows = [(generator.random(size) < base).astype(np.float64) for size in sizes]
            epochs.append([UnitMoments.of(row) for row in rows])
        stratified += _holds(post_stratified(epochs).arms, 0.0)
        pooled += _holds([sum((epoch[arm] for epoch in epochs), UnitMoments()) for arm in (0, 1)], 0.0)
    return 100 * stratified / repetitions, 100 * pooled / repetitions


@dataclass(frozen=True, slots=True)
class Calibration:
    """Beliefs held against the truth that they were about.

    Args:
        error: mean distance between a stated probability to be best and its frequency, ten bands, in per cent.
        credible: per cent of 95 % credible intervals of the lift that hold it (NaN where there are none).
        loss: mean loss that choosing the most probable arm really had, over the loss that was expected.
    """

    error: float
    credible: float
    loss: float


def belief_runs(repetitions: int, arms: int, seed: int = 14) -> Calibration:
    """Normal arms whose true means follow the default prior: stated probabilities must come true."""
    generator = np.random.default_rng(seed)
    stated, happened, held, losses, expected = [], [], 0, 0.0, 0.0
    for _ in range(repetitions):
        truth = 10.0 + generator.normal(0, 1.0 / np.sqrt(2), arms)  # differences have a standard deviation of 0.1 x 10
        found = [UnitMoments.of(generator.normal(mean, 8.0, 300)) for mean in truth]
        ranked = rank_arms(found)
        stated.extend(each.probability_best for each in ranked)
        happened.extend(truth == truth.max())
        chosen = int(np.argmax([each.probability_best for each in ranked]))
        losses, expected = losses + truth.max() - truth[chosen], expected + ranked[chosen].expected_loss
        belief = compare_arms(found[0], found[1])
        held += belief.low <= truth[1] - truth[0] <= belief.high
    return Calibration(_calibration(stated, happened), 100 * held / repetitions, losses / expected)


def share_runs(repetitions: int, arms: int, seed: int = 15) -> Calibration:
    """Shares drawn from the uniform prior."""
    generator = np.random.default_rng(seed)
    stated, happened, losses, expected = [], [], 0.0, 0.0
    for _ in range(repetitions):
        truth = generator.random(arms)
        ranked = rank_shares([BetaBelief().after(float(generator.binomial(20, p)), 20) for p in truth])
        stated.extend(each.probability_best for each in ranked)
        happened.extend(truth == truth.max())
        chosen = int(np.argmax([each.probability_best for each in ranked]))
        losses, expected = losses + truth.max() - truth[chosen], expected + ranked[chosen].expected_loss
    return Calibration(_calibration(stated, happened), float("nan"), losses / expected)


def _calibration(stated: list[float], happened: list[bool]) -> float:
    probability, truth = np.array(stated), np.array(happened, np.float64)
    band = np.minimum((probability * 10).astype(int), 9)
    error = sum(abs((probability - truth)[band == number].sum()) for number in range(10))
    return 100 * float(error) / len(probability)


def off_policy_runs(repetitions: int, decisions: int = 1000, seed: int = 16) -> dict[str, float]:
    """Per cent of 95 % intervals that hold the value of a policy which its logs hardly follow.

    Five actions; the logs favour a wrong action, the proposed policy takes the best one nine times in ten. The reward
    model is fitted to nothing and wrong on purpose; doubly robust estimates must not mind.
    """
    generator = np.random.default_rng(seed)
    held = dict.fromkeys(("bernstein", "normal", "self_normalised", "doubly_robust", "model_alone"), 0)
    for _ in range(repetitions):
        logged, prediction, baseline = _decisions(generator, decisions)
        estimates = {
            "bernstein": inverse_propensity(logged),
            "normal": inverse_propensity(logged, interval=Interval.NORMAL),
            "self_normalised": self_normalised(logged),
            "doubly_robust": doubly_robust(logged, prediction, baseline),
        }
        for name, made in estimates.items():
            held[name] += made.low <= PROPOSED_VALUE <= made.high
        error = float(logged.rewards.std(ddof=1)) / decisions**0.5
        held["model_alone"] += abs(float(baseline.mean()) - PROPOSED_VALUE) <= Z * error
    return {name: 100 * count / repetitions for name, count in held.items()}


def off_policy_watched(
    repetitions: int, decisions: int = 2000, every: int = 100, seed: int = 17
) -> tuple[float, float]:
    """Per cent of logs whose doubly robust interval, read every so many decisions, ever leaves the truth out.

    Returns:
        Of the interval for any time, and of the normal one.
    """
    generator = np.random.default_rng(seed)
    missed = np.zeros(2)
    for _ in range(repetitions):
        logged, prediction, baseline = _decisions(generator, decisions)
        ever = [False, False]
        for seen in range(2 * every, decisions + 1, every):
            part = Logged(logged.rewards[:seen], logged.propensities[:seen], logged.targets[:seen])
            for number, interval in enumerate((Interval.ANYTIME, Interval.NORMAL)):
                made = doubly_robust(
                    part, prediction[:seen], baseline[:seen], interval=interval, planned=float(decisions)
                )
                ever[number] |= not made.low <= PROPOSED_VALUE <= made.high
        missed += ever
    return 100 * float(missed[0]) / repetitions, 100 * float(missed[1]) / repetitions


def _decisions(generator: np.random.Generator, decisions: int) -> tuple[Logged, Floats, Floats]:
    """Logs of five actions, and a wrong model's predictions of the logged action and of the proposed policy."""
    actions = 5
    context = generator.integers(0, actions, decisions)
    best = np.arange(actions) == context[:, None]
    chances = np.where(best, 0.7, 0.3)
    logging = np.where(np.arange(actions) == (context[:, None] + 1) % actions, 0.4, 0.15)
    proposed = np.where(best, 0.9, 0.025)
    before = np.cumsum(logging, axis=1)[:, :-1]
    action = (generator.random(decisions)[:, None] > before).sum(axis=1)
    rows = np.arange(decisions)
    reward = (generator.random(decisions) < chances[rows, action]).astype(np.float64)
    model = 0.8 * chances
    logged = Logged.of(reward, logging[rows, action], proposed[rows, action])
    return logged, model[rows, action], (model * proposed).sum(axis=1)


def records(repetitions: int = 10_000) -> list[dict[str, Any]]:
    """Every figure. Costly experiments are repeated a fifth as often as named, each record says how often."""
    fewer = max(1, repetitions // 5)
    return [
        *_bandits(repetitions, fewer),
        *_sharper(fewer),
        *_beliefs(repetitions, fewer),
        *_off_policy(fewer),
    ]


def _bandits(repetitions: int, fewer: int) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    cases: list[tuple[str, dict[str, Any], float]] = [
        *((f"2 arms, floor {floor:g}", {"repetitions": repetitions}, floor) for floor in (0.01, 0.05, 0.1)),
        ("2 arms, floor 0.1, true effect 0.1 sd", {"repetitions": repetitions, "effect": 0.1}, 0.1),
        *(
            (f"2 arms, floor 0.1, successes {100 * share:g} %", {"repetitions": repetitions, "share": share}, 0.1)
            for share in (0.1, 0.02)
        ),
        *((f"4 arms, floor {floor:g}", {"repetitions": max(1, fewer // 2), "arms": 4}, floor) for floor in (0.01, 0.1)),
    ]
    for name, options, floor in cases:
        found = thompson_runs(floor, **options)
        runs = int(options["repetitions"])
        peer = "plain 95 % interval, watched"
        made.append(
            record(
                f"Thompson, {name}: ever misses",
                found.ours_ever,
                "%",
                better="lower",
                goal=EVER if floor >= DEFAULT_FLOOR else None,
                peer=peer,
                peer_value=found.plain_ever,
                runs=runs,
            )
        )
        made.append(
            record(
                f"Thompson, {name}: plain 95 % interval read once misses",
                found.plain_at_end,
                "%",
                better="lower",
                runs=runs,
            )
        )
    return made


def _sharper(runs: int) -> list[dict[str, Any]]:
    made = []
    for ratio, name in ((False, "mean"), (True, "ratio")):
        found = covariate_runs(runs, ratio=ratio)
        made += [
            record(
                f"CUPED, {name}, correlation 0.7: variance gone", found.variance_gone, "%", better="higher", runs=runs
            ),
            _coverage(f"CUPED, {name}: coverage", found.coverage, runs, "without", found.plain_coverage),
        ]
    stratified, pooled = strata_runs(runs)
    return [*made, _coverage("strata, ramp with a worsening mix: coverage", stratified, runs, "pooled", pooled)]


def _beliefs(repetitions: int, fewer: int) -> list[dict[str, Any]]:
    made = []
    cases = [
        ("normal, 2 arms", belief_runs(repetitions, 2), repetitions),
        ("normal, 4 arms", belief_runs(fewer, 4), fewer),
        ("shares, 3 arms", share_runs(repetitions, 3), repetitions),
    ]
    for name, found, runs in cases:
        made.append(
            record(f"P(best), {name}: calibration error", found.error, "%", better="lower", goal=2.0, runs=runs)
        )
        made.append(
            record(
                f"P(best), {name}: real over expected loss", found.loss, "ratio", better="lower", goal=1.15, runs=runs
            )
        )
        if np.isfinite(found.credible):
            made.append(_coverage(f"credible interval, {name}: coverage", found.credible, runs, None, None))
    return made


def _off_policy(runs: int) -> list[dict[str, Any]]:
    found = off_policy_runs(runs)
    alone = found.pop("model_alone")
    anytime, normal = off_policy_watched(runs // 2)
    return [
        *(
            _coverage(f"off-policy, {name.replace('_', ' ')}: coverage", value, runs, "reward model alone", alone)
            for name, value in found.items()
        ),
        record(
            "off-policy, doubly robust, any time: ever misses",
            anytime,
            "%",
            better="lower",
            goal=EVER,
            peer="normal interval, watched",
            peer_value=normal,
            runs=runs // 2,
        ),
    ]


def _coverage(name: str, value: float, runs: int, peer: str | None, peer_value: float | None) -> dict[str, Any]:
    """A 95 % interval; the goal leaves room for two standard errors of the simulation itself."""
    goal = round(95 - 2 * (0.95 * 0.05 / runs) ** 0.5 * 100 - 0.2, 2)
    return record(name, value, "%", better="higher", goal=goal, peer=peer, peer_value=peer_value, runs=runs)


if __name__ == "__main__":
    for row in records(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000):
        sys.stdout.write(f"{row['name']:64} {row['value']:8.2f} {row['unit']:6} goal {row['goal']}")
        sys.stdout.write(f"   {row['peer']}: {row['peer_value']:.2f}\n" if row["peer"] else "\n")
