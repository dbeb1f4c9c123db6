"""Redis, the database or a file is away, stale or broken: readers go on, changes succeed, nothing wrong is served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from domain_values import ADA, a_domain

from bailiwick.clock import VirtualClock
from bailiwick.domains.catalogue import Catalogue
from bailiwick.domains.document import serialise
from bailiwick.domains.model import CatalogueState, CatalogueVersion, Domain, DomainSet
from bailiwick.domains.service import DomainService
from bailiwick.domains.sources import (
    CACHE_KEY,
    CacheSource,
    CataloguePublisher,
    DatabaseSource,
    FileSource,
    SourceChain,
)
from bailiwick.domains.watch import CatalogueWatch
from bailiwick.errors import Unavailable
from bailiwick.governance.audit import AuditTrail
from bailiwick.storage.cache import Cache, MemoryCache, RedisCache
from bailiwick.storage.database import Database

NOBODY_LISTENS = "redis://127.0.0.1:1/0"


class House:
    """One database with everything that reads it; the database can be cut off."""

    def __init__(self, database: Database, clock: VirtualClock, cache: Cache, file: Path | None = None) -> None:
        self.cache = cache
        self.cut_off = False
        self.publisher = CataloguePublisher(CacheSource(cache))
        self.service = DomainService(database, AuditTrail(database, clock), clock, self.publisher.publish)
        self.chain = SourceChain(
            DatabaseSource(self._reach), CacheSource(cache), None if file is None else FileSource(file)
        )
        self.watch = CatalogueWatch(self.chain, 0.05, {})

    def _reach(self) -> DomainService:
        if self.cut_off:
            raise Unavailable("the database is cut off")
        return self.service

    def served(self) -> set[str]:
        self.watch.step()
        return set(self.watch.current.domains)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def cache(request: pytest.FixtureRequest) -> Cache:
    if request.param == "memory":
        return MemoryCache()
    return RedisCache(request.getfixturevalue("redis_url"))


@pytest.fixture
def house(sqlite_database: Database, clock: VirtualClock, cache: Cache) -> House:
    return House(sqlite_database, clock, cache)


def test_watch__domains_change__each_step_sees_the_newest(house: House) -> None:
    assert house.served() == set()
    house.service.create(a_domain("a"), ADA, activate=True)
    assert house.served() == {"a"}
    assert house.watch.step() is False, "nothing changed"
    house.service.create(a_domain("b"), ADA, activate=True)
    house.service.archive("a", ADA)
    assert house.served() == {"b"}
    assert house.chain.failures == {}


def test_watch__database_away__the_copy_in_the_cache_serves_a_new_reader(house: House) -> None:
    house.service.create(a_domain("a"), ADA, activate=True)
    house.cut_off = True

    assert house.served() == {"a"}
    assert house.chain.failures["database"] == 1


def test_watch__copy_older_than_the_database__database_wins(house: House) -> None:
    house.service.create(a_domain("a"), ADA, activate=True)
    old = house.cache.get(CACHE_KEY)
    house.service.create(a_domain("b"), ADA, activate=True)
    assert old is not None
    house.cache.set(CACHE_KEY, old)

    assert house.served() == {"a", "b"}


def test_watch__copy_of_another_database__database_wins(house: House) -> None:
    house.service.create(a_domain("a"), ADA, activate=True)
    stranger = CatalogueState(CatalogueVersion("another", 1), DomainSet({"x": a_domain("x")}))
    CacheSource(house.cache).store(stranger)

    assert house.served() == {"a"}


@pytest.mark.parametrize(
    "value", [b"", b"\n", b"[1]\n{}", b'["c", "x"]\n{}', b"\xff\xfe", b'["c", 1]\n{"domains": {"a": {"x": 1}}}']
)
def test_watch__copy_is_broken__database_serves(house: House, value: bytes) -> None:
    house.service.create(a_domain("a"), ADA, activate=True)
    house.cache.set(CACHE_KEY, value)

    assert house.served() == {"a"}
    house.cut_off = True
    fresh = CatalogueWatch(house.chain, 0.05, {})
    with pytest.raises(Unavailable, match="no source"):
        fresh.step()
    assert house.chain.failures["redis"] >= 1


def test_watch__right_version_over_a_broken_document__database_serves(house: House) -> None:
    house.service.create(a_domain("a"), ADA, activate=True)
    version = house.service.version()
    assert version is not None
    house.cache.set(CACHE_KEY, json.dumps([version.catalogue, version.revision]).encode() + b'\n{"domains": {"a": ')

    assert house.served() == {"a"}


def test_change__redis_down__succeeds_and_is_counted(sqlite_database: Database, clock: VirtualClock) -> None:
    house = House(sqlite_database, clock, RedisCache(NOBODY_LISTENS))

    house.service.create(a_domain("a"), ADA, activate=True)

    assert house.publisher.failures == 1
    assert house.served() == {"a"}


def test_watch__everything_away_after_a_good_start__last_catalogue_stays(
    sqlite_database: Database, clock: VirtualClock
) -> None:
    house = House(sqlite_database, clock, RedisCache(NOBODY_LISTENS))
    house.service.create(a_domain("a"), ADA, activate=True)
    assert house.served() == {"a"}

    house.cut_off = True
    assert house.served() == {"a"}
    house.cut_off = False
    house.service.create(a_domain("b"), ADA, activate=True)
    assert house.served() == {"a", "b"}


def test_watch__no_domain_was_ever_made__file_serves_until_one_is(
    sqlite_database: Database, clock: VirtualClock, tmp_path: Path
) -> None:
    file = tmp_path / "domains.json"
    file.write_bytes(serialise(DomainSet({"f": a_domain("f")})))
    house = House(sqlite_database, clock, MemoryCache(), file)

    assert house.served() == {"f"}
    file.write_bytes(serialise(DomainSet({"g": a_domain("g")})))
    assert house.served() == {"g"}, "the file is reloaded too"
    file.write_bytes(b'{"domains": ')
    assert house.served() == {"g"}, "half a file changes nothing"
    house.service.create(a_domain("a"), ADA, activate=True)
    assert house.served() == {"a"}


def test_watch__listener_fails__the_others_are_told(house: House) -> None:
    told: list[Catalogue] = []

    def fail(_catalogue: Catalogue) -> None:
        raise RuntimeError("a listener's own fault")

    house.watch.subscribe(fail)
    house.watch.subscribe(told.append)
    house.service.create(a_domain("a"), ADA, activate=True)

    assert house.watch.step() is True
    assert told == [house.watch.current]


def test_watch__started_twice_and_closed__follows_then_stops(house: House) -> None:
    house.watch.start()
    house.watch.start()
    house.watch.close()
    house.service.create(a_domain("a"), ADA, activate=True)

    assert set(house.watch.current.domains) == set()


def test_chain__database_away_and_an_older_copy_in_redis__what_is_known_stays() -> None:
    def away() -> DomainService:
        raise Unavailable("the database is away")

    copies = CacheSource(MemoryCache())
    chain = SourceChain(DatabaseSource(away), copies)
    document = DomainSet({"cards": Domain("cards", "Cards", "a")})
    copies.store(CatalogueState(CatalogueVersion("c", 4), document))
    assert chain.load(CatalogueVersion("c", 5)) is None
    assert chain.load(CatalogueVersion("c", 4)) is None
    newer = chain.load(CatalogueVersion("c", 3))
    assert newer is not None and newer.version.revision == 4
    assert chain.load(None) == newer
