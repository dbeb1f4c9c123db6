"""Leases on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from bailiwick.clock import VirtualClock
from bailiwick.errors import InvalidInput
from bailiwick.storage.database import Database
from bailiwick.storage.leases import Leases


@pytest.fixture
def leases(database: Database, clock: VirtualClock) -> Leases:
    return Leases(database, clock)


def test_acquire__free__is_granted_with_an_epoch(leases: Leases) -> None:
    held = leases.acquire("controller", "a", ttl_s=10)
    assert held is not None
    assert leases.current("controller") == held
    assert held.epoch == 1


def test_acquire__held_by_another__is_refused(leases: Leases) -> None:
    leases.acquire("controller", "a", ttl_s=10)
    assert leases.acquire("controller", "b", ttl_s=10) is None


def test_acquire__by_its_holder__extends_and_keeps_the_epoch(leases: Leases, clock: VirtualClock) -> None:
    first = leases.acquire("controller", "a", ttl_s=10)
    clock.advance(timedelta(seconds=9))
    again = leases.acquire("controller", "a", ttl_s=10)
    assert first is not None
    assert again is not None
    assert again.epoch == first.epoch
    assert again.expires_at > first.expires_at


def test_acquire__expired__passes_on_with_a_higher_epoch(leases: Leases, clock: VirtualClock) -> None:
    first = leases.acquire("controller", "a", ttl_s=10)
    clock.advance(timedelta(seconds=11))
    assert leases.current("controller") is None
    second = leases.acquire("controller", "b", ttl_s=10)
    assert first is not None
    assert second is not None
    assert second.epoch == first.epoch + 1


def test_acquire__own_expired_lease__counts_as_a_change_of_hands(leases: Leases, clock: VirtualClock) -> None:
    first = leases.acquire("controller", "a", ttl_s=10)
    clock.advance(timedelta(seconds=11))
    again = leases.acquire("controller", "a", ttl_s=10)
    assert first is not None
    assert again is not None
    assert again.epoch == first.epoch + 1


def test_release__then_acquire__is_granted_at_once(leases: Leases) -> None:
    held = leases.acquire("controller", "a", ttl_s=10)
    assert held is not None
    assert leases.release(held)
    assert leases.acquire("controller", "b", ttl_s=10) is not None


def test_release__after_it_passed_on__changes_nothing(leases: Leases, clock: VirtualClock) -> None:
    stale = leases.acquire("controller", "a", ttl_s=10)
    clock.advance(timedelta(seconds=11))
    leases.acquire("controller", "b", ttl_s=10)
    assert stale is not None
    assert not leases.release(stale)
    current = leases.current("controller")
    assert current is not None
    assert current.holder == "b"


def test_acquire__many_at_once__exactly_one_wins(leases: Leases) -> None:
    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(lambda n: leases.acquire("race", f"holder-{n}", ttl_s=60), range(16)))
    assert sum(held is not None for held in granted) == 1


def test_acquire__without_duration__is_refused(leases: Leases) -> None:
    with pytest.raises(InvalidInput, match="positive"):
        leases.acquire("controller", "a", ttl_s=0)
