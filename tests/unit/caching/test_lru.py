from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.caching.lru import BoundedStore
from bailiwick.caching.model import Entry


def entry(size: int) -> Entry:
    return Entry(b"x" * size, 0.0, "r")


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3_000), st.sampled_from(["put", "get", "wait"])), max_size=60)
)
def test_store__any_history__stays_within_its_bounds(history: list[tuple[int, int, str]]) -> None:
    time = Time()
    store = BoundedStore(time)
    newest: dict[bytes, Entry] = {}
    for number, size, step in history:
        key = b"%d" % number
        if step == "put" and store.put(key, entry(size), 10.0, max_entries=5, max_bytes=6_000):
            newest[key] = entry(size)
        elif step == "get":
            found = store.get(key)
            assert found is None or found == newest[key]
        elif step == "wait":
            time.now += 4.0
        assert len(store) <= 5
        assert store.bytes <= 6_000
        assert store.bytes == sum(found.size for found, _ in store._entries.values())


def test_store__full__the_least_recently_used_leaves() -> None:
    store = BoundedStore()
    for key in (b"a", b"b"):
        store.put(key, entry(1), 10.0, max_entries=2, max_bytes=10_000)
    store.get(b"a")
    store.put(b"c", entry(1), 10.0, max_entries=2, max_bytes=10_000)
    assert store.get(b"b") is None and store.get(b"a") and store.get(b"c")
    assert store.evictions == 1


def test_store__time_is_over__the_entry_is_gone() -> None:
    time = Time()
    store = BoundedStore(time)
    store.put(b"a", entry(1), 10.0, max_entries=2, max_bytes=10_000)
    time.now = 9.9
    assert store.get(b"a")
    time.now = 10.0
    assert store.get(b"a") is None and len(store) == 0 and store.bytes == 0


def test_store__larger_than_all_of_it__is_not_kept_and_nothing_leaves() -> None:
    store = BoundedStore()
    store.put(b"a", entry(1), 10.0, max_entries=2, max_bytes=2_000)
    assert not store.put(b"b", entry(5_000), 10.0, max_entries=2, max_bytes=2_000)
    assert store.get(b"a")


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, float("nan")])
def test_store__impossible_time_to_live__is_refused(ttl_s: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        BoundedStore().put(b"a", entry(1), ttl_s, max_entries=2, max_bytes=2_000)
