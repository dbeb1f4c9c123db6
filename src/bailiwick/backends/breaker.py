"""When a replica that fails is left alone, and how it comes back. Pure.

A breaker is *closed* while calls go through. After some failures in a row it *opens*: no call is sent for a pause that
doubles with each opening in a row. Then it is *half open*: one call goes through as a trial. If that succeeds, the
breaker closes and the replica's share grows from a tenth to the whole over a few seconds (slow start); if it fails,
the breaker opens again.

Pattern: Nygard, Release It!, 2nd edition, chapter 5; outlier ejection and slow start as in Envoy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

FIRST_SHARE = 0.1
"""Of its traffic that a replica gets when it comes back."""


class BreakerState(StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """What opens a breaker, and for how long.

    Args:
        failures: in a row that open it; 0: it never opens.
        first_pause_s: the pause of the first opening.
        longest_pause_s: what the doubling pauses end at.
        slow_start_s: from coming back to the whole share.
    """

    failures: int = 5
    first_pause_s: float = 1.0
    longest_pause_s: float = 30.0
    slow_start_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """The state of one replica's breaker. All times are of one monotonic clock, in seconds.

    Args:
        failures: in a row, while closed.
        openings: in a row, without a success in between.
        closed_to_s: until when no call goes through, while open.
        trial: whether the trial of a half-open breaker is under way.
        back_s: when it closed again; None: it never opened.
    """

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    openings: int = 0
    closed_to_s: float = 0.0
    trial: bool = False
    back_s: float | None = None


def admits(breaker: Breaker, now_s: float) -> bool:
    """Whether a call may be sent now.

    >>> admits(Breaker(), 0.0), admits(Breaker(BreakerState.OPEN, closed_to_s=9.0), 8.0)
    (True, False)
    """
    if breaker.state is BreakerState.CLOSED:
        return True
    if breaker.state is BreakerState.OPEN:
        return now_s >= breaker.closed_to_s
    return not breaker.trial


def entered(breaker: Breaker, now_s: float) -> Breaker:
    """The breaker once an admitted call was sent: in every state but closed, the call is the trial."""
    if breaker.state is BreakerState.CLOSED:
        return breaker
    assert admits(breaker, now_s)
    return replace(breaker, state=BreakerState.HALF_OPEN, trial=True)


def succeeded(breaker: Breaker, now_s: float, *, trial: bool) -> Breaker:
    """The breaker after a call that succeeded. One that was sent before the breaker opened says nothing new."""
    if breaker.state is BreakerState.CLOSED:
        return replace(breaker, failures=0) if breaker.failures else breaker
    return Breaker(back_s=now_s) if trial else breaker


def failed(breaker: Breaker, rules: BreakerRules, now_s: float, *, trial: bool) -> Breaker:
    """The breaker after a call that failed."""
    if breaker.state is BreakerState.CLOSED:
        failures = breaker.failures + 1
        if not rules.failures or failures < rules.failures:
            return replace(breaker, failures=failures)
        return _opened(breaker, rules, now_s)
    return _opened(breaker, rules, now_s) if trial else breaker


def abandoned(breaker: Breaker, *, trial: bool) -> Breaker:
    """The breaker after a call that was given up before its outcome was known: the next call may be the trial."""
    return replace(breaker, trial=False) if trial and breaker.state is BreakerState.HALF_OPEN else breaker


def probed(breaker: Breaker) -> Breaker:
    """The breaker after a health check that succeeded: an open one need not wait any longer for its trial."""
    if breaker.state is not BreakerState.OPEN:
        return breaker
    return replace(breaker, state=BreakerState.HALF_OPEN, trial=False)


def share(breaker: Breaker, rules: BreakerRules, now_s: float) -> float:
    """The part of its traffic that a replica gets, from a tenth just after coming back to 1.

    >>> share(Breaker(), BreakerRules(), 0.0), share(Breaker(back_s=0.0), BreakerRules(slow_start_s=10.0), 5.0)
    (1.0, 0.5)
    """
    if breaker.state is not BreakerState.CLOSED:
        return FIRST_SHARE
    if breaker.back_s is None or rules.slow_start_s <= 0:
        return 1.0
    return min(1.0, max(FIRST_SHARE, (now_s - breaker.back_s) / rules.slow_start_s))


def _opened(breaker: Breaker, rules: BreakerRules, now_s: float) -> Breaker:
    pause_s = min(rules.longest_pause_s, rules.first_pause_s * 2.0 ** min(breaker.openings, 30))
    return Breaker(BreakerState.OPEN, openings=breaker.openings + 1, closed_to_s=now_s + pause_s)
