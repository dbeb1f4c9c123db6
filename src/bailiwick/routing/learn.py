"""From judged decisions to a policy. Pure, from nothing each time: the same decisions always give the same policy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import numpy as np

from bailiwick.routing.bandit import features_of
from bailiwick.routing.changes import last_change
from bailiwick.routing.contexts import group_of, margin_of, parent_of
from bailiwick.routing.policy import Algorithm, Knobs, LinearArm, Policy
from bailiwick.routing.pooling import spread_of, with_parent, worth_of
from bailiwick.routing.rewards import FAILED, Judged, bounds_of, reward_of

MOST_CONTEXTS = 100_000
_DAY_S = 86_400.0

Sums = dict[str, dict[str, list[float]]]
Rewarded = tuple[Judged, float]


def learn(decisions: Iterable[Judged], knobs: Knobs, now: datetime) -> Policy:
    """The policy that follows from decisions.

    What a detected domain's candidates earned before the last change of one of them is left out. Of the rest each
    counts ``learning_rate * 0.5 ** (age / half_life)`` answers. A context holds its own answers, and those of its
    domain's other contexts for as much as contexts are alike.

    Args:
        decisions: judged by the policy's metric, or failed; others are passed over.
        knobs: how.
        now: that ages are counted from.
    """
    used = [each for each in decisions if each.metric in (knobs.metric, FAILED) and each.context]
    if knobs.learning_rate <= 0 or not used:
        return Policy(knobs)
    rewarded = _since_change([(each, reward_of(each, knobs)) for each in used], knobs)
    weights = [_weight(each, knobs, now) for each, _ in rewarded]
    if knobs.algorithm is Algorithm.LINUCB:
        return Policy(knobs, linear=_linear(rewarded, weights, knobs), decisions=len(used))
    if knobs.algorithm in (Algorithm.UCB, Algorithm.THOMPSON):
        return Policy(knobs, means=_means(rewarded, weights), decisions=len(used))
    return Policy(knobs, decisions=len(used))


def _since_change(rewarded: Sequence[Rewarded], knobs: Knobs) -> Sequence[Rewarded]:
    """Without what was before the last change of any candidate of a detected domain.

    Where one candidate has changed the others may have, unseen since they are seldom tried: all are learned anew.
    """
    if not knobs.change_evidence:
        return rewarded
    arms: dict[tuple[str, str], list[Rewarded]] = defaultdict(list)
    for each in sorted(rewarded, key=lambda pair: (pair[0].at, pair[0].request_id)):
        arms[(parent_of(each[0].context), each[0].domain)].append(each)
    low, high = bounds_of(knobs)
    since: dict[str, datetime] = {}
    for (parent, _), seen in arms.items():
        rewards = np.array([reward for _, reward in seen])
        place = last_change((rewards - low) / (high - low), knobs.change_evidence)
        if place:
            since[parent] = max(since.get(parent, seen[place][0].at), seen[place][0].at)
    if not since:
        return rewarded
    return [each for each in rewarded if each[0].at >= since.get(parent_of(each[0].context), each[0].at)]


def _weight(judged: Judged, knobs: Knobs, now: datetime) -> float:
    if not knobs.half_life_days:
        return knobs.learning_rate
    age_days = max(0.0, (now - judged.at).total_seconds() / _DAY_S)
    return float(knobs.learning_rate * 0.5 ** (age_days / knobs.half_life_days))


def _means(rewarded: Sequence[Rewarded], weights: Sequence[float]) -> dict[str, dict[str, tuple[float, float]]]:
    own: Sums = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))
    parents: Sums = defaultdict(lambda: defaultdict(lambda: [0.0, 0.0]))
    for (judged, reward), weight in zip(rewarded, weights, strict=True):
        for sums in (own[judged.context][judged.domain], parents[parent_of(judged.context)][judged.domain]):
            sums[0] += weight
            sums[1] += weight * reward
    spread = spread_of(own, parents)
    found: dict[str, dict[str, tuple[float, float]]] = {}
    heaviest = sorted(own, key=lambda context: -sum(count for count, _ in own[context].values()))[:MOST_CONTEXTS]
    for context in heaviest:
        around = parents[parent_of(context)]
        found[context] = {
            domain: with_parent(own[context].get(domain, (0.0, 0.0)), sums, spread) for domain, sums in around.items()
        }
    for parent, by_domain in parents.items():
        found[parent] = {
            domain: (worth_of(count, spread), total / count if count > 0 else 0.0)
            for domain, (count, total) in by_domain.items()
        }
    return found


def _linear(
    rewarded: Sequence[Rewarded], weights: Sequence[float], knobs: Knobs
) -> Mapping[str, Mapping[str, LinearArm]]:
    """Ridge regressions around "the reward is the score"."""
    rows: dict[tuple[str, str], list[tuple[tuple[float, ...], float, float]]] = defaultdict(list)
    for (judged, reward), weight in zip(rewarded, weights, strict=True):
        prior = next((each.prior for each in judged.candidates if each.domain == judged.domain), 0.0)
        seen = features_of(prior, margin_of(judged.features), judged.features.length)
        rows[(group_of(judged.features), judged.domain)].append((seen, reward, weight))
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
