"""From a detection to a decision: candidates, what is expected of each, probabilities, one draw. Pure.

The prior of a candidate is what detection says: its calibrated score is taken as the reward to be expected of it, worth
``prior_strength`` answers. Judged answers are added to that. Where nothing was judged yet detection decides and nothing
is explored: without feedback exploring could only cost. From then on it is more and more what users say.

Detection's scores share one certainty out: one domain is right. So what users deny the detected domain is due to the
others, and what they grant it is taken from them, in proportion to their scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from xxhash import xxh3_64_intdigest

from bailiwick.routing.bandit import chances_to_be_best, features_of, floored, upper_bound, variance_of
from bailiwick.routing.contexts import context_of, group_of, margin_of, parent_of
from bailiwick.routing.model import Candidate, Features, RoutingTable
from bailiwick.routing.policy import Algorithm, Policy

_NOTHING: Mapping[str, tuple[float, float]] = {}
_SALT = b"route:"
_LEAST_DOUBT = 0.01


def draw_of(key: str) -> float:
    """A uniform number in [0, 1) that is always the same for a key.

    >>> draw_of("request-1") == draw_of("request-1"), 0 <= draw_of("request-2") < 1
    (True, True)
    """
    return (xxh3_64_intdigest(_SALT + key.encode("utf-8", "surrogatepass")) >> 11) / (1 << 53)


def drawn(candidates: tuple[Candidate, ...], draw: float) -> Candidate:
    """The candidate that a number in [0, 1) falls on."""
    so_far = 0.0
    for candidate in candidates:
        so_far += candidate.probability
        if draw < so_far:
            return candidate
    return candidates[-1]


def candidates_of(features: Features, policy: Policy, table: RoutingTable) -> tuple[Candidate, ...]:
    """The domains that may answer, with the probabilities with which they are drawn; empty where none can.

    Args:
        features: of the query.
        policy: that decides.
        table: who can answer at all.
    """
    priors = _priors(features, policy, table)
    if not priors:
        return ()
    algorithm = policy.knobs.algorithm
    if algorithm is Algorithm.DETECTION:
        best = next(iter(priors))
        return (Candidate(best, priors[best], priors[best], 1.0),)
    if algorithm is Algorithm.STATIC:
        return _static(features, policy, priors, table)
    if algorithm is Algorithm.LINUCB:
        return _linear(features, policy, priors)
    return _by_context(features, policy, priors)


def _priors(features: Features, policy: Policy, table: RoutingTable) -> dict[str, float]:
    """What detection thinks of each domain that can answer; first the one that it would choose."""
    knobs = policy.knobs
    ranked = [(domain, score) for domain, score in features.ranking[: knobs.candidates] if domain in table.ready]
    unclaimed = max(0.0, 1.0 - sum(score for _, score in features.ranking))
    found: dict[str, float] = {}
    default = table.default
    if default is not None and default in table.ready:
        if features.abstained or not ranked:
            # Detection would choose the default: at least as good in its eyes as the best of the ranking.
            found[default] = max(unclaimed, ranked[0][1] if ranked else 0.0)
            found |= {domain: score for domain, score in ranked if domain != default}
        else:
            found |= dict(ranked)
            found.setdefault(default, unclaimed)
    else:
        found |= dict(ranked)
    for other in knobs.alternatives.get(features.detected, ()):
        if other in table.ready and features.detected in found:
            found.setdefault(other, found[features.detected])
    return found


def expected_of(context: str, domain: str, prior: float, policy: Policy) -> tuple[float, float]:
    """Mean reward and how many answers it rests on."""
    strength = policy.knobs.prior_strength
    known = policy.means.get(context) or policy.means.get(parent_of(context)) or _NOTHING
    count, mean = known.get(domain, (0.0, 0.0))
    return (strength * prior + count * mean) / (strength + count), strength + count


def _remaining(prior: float, mean: float) -> float:
    """The factor of the other domains' scores, now that the detected one earns so much and not what it scored."""
    return max(0.0, 1.0 - mean) / max(_LEAST_DOUBT, 1.0 - prior)


