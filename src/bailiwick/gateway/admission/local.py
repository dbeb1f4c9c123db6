"""The limits of one process: exact, without a lock, because all requests of a process are on one event loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bailiwick.gateway.admission.bucket import SCALE, refilled
from bailiwick.gateway.admission.model import Standing, needed
from bailiwick.gateway.admission.standing import is_bucket, standing_of, wait_of
from bailiwick.governance.access.model import Kind, Limit

_MOST_BUCKETS = 50_000
_TOKENS, _IN_FLIGHT, _BUDGET = Kind.TOKENS, Kind.IN_FLIGHT, Kind.BUDGET


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
        midnight = self._to_midnight_ms
        looked = [(limit, needed(limit, tokens), self._left(limit, now)) for limit in limits]
        waits = [wait_of(limit, need, left, midnight) for limit, need, left in looked]
        if any(waits) and not whatever:
            return [
                standing_of(limit, left, wait, midnight) for (limit, _, left), wait in zip(looked, waits, strict=True)
            ]
        return [standing_of(limit, self._taken(limit, need, left, now), 0, midnight) for limit, need, left in looked]

    def settle(self, limits: Sequence[Limit], tokens: int, used: int) -> None:
        """Set right what was taken: the request has ended, and used so many tokens. To be called once."""
        now = self._now_ms()
        for limit in limits:
            kind, name = limit.kind, limit.name
            if kind is _TOKENS:
                back = needed(limit, tokens) - used
                self._buckets[name] = (min(limit.most * SCALE, self._level(limit, now) + back * SCALE), now)
            elif kind is _IN_FLIGHT:
                _less(self._in_flight, name, 1)
            elif kind is _BUDGET:
                _less(self._reserved, name, needed(limit, tokens))

    def known_spent(self, limit: Limit) -> int:
        """Tokens of a day's budget that are used, or taken by requests in flight, as far as this process knows."""
        return self._spent(limit.subject) + self._reserved.get(limit.name, 0)

    def _level(self, limit: Limit, now: int) -> int:
        held = self._buckets.get(limit.name)
        return limit.most * SCALE if held is None else refilled(held[0], now - held[1], limit.most)

    def _left(self, limit: Limit, now: int) -> int:
        """What may be taken: the level of a bucket, else a number of requests or tokens."""
        if is_bucket(limit):
            return self._level(limit, now)
        if limit.kind is _IN_FLIGHT:
            return limit.most - self._in_flight.get(limit.name, 0)
        return limit.most - self.known_spent(limit)

    def _taken(self, limit: Limit, need: int, left: int, now: int) -> int:
        """Take it; what is left then."""
        if is_bucket(limit):
            left -= need * SCALE
            self._make_room(limit.name)
            self._buckets[limit.name] = (left, now)
            return left
        counts = self._in_flight if limit.kind is _IN_FLIGHT else self._reserved
        counts[limit.name] = counts.get(limit.name, 0) + need
        return left - need

    def _make_room(self, name: str) -> None:
        """Keys come and go; the oldest bucket goes first, when there are far more of them than keys."""
        if len(self._buckets) > _MOST_BUCKETS and name not in self._buckets:
            del self._buckets[next(iter(self._buckets))]


def _less(counts: dict[str, int], name: str, number: int) -> None:
    left = counts.get(name, 0) - number
    if left > 0:
        counts[name] = left
    else:
        counts.pop(name, None)
