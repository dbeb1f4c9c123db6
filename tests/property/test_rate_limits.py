"""Buckets never let more through than burst + rate x time; Redis counts as the process does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import accumulate

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bailiwick.gateway.admission.bucket import SCALE, refilled, wait_ms
from bailiwick.gateway.admission.local import LocalLimits
from bailiwick.gateway.admission.model import is_refused
from bailiwick.gateway.admission.shared import SharedLimits
from bailiwick.governance.access.model import LIMITS_MOST, Kind, Limit

MOST = st.one_of(st.integers(1, 10), st.integers(1, 1_000), st.just(LIMITS_MOST["tokens_per_minute"]))
PAUSES = st.one_of(st.integers(0, 50), st.integers(0, 5_000), st.integers(0, 200_000))


class Time:
    """Milliseconds that move when told to."""

    def __init__(self) -> None:
        self.ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.ms


@given(MOST, st.lists(st.tuples(PAUSES, st.integers(1, 2_000)), min_size=1, max_size=40))
def test_bucket__any_pauses_and_sizes__never_more_than_burst_and_rate_times_time(
    most: int, asked: list[tuple[int, int]]
) -> None:
    now = Time()
    local = LocalLimits(lambda _key: 0, lambda: 1, now)
    limit = Limit("key:k:tokens", Kind.TOKENS, most, "k")
    taken: list[tuple[int, int]] = []
    for pause, tokens in asked:
        now.ms += pause
        if not is_refused(local.take([limit], tokens)):
            taken.append((now.ms, min(tokens, most)))
    sums = [0, *accumulate(tokens for _, tokens in taken)]
    for first in range(len(taken)):
        for last in range(first, len(taken)):
            passed = taken[last][0] - taken[first][0]
            assert (sums[last + 1] - sums[first]) * SCALE <= most * SCALE + most * passed


@given(MOST, st.integers(0, 10**6), st.integers(1, 50), PAUSES)
def test_wait__is_exact__one_millisecond_earlier_it_is_refused(most: int, debt: int, need: int, pause: int) -> None:
    need = min(need, most)
    level = refilled(-debt, pause, most)
    wait = wait_ms(level, need, most)
    assert wait_ms(refilled(level, wait, most), need, most) == 0
    if wait:
        assert wait_ms(refilled(level, wait - 1, most), need, most) == 1


@given(st.lists(st.tuples(PAUSES, st.integers(1, 500), st.integers(0, 900)), min_size=1, max_size=30))
def test_settling__what_was_used__bounds_the_long_run_whatever_was_estimated(
    asked: list[tuple[int, int, int]],
) -> None:
    """Sums of what was really used stay within burst + rate x time + one request's overdraft."""
    now, most = Time(), 600
    local = LocalLimits(lambda _key: 0, lambda: 1, now)
    limit = Limit("key:k:tokens", Kind.TOKENS, most, "k")
    start, used_in_all, worst = now.ms, 0, 0
    for pause, tokens, used in asked:
        now.ms += pause
        if not is_refused(local.take([limit], tokens)):
            local.settle([limit], tokens, used)
            used_in_all += used
            worst = max(worst, used)
        assert used_in_all * SCALE <= most * SCALE + most * (now.ms - start) + worst * SCALE


@dataclass(frozen=True)
class Step:
    """One thing that happens: time passes, a request comes, or one ends."""

    pause_ms: int
    tokens: int
    ends: bool
    used: int


STEPS = st.lists(
    st.builds(Step, PAUSES, st.integers(1, 800), st.booleans(), st.integers(0, 1_000)), min_size=1, max_size=25
)


@pytest.mark.redis
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries({}, optional={kind: st.integers(1, 900) for kind in Kind if kind is not Kind.REQUESTS}),
    st.integers(1, 12),
    MOST,
    STEPS,
)
def test_redis__same_requests__gives_the_same_answers_as_the_process(
    redis_server: str, chosen: dict[Kind, int], in_flight: int, most: int, steps: list[Step]
) -> None:
    """One gateway alone: what `shared.lua` decides is what `local.py` decides, to the token and the millisecond."""
    mosts = {Kind.REQUESTS: most, **chosen}
    if Kind.IN_FLIGHT in mosts:
        mosts[Kind.IN_FLIGHT] = in_flight
    limits = [Limit(f"key:k:{kind.value}", kind, value, "k") for kind, value in mosts.items()]

    async def told() -> None:
        now, spent = Time(), 0
        local = LocalLimits(lambda _key: spent, lambda: 5_000, now)
        shared = SharedLimits(redis_server, lambda: 5_000, lambda: "day", now_ms=now, lease_s=10_000, timeout_s=10)
        await shared._client.flushdb()
        under_way: list[tuple[int, str]] = []
        try:
            for step in steps:
                now.ms += step.pause_ms
                if step.ends and under_way:
                    tokens, member = under_way.pop(0)
                    local.settle(limits, tokens, step.used)
                    spent += step.used
                    await shared.settle(limits, tokens, step.used, member)
                taken = await shared.take(limits, step.tokens, lambda _limit: 0)
                assert taken is not None
                standings, member = taken
                assert list(standings) == list(local.take(limits, step.tokens))
                if not is_refused(standings):
                    under_way.append((step.tokens, member))
        finally:
            await shared.stop()

    asyncio.run(told())
