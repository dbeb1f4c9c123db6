"""From judged decisions to a policy. Pure, from nothing each time: the same decisions always give the same policy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import numpy as np

from bailiwick.routing.bandit import features_of
from bailiwick.routing.contexts import group_of, margin_of, parent_of
from bailiwick.routing.policy import Algorithm, Knobs, LinearArm, Policy
from bailiwick.routing.rewards import FAILED, Judged, reward_of

MOST_CONTEXTS = 100_000
_DAY_S = 86_400.0

Sums = dict[str, dict[str, list[float]]]


def learn(decisions: Iterable[Judged], knobs: Knobs, now: datetime) -> Policy:
    """The policy that follows from decisions.

    Each counts ``learning_rate * 0.5 ** (age / half_life)`` answers. A context holds its own answers, and those of
    its domain's other contexts as far as they count no more than the prior, so that a rare context is not judged by
    detection alone.

    Args:
        decisions: judged by the policy's metric, or failed; others are passed over.
        knobs: how.
        now: that ages are counted from.
    """
    used = [each for each in decisions if each.metric in (knobs.metric, FAILED) and each.context]
    if knobs.learning_rate <= 0 or not used:
        return Policy(knobs)
    weights = [_weight(each, knobs, now) for each in used]
    if knobs.algorithm is Algorithm.LINUCB:
        return Policy(knobs, linear=_linear(used, weights, knobs), decisions=len(used))
    if knobs.algorithm is Algorithm.THOMPSON:
        return Policy(knobs, means=_means(used, weights, knobs), decisions=len(used))
    return Policy(knobs, decisions=len(used))


def _weight(judged: Judged, knobs: Knobs, now: datetime) -> float:
    if not knobs.half_life_days:
        return knobs.learning_rate
    age_days = max(0.0, (now - judged.at).total_seconds() / _DAY_S)
    return float(knobs.learning_rate * 0.5 ** (age_days / knobs.half_life_days))


def _means(used: Sequence[Judged], weights: Sequence[float], knobs: Knobs) -> dict[str, dict[str, tuple[float, float]]]:
    own: Sums = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))
    parents: Sums = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))
    for judged, weight in zip(used, weights, strict=True):
        reward = reward_of(judged, knobs)
        for sums in (own[judged.context][judged.domain], parents[parent_of(judged.context)][judged.domain]):
            sums[0] += weight
            sums[1] += weight * reward
    found: dict[str, dict[str, tuple[float, float]]] = {}
    heaviest = sorted(own, key=lambda context: -sum(count for count, _ in own[context].values()))[:MOST_CONTEXTS]
    for context in heaviest:
        around = parents[parent_of(context)]
        found[context] = {
            domain: _with_parent(own[context].get(domain, [0.0, 0.0]), sums, knobs.prior_strength)
            for domain, sums in around.items()
        }
    for parent, by_domain in parents.items():
        found[parent] = {
            domain: (min(sums[0], knobs.prior_strength), sums[1] / sums[0]) for domain, sums in by_domain.items()
        }
    return found


def _with_parent(own: Sequence[float], parent: Sequence[float], most: float) -> tuple[float, float]:
    """Own answers and, for at most so many, those of the other contexts."""
    count, total = own
    others, others_total = parent[0] - count, parent[1] - total
    if others > 1e-9:
        taken = min(others, most)
        count, total = count + taken, total + others_total / others * taken
    return count, total / count if count > 0 else 0.0


def _linear(used: Sequence[Judged], weights: Sequence[float], knobs: Knobs) -> Mapping[str, Mapping[str, LinearArm]]:
    """Ridge regressions around "the reward is the score"."""
    rows: dict[tuple[str, str], list[tuple[tuple[float, ...], float, float]]] = defaultdict(list)
    for judged, weight in zip(used, weights, strict=True):
        prior = next((each.prior for each in judged.candidates if each.domain == judged.domain), 0.0)
        seen = features_of(prior, margin_of(judged.features), judged.features.length)
        rows[(group_of(judged.features), judged.domain)].append((seen, reward_of(judged, knobs), weight))
    found: dict[str, dict[str, LinearArm]] = defaultdict(dict)
    for (group, domain), seen_rows in rows.items():
        design = np.array([each[0] for each in seen_rows])
        rewards, counts = np.array([each[1] for each in seen_rows]), np.array([each[2] for each in seen_rows])
        prior_mean = np.array([0.0, 1.0, 0.0, 0.0])
        precision = knobs.prior_strength * np.eye(4) + (design * counts[:, None]).T @ design
        inverse = np.linalg.inv(precision)
        coefficients = inverse @ (knobs.prior_strength * prior_mean + design.T @ (counts * rewards))
        found[group][domain] = LinearArm(
            tuple(float(round(each, 9)) for each in coefficients),
            tuple(float(round(each, 12)) for each in inverse.flat),
        )
    return found
