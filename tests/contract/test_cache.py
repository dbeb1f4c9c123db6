"""What every cache must do, in the process and in Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bailiwick.errors import InvalidInput
from bailiwick.storage.cache import Cache, MemoryCache, RedisCache


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def cache(request: pytest.FixtureRequest) -> Iterator[Cache]:
    made: Cache = (
        MemoryCache() if request.param == "memory" else RedisCache(request.getfixturevalue("redis_url"), timeout_s=5)
    )
    yield made
    made.close()


def test_get__never_set__is_none(cache: Cache) -> None:
    assert cache.get("contract:absent") is None


def test_set__then_get__gives_the_same_bytes(cache: Cache) -> None:
    cache.set("contract:a", b"\x00\xff")
    assert cache.get("contract:a") == b"\x00\xff"


def test_set__twice__last_value_wins(cache: Cache) -> None:
    cache.set("contract:a", b"1")
    cache.set("contract:a", b"2")
    assert cache.get("contract:a") == b"2"


def test_delete__present_and_absent__both_leave_nothing(cache: Cache) -> None:
    cache.set("contract:a", b"1")
    cache.delete("contract:a")
    cache.delete("contract:a")
    assert cache.get("contract:a") is None


def test_set__short_time_to_live__expires(cache: Cache) -> None:
    cache.set("contract:brief", b"1", ttl_s=0.05)
    for _ in range(100):
        if cache.get("contract:brief") is None:
            break
        time.sleep(0.05)
    assert cache.get("contract:brief") is None


@pytest.mark.parametrize("ttl_s", [0, -1, float("nan")])
def test_set__impossible_time_to_live__is_refused(cache: Cache, ttl_s: float) -> None:
    with pytest.raises(InvalidInput, match="positive"):
        cache.set("contract:a", b"1", ttl_s=ttl_s)
