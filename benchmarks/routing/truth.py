"""Off-policy estimates against the truth: how often do 95 % intervals hold what the policy would really have earned?

Logs are made by the router itself, in the fleet of `fleet`, with static weights over the ranking: what each candidate
earns on average is known, so the value of any policy on those very queries is too. Proposed are other weights; once
near to what was logged, once far from it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from bailiwick.routing.evaluate import evaluate, targets_of
from bailiwick.routing.policy import Algorithm, Knobs, Policy
from bailiwick.routing.rewards import Judged
from benchmarks.records import record
from benchmarks.routing.fleet import SCENARIOS, SEED, TABLE, Learning, Query, queries

REPETITIONS = 400
DECISIONS = 1_500
NEAR, FAR = (0.6, 0.3, 0.1), (0.1, 0.8, 0.1)
LOGGED = (0.7, 0.2, 0.1)


def _log(made: list[Query], seed: int) -> list[Judged]:
    random = np.random.default_rng([SEED, seed, 4])
    learning = Learning(_static(made, LOGGED))
    chooser = learning.chooser()
    for query in made:
        domain = chooser.choose(query)
        chooser.told(query, domain, float(random.random() < query.means[domain]))
    return learning.judged


def _static(made: list[Query], shares: tuple[float, ...]) -> Knobs:
    """Static weights over the candidates of each detected domain."""
    by_group = {query.ranking[0][0]: query for query in made}
    weights = {
        group: dict(zip((domain for domain, _ in query.ranking), shares, strict=True))
        for group, query in by_group.items()
    }
    return Knobs(Algorithm.STATIC, weights=weights)


def _true_difference(judged: list[Judged], made: list[Query], knobs: Knobs, learned: int) -> tuple[float, float]:
    """Expected value of the proposed policy, and how much more that is than the logging one's, on the same queries."""
    policy = Policy(knobs)
    means = {f"request-{query.number:06}": query.means for query in made}
    values, logged = [], []
    for each in judged[learned:]:
        of_query = means[each.request_id]
        values.append(sum(p * of_query[d] for d, p in targets_of(each.features, policy, TABLE).items()))
        logged.append(sum(p * of_query[d] for d, p in each.probabilities.items()))
    return float(np.mean(values)), float(np.mean(values) - np.mean(logged))


def records(repetitions: int = REPETITIONS) -> list[dict[str, Any]]:
    """Coverage of each interval, and how often a policy that does harm is called better."""
    found = []
    for far in (False, True):
        kind = "far from the logs" if far else "near to the logs"
        print(f"  off-policy estimates, {kind}", file=sys.stderr, flush=True)
        held: dict[str, list[bool]] = {}
        widths: dict[str, list[float]] = {}
        wrong = 0
        for seed in range(repetitions):
            made = queries(SCENARIOS[0], 1_000 + seed)[:DECISIONS]
            judged = _log(made, seed)
            knobs = _static(made, FAR if far else NEAR)
            result = evaluate(judged, knobs, TABLE)
            true_value, true_difference = _true_difference(judged, made, knobs, result.learned_from)
            for each in result.estimates:
                held.setdefault(each.method, []).append(each.low <= true_value <= each.high)
                widths.setdefault(each.method, []).append(each.high - each.low)
            assert result.difference is not None
            gap = result.difference
            held.setdefault("difference", []).append(gap.low <= true_difference <= gap.high)
            widths.setdefault("difference", []).append(gap.high - gap.low)
            wrong += (result.verdict.value == "better" and true_difference < 0) or (
                result.verdict.value == "harm" and true_difference > 0
            )
        for method, hits in held.items():
            row = record(
                f"{kind}: coverage, {method}",
                round(100 * float(np.mean(hits)), 1),
                "% of intervals",
                better="higher",
                goal=92.5,
                runs=repetitions,
            )
            found.append({**row, "part": "truth", "width": round(float(np.mean(widths[method])), 3)})
        name = f"{kind}: verdicts that are wrong"
        row = record(name, round(100 * wrong / repetitions, 2), "%", better="lower", goal=2.5, runs=repetitions)
        found.append({**row, "part": "truth"})
    return found
