"""A small shared memory for bytes: inside the process by default, in Redis where several processes share it.

A cache holds only what can be made again. Losing it, or any entry of it, costs time and never an answer.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from bailiwick.errors import InvalidInput, Unavailable

_DEFAULT_ENTRIES = 10_000


class Cache(Protocol):
    """Bytes by key. Safe to share between threads."""

    def get(self, key: str) -> bytes | None:
        """The value, or None when the key is absent or expired.

        Raises:
            Unavailable: the cache cannot be reached.
        """
        ...

    def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """Store a value, for ``ttl_s`` seconds or until it is evicted.

        Raises:
            InvalidInput: a time to live that is not positive.
            Unavailable: the cache cannot be reached.
        """
        ...

    def delete(self, key: str) -> None:
        """Forget a key; nothing happens when it is absent.

        Raises:
            Unavailable: the cache cannot be reached.
        """
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


class MemoryCache:
    """A least-recently-used cache inside the process.

    Args:
        entries: how many keys it holds before the least recently used one is evicted.
        monotonic: seconds that only grow; replaced in tests.
    """

    def __init__(self, entries: int = _DEFAULT_ENTRIES, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._capacity = entries
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[bytes, float | None]] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """See `Cache.get`."""
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            value, expires = found
            if expires is not None and expires <= self._monotonic():
                del self._entries[key]
                return None
            self._entries.move_to_end(key)
            return value

    def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """See `Cache.set`."""
        _check_ttl(ttl_s)
        with self._lock:
            self._entries[key] = (value, None if ttl_s is None else self._monotonic() + ttl_s)
            self._entries.move_to_end(key)
            while len(self._entries) > self._capacity:
                self._entries.popitem(last=False)

    def delete(self, key: str) -> None:
        """See `Cache.delete`."""
        with self._lock:
            self._entries.pop(key, None)

    def close(self) -> None:
        """Nothing to give back."""


class RedisCache:
    """A cache in a Redis server.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        timeout_s: how long a call may take; a slow cache is worse than none.

    Raises:
        InvalidInput: the URL cannot be read.
        Unavailable: the ``redis`` package is not installed. A server that is down is only noticed at the first call.
    """

    def __init__(self, url: str, timeout_s: float = 0.5) -> None:
        try:
            import redis
        except ModuleNotFoundError as error:
            raise Unavailable("the redis client is not installed", remedy="pip install 'bailiwick[redis]'") from error
        self._failures: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        try:
            self._client = redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
        except ValueError as error:
            raise InvalidInput(
                "the Redis URL cannot be read", what="redis_url", allowed="redis://host:6379/0, rediss://, unix://"
            ) from error

    def get(self, key: str) -> bytes | None:
        """See `Cache.get`."""
        value: bytes | None = self._call("get", key)
        return value

    def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        """See `Cache.set`."""
        _check_ttl(ttl_s)
        self._call("set", key, value, px=None if ttl_s is None else max(1, round(ttl_s * 1000)))

    def delete(self, key: str) -> None:
        """See `Cache.delete`."""
        self._call("delete", key)

    def close(self) -> None:
        """Close the pooled connections."""
        self._client.close()

    def _call(self, command: str, *arguments: Any, **options: Any) -> Any:
        try:
            return getattr(self._client, command)(*arguments, **options)
        except self._failures as error:
            raise Unavailable(
                f"Redis did not answer: {error}",
                what="redis_url",
                remedy="check the server, or unset BAILIWICK_REDIS_URL",
            ) from error


def _check_ttl(ttl_s: float | None) -> None:
    if ttl_s is not None and not ttl_s > 0:
        raise InvalidInput(f"a time to live must be positive, got {ttl_s!r}", what="ttl_s", requested=ttl_s)
