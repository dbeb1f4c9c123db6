"""The replicas of one upstream: what is known of each, which one takes a call, and what a call's outcome teaches."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random

from bailiwick.backends import balance, breaker, retry_budget
from bailiwick.backends.balance import Candidate, Latency
from bailiwick.backends.breaker import Breaker, BreakerRules, BreakerState
from bailiwick.backends.hedging import RecentLatencies
from bailiwick.backends.origin import Origin
from bailiwick.backends.retry_budget import HEDGES, RETRIES, Budget


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """A replica as metrics and people see it.

    Args:
        domain: that it serves.
        replica: ``host:port``.
        state: of its breaker.
        share: of its traffic that it gets; below 1 while it comes back.
        latency_ms: the peak-sensitive average of whole answers, or of first events where only streams were asked for.
    """

    domain: str
    replica: str
    weight: float
    state: BreakerState
    share: float
    under_way: int
    latency_ms: float
    calls: int
    failures: int
    openings: int


class Replica:
    """One server, as one domain knows it. Kept from snapshot to snapshot."""

    def __init__(self, domain: str, origin: Origin) -> None:
        self.domain = domain
        self.origin = origin
        self.weight = 1.0
        self.rules = BreakerRules()
        self.health_path: str | None = None
        self.breaker = Breaker()
        self.whole = Latency()
        self.first = Latency()
        self.under_way = self.calls = self.failures = self.openings = 0

    def candidate(self, now_s: float, *, stream: bool) -> Candidate:
        """As the balancer sees it."""
        latency = self.first if stream else self.whole
        weight = self.weight * breaker.share(self.breaker, self.rules, now_s)
        return Candidate(latency, self.under_way, weight, self.breaker.failures)

    def failed(self, now_s: float, *, trial: bool) -> None:
        """Count a failure: of a call, or of a health check."""
        self.failures += 1
        was = self.breaker.state
        self.breaker = breaker.failed(self.breaker, self.rules, now_s, trial=trial)
        self.openings += self.breaker.state is BreakerState.OPEN and was is not BreakerState.OPEN

    def report(self, now_s: float) -> ReplicaReport:
        """What is known of it."""
        return ReplicaReport(
            self.domain,
            self.origin.name,
            self.weight,
            self.breaker.state,
            breaker.share(self.breaker, self.rules, now_s),
            self.under_way,
            (self.whole.value_s or self.first.value_s) * 1000,
            self.calls,
            self.failures,
            self.openings,
        )


class Attempt:
    """One call to one replica, from its choice to its outcome, of which exactly one counts."""

    __slots__ = ("_ended", "_set", "_started_s", "_stream", "_trial", "replica")

    def __init__(self, replicas: ReplicaSet, replica: Replica, now_s: float, *, stream: bool) -> None:
        self.replica = replica
        self._set = replicas
        self._started_s = now_s
        self._stream = stream
        self._ended = False
        self._trial = replica.breaker.state is not BreakerState.CLOSED
        replica.breaker = breaker.entered(replica.breaker, now_s)
        replica.under_way += 1
        replica.calls += 1

    def answered(self) -> None:
        """The head of a good answer has come: for a stream, that is its latency."""
        if self._stream:
            self._learn(time.monotonic())

    def succeeded(self) -> None:
        """The whole answer has come."""
        if self._end():
            now_s = time.monotonic()
            self.replica.breaker = breaker.succeeded(self.replica.breaker, now_s, trial=self._trial)
            if not self._stream:
                self._learn(now_s)

    def refused(self) -> None:
        """The server is well and refuses the request. That it did so fast says nothing of how fast answers are."""
        if self._end():
            self.replica.breaker = breaker.succeeded(self.replica.breaker, time.monotonic(), trial=self._trial)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._started_s

    def failed(self, *, slow: bool = False) -> None:
        """There was no good answer. One that failed fast says nothing of how fast answers are."""
        if self._end():
            now_s = time.monotonic()
            self.replica.failed(now_s, trial=self._trial)
            if slow:
                self._learn(now_s)

    def abandoned(self) -> None:
        """The call was given up: nothing is known. Without effect once the outcome is."""
        if self._end():
            self.replica.breaker = breaker.abandoned(self.replica.breaker, trial=self._trial)

    def withdrawn(self) -> None:
        """The call was not sent after all."""
        self.abandoned()
        self.replica.calls -= 1

    def _end(self) -> bool:
        if self._ended:
            return False
        self._ended = True
        self.replica.under_way -= 1
        return True

    def _learn(self, now_s: float) -> None:
        seconds = now_s - self._started_s
        if self._stream:
            self.replica.first = balance.observed(self.replica.first, seconds, now_s)
        else:
            self.replica.whole = balance.observed(self.replica.whole, seconds, now_s)
        self._set.learn(seconds, stream=self._stream)


class ReplicaSet:
    """The replicas that a backend may call, with the budgets that they share.

    Args:
        replicas: at least one.
        rng: for the draws.
        hedged: whether latencies are kept for hedging.
    """

    def __init__(self, replicas: Sequence[Replica], rng: Random, *, hedged: bool = False) -> None:
        self.replicas = tuple(replicas)
        self.retries = self.hedges = self.retries_refused = 0
        self._rng = rng
        self._recent = {stream: RecentLatencies() for stream in (False, True)} if hedged else {}
        now_s = time.monotonic()
        self._retry_budget = self._hedge_budget = Budget(at_s=now_s)

    def begin(self) -> None:
        """A client's call pays into the budgets."""
        now_s = time.monotonic()
        self._retry_budget = retry_budget.paid_in(self._retry_budget, RETRIES, now_s)
        if self._recent:
            self._hedge_budget = retry_budget.paid_in(self._hedge_budget, HEDGES, now_s)

    def attempt(self, *, stream: bool, without: Collection[Replica] = ()) -> Attempt | None:
        """Choose a replica that is not among `without`, or None where the others' breakers are open."""
        now_s = time.monotonic()
        able = [each for each in self.replicas if each not in without and breaker.admits(each.breaker, now_s)]
        if not able:
            return None
        if len(able) == 1:
            return Attempt(self, able[0], now_s, stream=stream)
        index = balance.chosen([each.candidate(now_s, stream=stream) for each in able], now_s, self._rng)
        return Attempt(self, able[index], now_s, stream=stream)

    def opens_in_s(self) -> float:
        """Seconds until the first breaker lets a call through again."""
        return max(0.0, min(each.breaker.closed_to_s for each in self.replicas) - time.monotonic())

    def may_retry(self) -> bool:
        """Take a retry from the budget, if it allows one."""
        left = retry_budget.withdrawn(self._retry_budget, RETRIES, time.monotonic())
        if left is None:
            self.retries_refused += 1
            return False
        self._retry_budget = left
        self.retries += 1
        return True

    def may_hedge(self) -> bool:
        """Take a hedge from the budget, if it allows one."""
        left = retry_budget.withdrawn(self._hedge_budget, HEDGES, time.monotonic())
        if left is None:
            return False
        self._hedge_budget = left
        self.hedges += 1
        return True

    def hedge_after_s(self, *, stream: bool) -> float | None:
        """When a second replica is asked as well; None: never, or not enough is known yet."""
        recent = self._recent.get(stream)
        return None if recent is None or len(self.replicas) < 2 else recent.hedge_after_s

    def learn(self, seconds: float, *, stream: bool) -> None:
        """Keep a latency for hedging."""
        recent = self._recent.get(stream)
        if recent is not None:
            recent.add(seconds)