def _by_context(features: Features, policy: Policy, priors: dict[str, float]) -> tuple[Candidate, ...]:
    """UCB and Thompson sampling on what the context earned.

    Left out is who is expected to stay behind the best by more than the margin, even at the upper bound.
    """
    knobs, context, first = policy.knobs, context_of(features), next(iter(priors))
    known = {first: expected_of(context, first, priors[first], policy)}
    factor = _remaining(priors[first], known[first][0])
    same = knobs.alternatives.get(features.detected, ())
    for domain, prior in priors.items():
        if domain != first:
            left = prior if domain in same else min(1.0, prior * factor)
            known[domain] = expected_of(context, domain, left, policy)
    if sum(count for _, count in known.values()) <= knobs.prior_strength * len(known):
        return (Candidate(first, priors[first], known[first][0], 1.0),)
    bounds = {
        d: mean + knobs.confidence_width * math.sqrt(variance_of(mean, count)) for d, (mean, count) in known.items()
    }
    least = max(mean for mean, _ in known.values()) - knobs.margin
    kept = [domain for domain in priors if domain == first or bounds[domain] >= least]
    if len(kept) == 1:
        return (Candidate(first, priors[first], known[first][0], 1.0),)
    if knobs.algorithm is Algorithm.THOMPSON:
        shares = chances_to_be_best([known[d][0] for d in kept], [variance_of(*known[d]) for d in kept])
    else:
        best = max(kept, key=lambda domain: (bounds[domain], domain == first))
        shares = [float(domain == best) for domain in kept]
    return tuple(
        Candidate(domain, priors[domain], known[domain][0], share)
        for domain, share in zip(kept, floored(shares, knobs.exploration_floor), strict=True)
    )


def _linear(features: Features, policy: Policy, priors: dict[str, float]) -> tuple[Candidate, ...]:
    """All but the floor to the candidate with the highest upper bound.

    An arm that was never seen predicts its prior with the error of ``prior_strength`` answers; where no arm was seen,
    detection decides.
    """
    knobs = policy.knobs
    arms = policy.linear.get(group_of(features), {})
    margin, first = margin_of(features), next(iter(priors))
    if not arms:
        return (Candidate(first, priors[first], priors[first], 1.0),)
    same = knobs.alternatives.get(features.detected, ())
    bounds: dict[str, tuple[float, float]] = {}
    for domain, prior in priors.items():
        seen = features_of(prior, margin, features.length)
        arm = arms.get(domain)
        if arm is None:
            left = prior
            if domain != first and domain not in same:
                left = min(1.0, prior * _remaining(priors[first], bounds[first][0]))
            error = (sum(each * each for each in seen) / knobs.prior_strength) ** 0.5
            bounds[domain] = (left, left + knobs.confidence_width * 0.5 * error)
        else:
            bounds[domain] = upper_bound(seen, arm.coefficients, arm.inverse, knobs.confidence_width * 0.5)
    least = max(mean for mean, _ in bounds.values()) - knobs.margin
    kept = [domain for domain in priors if domain == first or bounds[domain][1] >= least]
    best = max(kept, key=lambda domain: (bounds[domain][1], domain == first))
    shares = floored([float(domain == best) for domain in kept], knobs.exploration_floor if len(kept) > 1 else 0.0)
    return tuple(
        Candidate(domain, priors[domain], bounds[domain][0], share) for domain, share in zip(kept, shares, strict=True)
    )


def _static(features: Features, policy: Policy, priors: dict[str, float], table: RoutingTable) -> tuple[Candidate, ...]:
    weights = {
        domain: weight
        for domain, weight in policy.knobs.weights.get(features.detected, {}).items()
        if weight > 0 and domain in table.ready
    }
    total = sum(weights.values())
    if not weights or features.abstained:
        best = next(iter(priors))
        return (Candidate(best, priors[best], priors[best], 1.0),)
    return tuple(
        Candidate(domain, priors.get(domain, 0.0), priors.get(domain, 0.0), weight / total)
        for domain, weight in weights.items()
    )
