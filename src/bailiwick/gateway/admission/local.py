"""The limits of one process: exact, without a lock, because all requests of a process are on one event loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bailiwick.gateway.admission.bucket import SCALE, refilled, wait_ms, whole
from bailiwick.gateway.admission.model import Standing, is_refused, needed
from bailiwick.governance.access.model import Kind, Limit

IN_FLIGHT_WAIT_MS = 1_000
"""When to ask again while too many requests are in flight: nobody knows when one ends."""

_MOST_BUCKETS = 50_000
_BUCKETS = (Kind.REQUESTS, Kind.TOKENS)


def monotonic_ms() -> int:
    """Milliseconds of a clock that only goes forward."""
    return time.monotonic_ns() // 1_000_000


class LocalLimits:
    """Counts against limits.

    Args:
        now_ms: a clock that only goes forward.
        spent: tokens that a key has used today, as far as this process knows.
        to_midnight_ms: until the day of UTC ends.
    """

    def __init__(
        self,
        spent: Callable[[str], int],
        to_midnight_ms: Callable[[], int],
        now_ms: Callable[[], int] = monotonic_ms,
    ) -> None:
        self._now_ms = now_ms
        self._spent = spent
        self._to_midnight_ms = to_midnight_ms
        self._buckets: dict[str, tuple[int, int]] = {}
        self._in_flight: dict[str, int] = {}
        self._reserved: dict[str, int] = {}

    def take(self, limits: Sequence[Limit], tokens: int, *, whatever: bool = False) -> Sequence[Standing]:
        """Take one request of so many tokens from all limits, or, if one of them refuses, from none.

        Args:
            limits: of the request.
            tokens: that it takes; see `needed`.
            whatever: take it also from limits that refuse, because others have decided.
        """
        now = self._now_ms()
        standings = [self._standing(limit, needed(limit, tokens), now) for limit in limits]
        if whatever or not is_refused(standings):
            return [self._taken(each, needed(each.limit, tokens), now) for each in standings]
        return standings

    def settle(self, limits: Sequence[Limit], tokens: int, used: int) -> None:
        """Set right what was taken: the request has ended, and used so many tokens. To be called once."""
        now = self._now_ms()
        for limit in limits:
            kind, name = limit.kind, limit.name
            if kind is Kind.TOKENS:
                back = needed(limit, tokens) - used
                self._buckets[name] = (min(limit.most * SCALE, self._level(limit, now) + back * SCALE), now)
            elif kind is Kind.IN_FLIGHT:
                _less(self._in_flight, name, 1)
            elif kind is Kind.BUDGET:
                _less(self._reserved, name, needed(limit, tokens))

    def known_spent(self, limit: Limit) -> int:
        """Tokens of a day's budget that are used, or taken by requests in flight, as far as this process knows."""
        return self._spent(limit.subject) + self._reserved.get(limit.name, 0)

    def _level(self, limit: Limit, now: int) -> int:
        held = self._buckets.get(limit.name)
        return limit.most * SCALE if held is None else refilled(held[0], now - held[1], limit.most)

    def _standing(self, limit: Limit, need: int, now: int) -> Standing:
        """Where a limit stands; ``remaining`` of a bucket is still its level here, which `_taken` makes whole."""
        kind, most = limit.kind, limit.most
        if kind in _BUCKETS:
            level = self._level(limit, now)
            wait = wait_ms(level, need, most)
            return Standing(limit, whole(level), wait_ms(level, most, most), wait)
        if kind is Kind.IN_FLIGHT:
            left = most - self._in_flight.get(limit.name, 0)
            return Standing(limit, left, 0, 0 if left >= need else IN_FLIGHT_WAIT_MS)
        left = most - self.known_spent(limit)
        midnight = self._to_midnight_ms()
        return Standing(limit, left, midnight, 0 if left >= need else midnight)

    def _taken(self, standing: Standing, need: int, now: int) -> Standing:
        limit = standing.limit
        if limit.kind in _BUCKETS:
            level = self._level(limit, now) - need * SCALE
            self._make_room(limit.name)
            self._buckets[limit.name] = (level, now)
            return Standing(limit, whole(level), wait_ms(level, limit.most, limit.most), 0)
        counts = self._in_flight if limit.kind is Kind.IN_FLIGHT else self._reserved
        counts[limit.name] = counts.get(limit.name, 0) + need
        return Standing(limit, standing.remaining - need, standing.reset_ms, 0)

    def _make_room(self, name: str) -> None:
        """Keys come and go; the oldest bucket goes first, when there are far more of them than keys."""
        if name in self._buckets:
            return
        if len(self._buckets) >= _MOST_BUCKETS:
            del self._buckets[next(iter(self._buckets))]


def _less(counts: dict[str, int], name: str, number: int) -> None:
    left = counts.get(name, 0) - number
    if left > 0:
        counts[name] = left
    else:
        counts.pop(name, None)
