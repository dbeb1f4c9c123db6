"""Minutes become hours and days exactly once, and a question costs the same rows however much was observed."""

from __future__ import annotations

import os
import random
import signal
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from bailiwick.clock import VirtualClock
from bailiwick.metrics import history
from bailiwick.metrics.resolution import Resolution
from bailiwick.metrics.rollup import Rollup
from bailiwick.metrics.service import MetricsService
from bailiwick.metrics.store import metric_rollup
from bailiwick.storage.database import Database

Seen = list[tuple[datetime, float]]


def service(database: Database, clock: VirtualClock) -> MetricsService:
    return MetricsService(database, clock, flush_interval_s=3600, minutes_kept=timedelta(days=1))


def expected(seen: Seen, since: datetime, until: datetime) -> Rollup:
    return Rollup.of([value for at, value in seen if since <= at < until])


def assert_same(found: Rollup, wanted: Rollup) -> None:
    assert (found.count, found.minimum, found.maximum) == (wanted.count, wanted.minimum, wanted.maximum)
    assert found.total == pytest.approx(wanted.total)
    assert list(found.sketch.counts) == list(wanted.sketch.counts)


def live(database: Database, clock: VirtualClock, *, days: float) -> tuple[MetricsService, Seen]:
    """Two processes observe for days, one compacts now and then."""
    rng = random.Random(3)
    writers = [service(database, clock) for _ in range(2)]
    seen: Seen = []
    end = clock.now() + timedelta(days=days)
    while clock.now() < end:
        clock.advance(timedelta(minutes=rng.randrange(1, 40)))
        for writer in writers:
            late = timedelta(hours=rng.randrange(6)) if rng.random() < 0.1 else timedelta()
            value = rng.lognormvariate(3, 1)
            writer.record("cards", "v1", "latency_ms", value, at=clock.now() - late)
            seen.append((clock.now() - late, value))
            if rng.random() < 0.7:
                writer.flush()
        if rng.random() < 0.1:
            writers[0].compact()
    for writer in writers:
        writer.flush()
    writers[0].compact()
    clock.advance(timedelta(minutes=1))
    return writers[0], seen


def test_query__over_days__same_as_from_every_value(database: Database, clock: VirtualClock) -> None:
    start = clock.now()
    metrics, seen = live(database, clock, days=3)
    now = clock.now()
    recent = now.replace(second=0) - timedelta(hours=20, minutes=17)
    for since in (start - timedelta(hours=12), Resolution.HOUR.floor(start + timedelta(hours=30)), recent):
        assert_same(metrics.query("cards", "latency_ms", since, now), expected(seen, since, now))
    with database.read() as connection:
        assert connection.scalar(select(func.min(metric_rollup.c.minute))) >= now - timedelta(days=1, hours=1)
    days = metrics.series("cards", "latency_ms", start, now, resolution=Resolution.DAY)
    assert [point.key.minute.hour for point in days] == [0] * len(days)
    assert sum(point.rollup.count for point in days) == len(seen)
    for resolution in Resolution:
        for point in metrics.series("cards", "latency_ms", recent, now, resolution=resolution):
            begin = point.key.minute
            if begin >= recent:
                assert_same(point.rollup, expected(seen, begin, begin + resolution.length))
    assert metrics.summary("cards", start - timedelta(days=1), now)[0].count == len(seen)


def test_compact__again_and_again__changes_nothing(database: Database, clock: VirtualClock) -> None:
    metrics, seen = live(database, clock, days=0.7)
    metrics.record("cards", "v1", "latency_ms", 77.0, at=clock.now() - timedelta(hours=8))
    metrics.flush()
    assert [metrics.compact(), metrics.compact(), metrics.compact()] == [1, 0, 0]
    since = clock.now() - timedelta(days=1)
    assert metrics.query("cards", "latency_ms", since, clock.now()).count == len(seen) + 1


def test_compact__killed_in_the_middle__later_as_if_nothing_had_been(database: Database, clock: VirtualClock) -> None:
    metrics = service(database, clock)
    start = clock.now()
    for minute in range(300):
        metrics.record("cards", "v1", "latency_ms", float(minute + 1), at=clock.now())
        clock.advance(timedelta(minutes=1))
    metrics.flush()
    child = os.fork()
    if child == 0:
        history._make_day = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
        service(Database(database.url), clock).compact()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    found = [metrics.query("cards", "latency_ms", start, clock.now())]
    assert metrics.compact() == 4
    found.append(metrics.query("cards", "latency_ms", start, clock.now()))
    assert [(each.count, each.total) for each in found] == [(300, 300 * 301 / 2)] * 2


def test_purge__nobody_compacted_for_days__minutes_wait(database: Database, clock: VirtualClock) -> None:
    metrics = service(database, clock)
    start = clock.now()
    metrics.record("cards", "v1", "latency_ms", 5.0)
    metrics.flush()
    clock.advance(timedelta(days=4))
    with database.write() as connection:
        assert history.purge(connection, clock.now() - timedelta(days=1), clock.now() - timedelta(days=300)) == 0
    assert metrics.compact() == 1
    assert metrics.query("cards", "latency_ms", start, clock.now()).count == 1
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(metric_rollup)) == 0


def test_record__too_old_or_in_the_future__refused_and_counted(database: Database, clock: VirtualClock) -> None:
    metrics = service(database, clock)
    for offset in (-timedelta(hours=13), timedelta(hours=2), -timedelta(hours=11)):
        metrics.record("cards", "v1", "latency_ms", 5.0, at=clock.now() + offset)
    metrics.flush()
    assert (metrics.counts().refused, metrics.counts().accepted) == (2, 3)


def test_hours__forgotten__days_answer(database: Database, clock: VirtualClock) -> None:
    metrics, seen = live(database, clock, days=1.5)
    clock.advance(timedelta(days=402))
    metrics.compact()
    found = metrics.query("cards", "latency_ms", clock.now() - timedelta(days=500), clock.now())
    assert_same(found, expected(seen, datetime.min.replace(tzinfo=clock.now().tzinfo), clock.now()))
