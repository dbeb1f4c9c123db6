from __future__ import annotations

import pytest

from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.storage.cache import MemoryCache, RedisCache


def test_memory_cache__full__forgets_the_least_recently_used() -> None:
    cache = MemoryCache(entries=2)
    cache.set("a", b"1")
    cache.set("b", b"2")
    cache.get("a")
    cache.set("c", b"3")
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (b"1", None, b"3")


def test_memory_cache__time_passes__entry_expires() -> None:
    now = [0.0]
    cache = MemoryCache(monotonic=lambda: now[0])
    cache.set("a", b"1", ttl_s=5)
    now[0] = 4.9
    assert cache.get("a") == b"1"
    now[0] = 5.0
    assert cache.get("a") is None


def test_redis_cache__server_away__says_so_within_its_timeout() -> None:
    cache = RedisCache("redis://127.0.0.1:1/0", timeout_s=0.2)
    with pytest.raises(Unavailable, match="Redis did not answer"):
        cache.get("a")


def test_redis_cache__unreadable_url__is_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        RedisCache("http://example.invalid")
