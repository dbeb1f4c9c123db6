"""From a detection to a decision: candidates, what is expected of each, probabilities, one draw. Pure.

The prior of a candidate is what detection says: its calibrated score is taken as the reward to be expected of it, worth
``prior_strength`` answers. Judged answers are added to that. Where nothing was judged yet detection decides and nothing
is explored: without feedback exploring could only cost. From then on it is more and more what users say.
"""

from __future__ import annotations

from collections.abc import Mapping

from xxhash import xxh3_64_intdigest

from bailiwick.routing.bandit import chances_to_be_best, features_of, floored, upper_bound, variance_of
from bailiwick.routing.contexts import context_of, group_of, margin_of, parent_of
from bailiwick.routing.model import Candidate, Features, RoutingTable
from bailiwick.routing.policy import Algorithm, Policy

_NOTHING: Mapping[str, tuple[float, float]] = {}
_SALT = b"route:"


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
    return _thompson(features, policy, priors)


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


def _thompson(features: Features, policy: Policy, priors: dict[str, float]) -> tuple[Candidate, ...]:
    context = context_of(features)
    known = {domain: expected_of(context, domain, prior, policy) for domain, prior in priors.items()}
    first = next(iter(priors))
    least = known[first][0] - policy.knobs.margin
    kept = [domain for domain in priors if domain == first or known[domain][0] >= least]
    judged = sum(known[domain][1] - policy.knobs.prior_strength for domain in priors)
    if len(kept) == 1 or judged <= 0:
        return (Candidate(first, priors[first], known[first][0], 1.0),)
    means = [known[domain][0] for domain in kept]
    chances = chances_to_be_best(means, [variance_of(*known[domain]) for domain in kept])
    shares = floored(chances, policy.knobs.exploration_floor)
    return tuple(
        Candidate(domain, priors[domain], mean, share) for domain, mean, share in zip(kept, means, shares, strict=True)
    )


def _linear(features: Features, policy: Policy, priors: dict[str, float]) -> tuple[Candidate, ...]:
    """All but the floor to the candidate with the highest upper bound.

    An arm that was never seen predicts its prior with the error of ``prior_strength`` answers; where no arm was seen,
    detection decides.
    """
    knobs = policy.knobs
    arms = policy.linear.get(group_of(features), {})
    margin, first = margin_of(features), next(iter(priors))
    bounds: dict[str, tuple[float, float]] = {}
    for domain, prior in priors.items():
        seen = features_of(prior, margin, features.length)
        arm = arms.get(domain)
        if arm is None:
            error = (sum(each * each for each in seen) / knobs.prior_strength) ** 0.5
            bounds[domain] = (prior, prior + knobs.confidence_width * 0.5 * error)
        else:
            bounds[domain] = upper_bound(seen, arm.coefficients, arm.inverse, knobs.confidence_width * 0.5)
    least = bounds[first][0] - knobs.margin
    kept = [domain for domain in priors if domain == first or bounds[domain][1] >= least]
    if not arms:
        return (Candidate(first, priors[first], bounds[first][0], 1.0),)
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
