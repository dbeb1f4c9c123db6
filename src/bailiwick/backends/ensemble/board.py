"""What is known of the members of the ensembles in this process: how they stand, and what feedback makes of them."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from bailiwick.backends.ensemble import standing
from bailiwick.backends.ensemble.standing import Rules, Standing, State
from bailiwick.backends.hedging import RecentLatencies

REMEMBERED = 10_000
"""Requests whose members' answers are kept until feedback comes."""

_RULES = Rules()
_PRIOR_OUTCOMES = 20.0
_USUAL_TOKENS = 64.0
_TOKENS_MEMORY = 50.0


class Observe(Protocol):
    """Takes one number about a version; returns at once."""

    def __call__(self, domain: str, version: str, metric: str, value: float, *, arm: str = "") -> bool:
        """See `MetricsService.record`."""
        ...


@dataclass(frozen=True, slots=True)
class SeatKey:
    """Names a member of an ensemble: both as ``domain@version``."""

    ensemble: str
    member: str


@dataclass(frozen=True, slots=True)
class SeatReport:
    """A member as metrics and people see it.

    Args:
        share: what it counts beside its own weight, 0 to 1.
        latency_ms: p95 of its latest answers; None until 20 are known.
        accuracy: of the answers that feedback judged; None without any.
        why: it is benched.
    """

    domain: str
    ensemble: str
    member: str
    state: State
    share: float
    under_way: int
    latency_ms: float | None
    calls: int
    failures: int
    benchings: int
    accuracy: float | None
    why: str


class Seat:
    """One member of one ensemble. Kept from snapshot to snapshot.

    Args:
        domain: of the ensemble.
        key: names it.
        promised: its accuracy on held-out texts.
        rules: when it leaves and comes back.
        clock_s: monotonic.
    """

    def __init__(
        self,
        domain: str,
        key: SeatKey,
        promised: float | None = None,
        rules: Rules = _RULES,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.domain = domain
        self.key = key
        self.promised = promised
        self.standing = Standing()
        self.calls = self.failures = self.under_way = self.benchings = 0
        self._rules = rules
        self._clock_s = clock_s
        self._latencies = RecentLatencies()
        self._tokens = _USUAL_TOKENS

    @property
    def active(self) -> bool:
        """It is asked, and counts."""
        return self.standing.state is State.ACTIVE

    @property
    def share(self) -> float:
        """What it counts now."""
        now = self.standing
        if now.state is State.ACTIVE and not now.failures and not now.judged and now.back_s is None:
            return 1.0  # as nearly always
        return standing.share(self.standing, self._rules, self._clock_s(), self.promised)

    @property
    def latency_ms(self) -> float | None:
        """p95 of its latest answers; None until 20 are known."""
        found = self._latencies.hedge_after_s
        return None if found is None else found * 1000

    @property
    def completion_tokens(self) -> float:
        """Of a usual answer: what it said lately, or 64."""
        return self._tokens

    @property
    def log_odds_shift(self) -> float:
        """How much better (or worse) than promised feedback finds it, in log-odds; 0 without feedback.

        The promise counts as twenty outcomes, so that the first few words of feedback move little.
        """
        if self.promised is None or not self.standing.judged:
            return 0.0
        promised = min(0.99, max(0.01, self.promised))
        found = (self.standing.right + _PRIOR_OUTCOMES * promised) / (self.standing.judged + _PRIOR_OUTCOMES)
        found = min(0.999, max(0.001, found))
        return math.log(found / (1 - found)) - math.log(promised / (1 - promised))

    def due(self) -> bool:
        """Benched or on trial, and it is time to try it with a query."""
        return not self.active and standing.asks(self.standing, self._clock_s())

    def begin(self) -> None:
        """A query is put to it."""
        self.calls += 1
        self.under_way += 1
        if not self.active:
            self.standing = standing.asked(self.standing, self._rules, self._clock_s())

    def end(self, *, good: bool | None, seconds: float, tokens: int | None = None) -> None:
        """The query has ended; ``good`` is None where that says nothing about the member."""
        self.under_way -= 1
        if good is None:
            return
        self.failures += not good
        was = self.standing.state
        self.standing = standing.called(self.standing, self._rules, self._clock_s(), good=good)
        self.benchings += self.standing.state is State.BENCHED and was is not State.BENCHED
        if good:
            self._latencies.add(seconds)
            if tokens is not None:
                self._tokens += (tokens - self._tokens) / _TOKENS_MEMORY

    def judged(self, *, right: bool) -> None:
        """Feedback says whether an answer was right."""
        was = self.standing.state
        self.standing = standing.judged(
            self.standing, self._rules, self._clock_s(), right=right, promised=self.promised
        )
        self.benchings += self.standing.state is State.BENCHED and was is not State.BENCHED

    def report(self) -> SeatReport:
        """What is known of it."""
        now = self.standing
        return SeatReport(
            self.domain,
            self.key.ensemble,
            self.key.member,
            now.state,
            self.share,
            self.under_way,
            self.latency_ms,
            self.calls,
            self.failures,
            self.benchings,
            now.accuracy,
            now.why,
        )


@dataclass(frozen=True, slots=True)
class Said:
    """What the members said to one request.

    Args:
        answer: what the ensemble said: a label, or a normalised text.
        members: of each member that counted, what it said in the same form.
    """

    answer: str
    members: tuple[tuple[Seat, str], ...]


class Board:
    """Every seat of this process, and what their members said lately.

    What is learned here stays in this process: each replica of a gateway judges by the queries that it saw itself.

    Args:
        observe: where failures and latencies of members go.
        rules: when members leave and come back.
        clock_s: monotonic.
    """

    def __init__(
        self,
        observe: Observe | None = None,
        rules: Rules = _RULES,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.observe = observe
        self._rules = rules
        self._clock_s = clock_s
        self._seats: dict[SeatKey, Seat] = {}
        self._said: OrderedDict[str, Said] = OrderedDict()

    def seat(self, domain: str, key: SeatKey, promised: float | None = None) -> Seat:
        """The seat of that name; made when first asked for."""
        found = self._seats.get(key)
        if found is None:
            found = self._seats[key] = Seat(domain, key, promised, self._rules, self._clock_s)
        return found

    def keep(self, keys: Collection[SeatKey]) -> None:
        """Forget every other seat."""
        self._seats = {key: seat for key, seat in self._seats.items() if key in keys}

    def remember(self, request_id: str, said: Said) -> None:
        """Keep what was said until feedback comes, or 10,000 other requests have."""
        self._said[request_id] = said
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)

    def told(self, request_id: str, metric: str, value: float | None, label: str | None) -> None:
        """Feedback: the right label says who was right; that the answer was right says that who agreed was.

        That it was wrong says the same of those who agreed, and nothing of the others. Only ``correct`` counts.
        """
        if metric != "correct":
            return
        said = self._said.pop(request_id, None)
        if said is None:
            return
        for seat, own in said.members:
            if label is not None:
                seat.judged(right=own == label)
            elif value is not None and (value >= 1 or own == said.answer):
                seat.judged(right=value >= 1 and own == said.answer)

    def reports(self) -> list[SeatReport]:
        """Every seat, by ensemble and member."""
        return [self._seats[key].report() for key in sorted(self._seats, key=lambda key: (key.ensemble, key.member))]
