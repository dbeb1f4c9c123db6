"""The limits of all gateways together, counted in one Redis by one atomic call per request.

Reading and taking are one step (`shared.lua`), on the clock of Redis, so that two gateways can never both take the last
token. While Redis does not answer, `take` says so and each gateway counts by itself; what was tried is not tried again
by requests: a task in the background finds out when Redis is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.gateway.admission.calls import ScriptCalls
from bailiwick.gateway.admission.model import Standing, needed
from bailiwick.gateway.admission.standing import standing_of
from bailiwick.governance.access.model import Kind, Limit

_log = logging.getLogger(__name__)
_PREFIX = "{bailiwick:limits}:"  # the braces keep all counters on one node of a cluster


class SharedLimits:
    """Counts against limits in Redis.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        to_midnight_ms: until the day of UTC ends.
        today: the day of UTC, such as ``2026-11-24``.
        timeout_s: how long a request waits for Redis before its gateway counts by itself.
        probe_s: how often a Redis that is away is asked whether it is back.
        lease_s: how long a request that nobody renews counts as in flight: its gateway was killed.
        now_ms: the time to count by; None: that of Redis, one clock for all gateways.

    Raises:
        InvalidInput: the URL cannot be read.
        Unavailable: the ``redis`` package is not installed. A server that is down is noticed at the first request.
    """

    def __init__(
        self,
        url: str,
        to_midnight_ms: Callable[[], int],
        today: Callable[[], str],
        *,
        timeout_s: float = 0.25,
        probe_s: float = 1.0,
        lease_s: float = 30.0,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        try:
            import redis
            import redis.asyncio
        except ModuleNotFoundError as error:
            raise Unavailable("the redis client is not installed", remedy="pip install 'bailiwick[redis]'") from error
        self._failures: tuple[type[Exception], ...] = (redis.RedisError, OSError, TimeoutError)
        try:
            # how long answers may take is timed once, around a journey, rather than at each read and write
            self._client: Any = redis.asyncio.Redis.from_url(url, socket_connect_timeout=timeout_s)
        except ValueError as error:
            raise InvalidInput(
                "the Redis URL cannot be read", what="redis_url", allowed="redis://host:6379/0, rediss://, unix://"
            ) from error
        self._calls = ScriptCalls(
            self._client,
            (files("bailiwick.gateway.admission") / "shared.lua").read_text("utf-8"),
            timeout_s,
            unknown=redis.exceptions.NoScriptError,
            failures=self._failures,
            lost=self._lose,
        )
        self._to_midnight_ms = to_midnight_ms
        self._today = today
        self._timeout_s = timeout_s
        self._probe_s = probe_s
        self._lease_ms = int(lease_s * 1000)
        self._now_ms = now_ms
        self._name = secrets.token_hex(8)
        self._asked = 0
        self._held: dict[str, str] = {}
        self._probing: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self.is_up = True
        self.losses = 0

    async def take(
        self, limits: Sequence[Limit], tokens: int, known_spent: Callable[[Limit], int]
    ) -> tuple[Sequence[Standing], str] | None:
        """Take one request from all limits, or, if one of them refuses, from none.

        Args:
            limits: of the request.
            tokens: that it takes; see `needed`.
            known_spent: of a day's budget.

        Returns:
            Where the limits stand, and the request's name among those in flight; None: Redis does not answer.
        """
        if not self.is_up:
            return None
        self._asked += 1
        member = f"{self._name}:{self._asked}"
        said = [
            f"{limit.kind.value} {limit.most} {needed(limit, tokens)} "
            f"{known_spent(limit) if limit.kind is Kind.BUDGET else 0}"
            for limit in limits
        ]
        arguments = ["take", self._time(), member, self._lease_ms, " ".join(said)]
        try:
            answer = await self._calls.ask(self._names(limits), arguments)
        except self._failures:
            return None
        admitted, *numbers = map(int, answer.split())
        if admitted:
            self._hold(limits, member)
        return [self._standing(*each) for each in zip(limits, numbers[::2], numbers[1::2], strict=True)], member

    async def settle(self, limits: Sequence[Limit], tokens: int, used: int, member: str) -> None:
        """Set right what was taken: the request has ended, and used so many tokens. To be called once."""
        call = self._settlement(limits, tokens, used, member)
        if call is not None:
            with contextlib.suppress(*self._failures):
                await self._calls.ask(*call)

    def settle_soon(self, limits: Sequence[Limit], tokens: int, used: int, member: str) -> None:
        """As `settle`, without waiting for it."""
        call = self._settlement(limits, tokens, used, member)
        if call is not None:
            self._calls.tell(*call)

    def _settlement(
        self, limits: Sequence[Limit], tokens: int, used: int, member: str
    ) -> tuple[list[str], list[str | int]] | None:
        counted = [limit for limit in limits if limit.kind is not Kind.REQUESTS]
        self._held.pop(member, None)
        if not counted or not self.is_up:
            return None
        said = [f"{limit.kind.value} {limit.most} {needed(limit, tokens) - used} 0" for limit in counted]
        return self._names(counted), ["settle", self._time(), member, self._lease_ms, " ".join(said)]

    async def stop(self) -> None:
        """Finish what is being settled, and close the connections."""
        for task in (self._probing, self._renewing):
            if task is not None:
                task.cancel()
        await self._calls.stop()
        with contextlib.suppress(*self._failures):
            await self._client.aclose()

    def _time(self) -> str | int:
        return "" if self._now_ms is None else self._now_ms()

    def _names(self, limits: Sequence[Limit]) -> list[str]:
        return [
            f"{_PREFIX}{limit.name}:{self._today()}" if limit.kind is Kind.BUDGET else f"{_PREFIX}{limit.name}"
            for limit in limits
        ]

    def _standing(self, limit: Limit, left: int, wait: int) -> Standing:
        if limit.kind is Kind.BUDGET and wait:
            wait = self._to_midnight_ms()
        return standing_of(limit, left, wait, self._to_midnight_ms)

    def _lose(self, error: Exception) -> None:
        if self.is_up:
            self.is_up = False
            self.losses += 1
            _log.warning("Redis does not answer (%s); this gateway counts limits by itself", type(error).__name__)
            self._probing = asyncio.ensure_future(self._probe())

    async def _probe(self) -> None:
        while not self.is_up:
            await asyncio.sleep(self._probe_s)
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._client.ping()
            except self._failures:
                continue
            self.is_up = True
            _log.warning("Redis answers again; limits are counted together")

    def _hold(self, limits: Sequence[Limit], member: str) -> None:
        """Renew the lease of a request that is counted as in flight, for as long as it is."""
        name = next((limit.name for limit in limits if limit.kind is Kind.IN_FLIGHT), None)
        if name is None:
            return
        self._held[member] = f"{_PREFIX}{name}"
        if self._renewing is None:
            self._renewing = asyncio.ensure_future(self._renew_forever())

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self._lease_ms / 3000)
            if self.is_up and self._held:
                await self._renew()

    async def _renew(self) -> None:
        try:
            async with asyncio.timeout(4 * self._timeout_s):
                now = self._now_ms() if self._now_ms is not None else await self._redis_ms()
                pipeline = self._client.pipeline(transaction=False)
                for member, name in list(self._held.items()):
                    pipeline.zadd(name, {member: now + self._lease_ms}, xx=True)
                    pipeline.pexpire(name, 2 * self._lease_ms)
                await pipeline.execute()
        except self._failures as error:
            self._lose(error)

    async def _redis_ms(self) -> int:
        seconds, microseconds = await self._client.time()
        return int(seconds) * 1000 + int(microseconds) // 1000
