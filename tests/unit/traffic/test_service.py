from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bailiwick.clock import VirtualClock
from bailiwick.errors import Conflict, InvalidInput, NotFound, Unavailable
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.storage.database import Database
from bailiwick.traffic.service import CACHE_KEY, TrafficService
from bailiwick.traffic.wire import load_plans

ADA = Actor("ada", reason="because")


class DictCache:
    """The smallest cache there is, which can be told to fail."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.down = False

    def get(self, key: str) -> bytes | None:
        if self.down:
            raise Unavailable("the cache is down")
        return self.entries.get(key)

    def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        if self.down:
            raise Unavailable("the cache is down")
        self.entries[key] = value


@pytest.fixture
def cache() -> DictCache:
    return DictCache()


@pytest.fixture
def traffic(database: Database, clock: VirtualClock, cache: DictCache) -> TrafficService:
    return TrafficService(database, AuditTrail(database, clock), clock, cache)


def change(
    traffic: TrafficService, weights: dict[str, int], expected: int | None = None, domain: str = "cards"
) -> None:
    with traffic.changing() as connection:
        traffic.change(connection, domain, weights, actor=ADA, expected_revision=expected)


def test_plan__nothing_deployed__none(traffic: TrafficService) -> None:
    assert traffic.plan("cards") is None
    assert traffic.plans() == {}
    assert traffic.revision() == 0


def test_change__first_plan__whole_domain_at_revision_1(traffic: TrafficService) -> None:
    change(traffic, {"v1": 7000, "v2": 3000}, expected=0)
    plan = traffic.plan("cards")
    assert plan is not None
    assert (plan.revision, plan.weights) == (1, {"v1": 7000, "v2": 3000})
    assert traffic.plans() == {"cards": plan}
    assert traffic.revision() == 1


def test_change__revision_moved_on__conflict_and_nothing_written(traffic: TrafficService) -> None:
    change(traffic, {"v1": 10_000})
    change(traffic, {"v2": 10_000}, expected=1)
    with pytest.raises(Conflict, match="revision 2, not 1"):
        change(traffic, {"v3": 10_000}, expected=1)
    assert len(traffic.history("cards")) == 2


def test_change__same_weights__no_new_revision(traffic: TrafficService) -> None:
    change(traffic, {"v1": 8000, "v2": 2000})
    change(traffic, {"v2": 2000, "v1": 8000})
    assert traffic.revision() == 1


def test_change__refused_weights__nothing_written(
    traffic: TrafficService, database: Database, clock: VirtualClock
) -> None:
    with pytest.raises(InvalidInput):
        change(traffic, {"v1": 9000})
    assert traffic.plans() == {}
    assert AuditTrail(database, clock).entries() == []


def test_change__audited__with_before_and_after(
    traffic: TrafficService, database: Database, clock: VirtualClock
) -> None:
    change(traffic, {"v1": 10_000})
    change(traffic, {"v1": 9000, "v2": 1000})
    entry = AuditTrail(database, clock).entries(subject="traffic:cards")[0]
    assert (entry.actor, entry.action, entry.reason) == ("ada", "traffic.shift", "because")
    assert entry.before == {"revision": 1, "weights": {"v1": 10_000}}
    assert entry.after == {"revision": 2, "weights": {"v1": 9000, "v2": 1000}}


def test_plan_at__between_changes__what_was_in_force(traffic: TrafficService, clock: VirtualClock) -> None:
    start = clock.now()
    for number, version in enumerate(["v1", "v2", "v3"]):
        clock.advance(timedelta(minutes=1 if number else 0))
        change(traffic, {version: 10_000})
    served = [traffic.plan_at("cards", start + timedelta(seconds=s)) for s in (-1, 0, 59, 60, 119, 3600)]
    assert [record and next(iter(record.plan.weights)) for record in served] == [None, "v1", "v1", "v2", "v2", "v3"]


def test_change__clock_set_back__later_revision_is_not_older(database: Database) -> None:
    late, early = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 11, tzinfo=UTC)
    for version, now in (("v1", late), ("v2", early)):
        clock = VirtualClock(now)
        change(TrafficService(database, AuditTrail(database, clock), clock), {version: 10_000})
    traffic = TrafficService(database, AuditTrail(database, clock), clock)
    record = traffic.plan_at("cards", late)
    assert record is not None
    assert record.plan.weights == {"v2": 10_000}


def test_restore__earlier_revision__same_slots_again(traffic: TrafficService) -> None:
    change(traffic, {"v1": 8000, "v2": 2000})
    change(traffic, {"v3": 10_000})
    with traffic.changing() as connection:
        restored = traffic.restore(connection, "cards", 1, actor=ADA)
    first = traffic.history("cards")[-1]
    assert (restored.revision, restored.ranges) == (3, first.plan.ranges)
    assert traffic.history("cards")[0].restores == 1


def test_restore__unknown_revision__not_found(traffic: TrafficService) -> None:
    change(traffic, {"v1": 10_000})
    with pytest.raises(NotFound), traffic.changing() as connection:
        traffic.restore(connection, "cards", 7, actor=ADA)


def test_publish__after_commit__cache_holds_every_plan(traffic: TrafficService, cache: DictCache) -> None:
    change(traffic, {"v1": 8000, "v2": 2000})
    change(traffic, {"v1": 10_000}, domain="loans")
    published = load_plans(cache.entries[CACHE_KEY])
    assert (published.revision, published.plans) == (2, traffic.plans())
    assert traffic.published() == published


def test_publish__failed_unit__cache_untouched(traffic: TrafficService, cache: DictCache) -> None:
    with pytest.raises(RuntimeError), traffic.changing() as connection:
        traffic.change(connection, "cards", {"v1": 10_000}, actor=ADA)
        raise RuntimeError
    assert cache.entries == {}
    assert traffic.plan("cards") is None


def test_publish__cache_down__change_stands(
    traffic: TrafficService, cache: DictCache, caplog: pytest.LogCaptureFixture
) -> None:
    cache.down = True
    change(traffic, {"v1": 10_000})
    assert traffic.revision() == 1
    assert "not in the cache" in caplog.text
    assert traffic.published() is None


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"revision": 1, "plans": [{"domain": "d"}]}',
        b'{"revision":1,"plans":[{"domain":"d","revision":1,"salt":"s","algorithm":1,'
        b'"ranges":[{"first":0,"end":9999,"version":"v"}]}]}',
    ],
)
def test_published__garbage_in_the_cache__none(traffic: TrafficService, cache: DictCache, document: bytes) -> None:
    cache.entries[CACHE_KEY] = document
    assert traffic.published() is None
