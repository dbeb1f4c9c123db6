"""The plans in a real Redis."""

from __future__ import annotations

import logging

import pytest
import servers
from deliveries import ADA

from bailiwick.clock import VirtualClock
from bailiwick.governance.audit import AuditTrail
from bailiwick.storage.cache import RedisCache
from bailiwick.storage.database import Database
from bailiwick.traffic.service import TrafficService


@pytest.mark.redis
def test_publish__real_redis__other_process_reads_the_plans(
    sqlite_database: Database, clock: VirtualClock, redis_url: str
) -> None:
    audit = AuditTrail(sqlite_database, clock)
    traffic = TrafficService(sqlite_database, audit, clock, RedisCache(redis_url))
    with traffic.changing() as connection:
        traffic.change(connection, "cards", {"v1": 7000, "v2": 3000}, actor=ADA)
    other = TrafficService(sqlite_database, audit, clock, RedisCache(redis_url)).published()
    assert other is not None
    assert (other.revision, other.plans) == (1, traffic.plans())


def test_publish__no_redis_there__change_stands(
    sqlite_database: Database, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    cache = RedisCache(f"redis://127.0.0.1:{servers.free_port()}/0", timeout_s=0.2)
    traffic = TrafficService(sqlite_database, AuditTrail(sqlite_database, clock), clock, cache)
    with caplog.at_level(logging.WARNING), traffic.changing() as connection:
        traffic.change(connection, "cards", {"v1": 10_000}, actor=ADA)
    assert traffic.revision() == 1
    assert "not in the cache" in caplog.text
