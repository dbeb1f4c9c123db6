"""What routing did over a span of time, and how well, domain by domain. Pure.

Regret is what was lost against the best single candidate in hindsight, by doubly robust scores. The best is chosen on
one half of the decisions and valued on the other: chosen and valued on the same ones, the luckiest would look best and
regret would be found where there is none.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import NormalDist, fmean, stdev

from bailiwick.routing.drift import Drift
from bailiwick.routing.observed import balanced, independent
from bailiwick.routing.policy import Knobs
from bailiwick.routing.rewards import Judged, reward_of
from bailiwick.statistics.proportions import wilson_interval

_ENOUGH = 30
_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision as analytics need it.

    Args:
        score: detection's confidence in its best domain.
        judged: with its judgement, where there is one and the choice was not a rule's.
        value: of the judgement, where there is one.
        choices: candidates that it had.
    """

    request_id: str
    domain: str
    method: str
    detected: str
    score: float
    propensity: float
    status: int
    latency_ms: float | None
    follow_up: bool
    choices: int
    value: float | None = None
    right_domain: str | None = None
    judged: Judged | None = None

    @property
    def failed(self) -> bool:
        """Whether it was answered with an error of the server."""
        return self.status >= 500


@dataclass(frozen=True, slots=True)
class Regret:
    """Reward per decision that the best single candidate would have earned more; negative where learning is better."""

    best: str
    value: float
    low: float
    high: float
    decisions: int


@dataclass(frozen=True, slots=True)
class DomainAnalytics:
    """One domain over the span. Shares and means are None where there is nothing to take them of.

    Args:
        decisions: that chose the domain.
        methods: how many by what decided.
        confidence: mean of detection's score.
        explored: share whose choice was less likely than not.
        failed: share that was answered with an error of the server.
        judged: decisions with feedback.
        accuracy: mean value of the feedback, with its 95 % interval (Wilson) where values are 0 and 1.
        regret: of the queries that were detected as this domain.
    """

    domain: str
    decisions: int
    share: float
    methods: Mapping[str, int]
    confidence: float
    explored: float
    failed: float
    latency_ms: float | None
    latency_p95_ms: float | None
    judged: int
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    regret: Regret | None


@dataclass(frozen=True, slots=True)
class RoutingAnalytics:
    """A span of time.

    Args:
        confusion: how many of the decisions that went to a domain should have gone to another, by feedback.
        truncated: there were more decisions than are looked at; these are the newest.
    """

    since: datetime
    until: datetime
    decisions: int
    domains: tuple[DomainAnalytics, ...]
    confusion: Mapping[str, Mapping[str, int]]
    drift: Drift
    truncated: bool


def by_domain(entries: Sequence[Entry], knobs: Knobs) -> tuple[DomainAnalytics, ...]:
    """Every domain that was chosen, the most often chosen first."""
    chosen: dict[str, list[Entry]] = defaultdict(list)
    detected: dict[str, list[Entry]] = defaultdict(list)
    for each in entries:
        chosen[each.domain].append(each)
        detected[each.detected].append(each)
    answers = [each.value is not None for each in entries if not each.failed]
    share = fmean(answers) if answers else 1.0
    found = [
        _domain(domain, own, len(entries), regret(detected.get(domain, ()), knobs, share))
        for domain, own in chosen.items()
    ]
    return tuple(sorted(found, key=lambda each: (-each.decisions, each.domain)))


def confusion(entries: Sequence[Entry]) -> dict[str, dict[str, int]]:
    """By chosen domain, then by the domain that feedback says was right."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for each in entries:
        if each.right_domain is not None:
            counts[each.domain][each.right_domain] += 1
    return {domain: dict(rights.most_common()) for domain, rights in sorted(counts.items())}


def regret(entries: Sequence[Entry], knobs: Knobs, share: float = 1.0) -> Regret | None:
    """Against the best single candidate in hindsight; None where too little was judged or there was no choice.

    Args:
        entries: detected as one domain.
        knobs: of the reward.
        share: of the answers, how many are judged; see `balanced`.
    """
    known = [each.judged for each in entries if each.judged is not None and not each.follow_up and each.choices > 1]
    known.sort(key=lambda each: (each.at, each.request_id))
    judged = independent(balanced(known, share))
    choosing, valuing = judged[::2], judged[1::2]
    if len(valuing) < _ENOUGH:
        return None
    rivals = {domain for each in choosing for domain in each.probabilities}
    gains = {domain: fmean(_gains(domain, choosing, valuing, knobs)) for domain in sorted(rivals)}
    best = max(gains, key=lambda domain: gains[domain])
    scores = _gains(best, valuing, choosing, knobs)
    half = _Z * stdev(scores) / math.sqrt(len(scores))
    mean = fmean(scores)
    return Regret(best, mean, mean - half, mean + half, len(judged))


def _gains(domain: str, of: Sequence[Judged], modelled_on: Sequence[Judged], knobs: Knobs) -> list[float]:
    """Doubly robust score of always choosing the domain where it was a candidate, less what was earned."""
    known = [reward_of(each, knobs) for each in modelled_on if each.domain == domain]
    prediction = fmean(known) if known else 0.0
    gains = []
    for each in of:
        probability = each.probabilities.get(domain)
        reward = reward_of(each, knobs)
        if probability is None:
            gains.append(0.0)
        else:
            error = (reward - prediction) / probability if each.domain == domain else 0.0
            gains.append(prediction + error - reward)
    return gains


def _domain(domain: str, own: Sequence[Entry], every: int, lost: Regret | None) -> DomainAnalytics:
    # an error of the server is no feedback; it has a figure of its own
    values = [each.value for each in own if each.value is not None and not each.failed]
    latencies = sorted(each.latency_ms for each in own if each.latency_ms is not None)
    low = high = None
    if values and all(value in (0.0, 1.0) for value in values):
        low, high = wilson_interval(int(sum(values)), len(values))
    return DomainAnalytics(
        domain=domain,
        decisions=len(own),
        share=len(own) / every,
        methods=dict(Counter(each.method for each in own).most_common()),
        confidence=fmean(each.score for each in own),
        explored=sum(each.propensity < 0.5 for each in own) / len(own),
        failed=sum(each.failed for each in own) / len(own),
        latency_ms=fmean(latencies) if latencies else None,
        latency_p95_ms=latencies[min(len(latencies) - 1, int(0.95 * len(latencies)))] if latencies else None,
        judged=len(values),
        accuracy=fmean(values) if values else None,
        accuracy_low=low,
        accuracy_high=high,
        regret=lost,
    )
