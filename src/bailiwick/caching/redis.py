"""Answers in a Redis server. It may be slow, away or full at any time: that costs no request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from typing import Any

from bailiwick.backends import breaker
from bailiwick.errors import InvalidInput, Unavailable

_log = logging.getLogger(__name__)
_PREFIX = b"bailiwick:answer:"
_MOST_PUTS = 64
_RULES = breaker.BreakerRules(failures=3, first_pause_s=1.0, longest_pause_s=15.0, slow_start_s=0.0)


class RedisAnswers:
    """See `SharedAnswers`. Made and used inside one event loop.

    After three failures in a row the server is left alone for a second, then longer, up to 15 s.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        timeout_s: how long a request waits for an answer; a slow cache is worse than none.

    Raises:
        InvalidInput: the URL cannot be read.
        Unavailable: the ``redis`` package is not installed. A server that is down is only noticed when it is used.
    """

    def __init__(self, url: str, timeout_s: float = 0.05) -> None:
        try:
            import redis.asyncio as client
        except ModuleNotFoundError as error:
            raise Unavailable("the redis client is not installed", remedy="pip install 'bailiwick[redis]'") from error
        try:
            self._client: Any = client.Redis.from_url(url, retry=None)
        except ValueError as error:
            raise InvalidInput(
                "the Redis URL cannot be read", what="redis_url", allowed="redis://host:6379/0, rediss://, unix://"
            ) from error
        self._timeout_s = timeout_s
        self._breaker = breaker.Breaker()
        self._puts: set[asyncio.Task[Any]] = set()
        self.failures = 0
        self.dropped = 0

    async def get(self, key: bytes) -> bytes | None:
        """See `SharedAnswers.get`."""
        found: bytes | None = await self._tried(self._client.get(_PREFIX + key.hex().encode()), self._timeout_s)
        return found

    def put(self, key: bytes, value: bytes, ttl_s: float) -> None:
        """See `SharedAnswers.put`. Nobody waits for it, so it may take ten times as long as a look-up."""
        if len(self._puts) >= _MOST_PUTS or not breaker.admits(self._breaker, time.monotonic()):
            self.dropped += 1
            return
        command = self._client.set(_PREFIX + key.hex().encode(), value, px=max(1, round(ttl_s * 1000)))
        task = asyncio.get_running_loop().create_task(self._tried(command, 10 * self._timeout_s))
        self._puts.add(task)
        task.add_done_callback(self._puts.discard)

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        await asyncio.gather(*self._puts, return_exceptions=True)

    async def close(self) -> None:
        """See `SharedAnswers.close`."""
        for task in list(self._puts):
            task.cancel()
        await self.settled()
        try:
            await self._client.aclose()
        except Exception as error:  # noqa: BLE001 - the server may be gone; there is nothing left to give back
            _log.debug("Redis did not say goodbye: %s", error)

    async def _tried(self, command: Awaitable[Any], within_s: float) -> Any:
        now = time.monotonic()
        if not breaker.admits(self._breaker, now):
            _unawaited(command)
            return None
        trial = self._breaker.state is not breaker.BreakerState.CLOSED
        self._breaker = breaker.entered(self._breaker, now)
        try:
            async with asyncio.timeout(within_s):
                found = await command
        except asyncio.CancelledError:
            self._breaker = breaker.abandoned(self._breaker, trial=trial)
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the cache, the model can still be asked
            self.failures += 1
            before = self._breaker.state
            self._breaker = breaker.failed(self._breaker, _RULES, time.monotonic(), trial=trial)
            if self._breaker.state is breaker.BreakerState.OPEN and before is breaker.BreakerState.CLOSED:
                _log.warning("kept answers are not shared for now: Redis fails with %s", type(error).__name__)
            return None
        self._breaker = breaker.succeeded(self._breaker, time.monotonic(), trial=trial)
        return found


def _unawaited(command: Awaitable[Any]) -> None:
    """Close a coroutine that is not going to run."""
    close = getattr(command, "close", None)
    if close is not None:
        close()
