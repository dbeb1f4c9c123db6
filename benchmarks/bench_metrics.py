"""The metric store: observations taken in, questions asked, and events tallied, on both databases.

`make bench-metrics` prints the table and writes `results/metrics.json`. Times are CPU seconds of this process, except
where the name says wall: a question waits for its database.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import create_engine, make_url, text

from benchmarks.records import publish, record

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # the servers that the tests use
import servers

from bailiwick.clock import VirtualClock
from bailiwick.metrics import history
from bailiwick.metrics.experiment_store.tables import insert_or
from bailiwick.metrics.exposures import Exposure
from bailiwick.metrics.resolution import Resolution
from bailiwick.metrics.rollup import Rollup
from bailiwick.metrics.service import MetricsService
from bailiwick.metrics.store import rollup_row
from bailiwick.storage.database import Database
from bailiwick.storage.migrate import upgrade

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
REQUESTS, BATCH = 60_000, 2_000
EVENTS, UNITS = 30_000, 5_000
SIZES = (10_000, 1_000_000, 100_000_000)
ASKED = 20


def run() -> list[dict[str, Any]]:
    """The records of both databases."""
    records: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        records += _measure("SQLite", f"sqlite:///{folder}/metrics.db")
    try:
        with servers.using("postgres", f"bench-{time.time_ns()}") as address:
            url = make_url(address["url"]).set(drivername="postgresql+psycopg")
            engine = create_engine(url, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text("CREATE DATABASE bench"))
            named = url.set(drivername="postgresql", database="bench").render_as_string(hide_password=False)
            records += _measure("PostgreSQL", named)
            engine.dispose()
    except servers.CannotRun as reason:
        print(f"without PostgreSQL: {reason}", file=sys.stderr)
    return records


def _measure(name: str, url: str) -> list[dict[str, Any]]:
    print(f"Measuring {name} ...", file=sys.stderr)
    database = Database(url)
    upgrade(database)
    try:
        return [*_ingest(name, database), *_tally(name, database), *_questions(name, database)]
    finally:
        database.close()


def _ingest(name: str, database: Database) -> list[dict[str, Any]]:
    """Bare observations of 4 metrics of 2 versions over 30 minutes, as the queue's thread writes them."""
    clock = VirtualClock(NOW - timedelta(days=2))
    metrics = MetricsService(database, clock, flush_interval_s=3600)
    rng, before = random.Random(1), _bytes(database)
    values = [rng.lognormvariate(4, 0.6) for _ in range(REQUESTS)]
    with _cpu() as spent:
        for number, value in enumerate(values):
            metrics.record("cards", f"v{number % 2}", f"m{number % 4}", value)
            if number % BATCH == BATCH - 1:
                metrics.flush()
                clock.advance(timedelta(minutes=1))
    metrics.close()
    size = (_bytes(database) - before) / REQUESTS
    return [
        record(f"observations taken in and written, {name}", REQUESTS / spent(), "per CPU second", better="higher"),
        record(f"bytes per observation at {BATCH} a minute, {name}", size, "bytes", better="lower"),
    ]


def _tally(name: str, database: Database) -> list[dict[str, Any]]:
    """Requests of 5,000 users in one experiment with 4 arms and 3 metrics each."""
    metrics = MetricsService(database, VirtualClock(NOW), flush_interval_s=3600)
    rng = random.Random(2)
    with _cpu() as written:
        for number in range(EVENTS):
            person = rng.randrange(UNITS)
            exposure = Exposure("greeting", 1, "abcd"[person % 4], f"user-{person}", 0.25)
            values = {"latency_ms": rng.lognormvariate(4, 0.5), "failed": 0.0, "tokens_per_second": rng.random() * 90}
            metrics.served(f"r{number}", "cards", "v1", values, exposures=[exposure], unit=exposure.unit)
            if number % BATCH == BATCH - 1:
                metrics.flush()
    with _cpu() as tallied:
        metrics.experiments.tally_all()
    asked = _wall(lambda: metrics.arm_totals("greeting"))
    metrics.close()
    return [
        record(f"exposed requests logged, {name}", EVENTS / written(), "per CPU second", better="higher"),
        record(f"events tallied, {name}", EVENTS / tallied(), "per CPU second", better="higher"),
        record(f"totals of 4 arms read, {name}", asked, "ms wall", better="lower", runs=ASKED),
    ]


def _questions(name: str, database: Database) -> list[dict[str, Any]]:
    """One metric of 4 versions over 120 days to the minute, at three amounts of observations."""
    metrics = MetricsService(database, VirtualClock(NOW), flush_interval_s=3600)
    since = NOW - timedelta(days=120, hours=7)
    found = []
    for size in SIZES:
        domain = f"size{size}"
        _synthesise(database, domain, size)
        took = _wall(lambda domain=domain: metrics.query(domain, "latency_ms", since, NOW))  # type: ignore[misc]
        counted = metrics.query(domain, "latency_ms", NOW - timedelta(days=130), NOW).count
        assert counted == size, (counted, size)
        found.append(
            record(
                f"one metric over 120 days, {counted:,} observations, {name}",
                took,
                "ms wall",
                better="lower",
                runs=ASKED,
            )
        )
    metrics.close()
    return found


def _synthesise(database: Database, domain: str, size: int) -> None:
    """Hours and days over 125 days as the compactor would have left them, holding ``size`` observations."""
    versions, hours = 4, 125 * 24
    per, more = divmod(size, versions * hours)
    rng = np.random.default_rng(3)
    days: dict[tuple[str, datetime], list[Rollup]] = {}
    rows = []
    first = Resolution.DAY.floor(NOW) - timedelta(days=125)
    for index in range(versions * hours):
        version, at = f"v{index % versions}", first + timedelta(hours=index // versions)
        rollup = Rollup.of(rng.lognormal(4, 0.6, per + (index < more)))
        days.setdefault((version, Resolution.DAY.floor(at)), []).append(rollup)
        rows.append(_row("hour", domain, version, at, rollup))
    rows += [_row("day", domain, version, at, Rollup.merged(parts)) for (version, at), parts in days.items()]
    with database.write(durable=False) as connection:
        insert_or(connection, history.metric_history, rows, ())
        state = {"name": "compacted", "revision": 0, "until": Resolution.HOUR.floor(NOW)}
        insert_or(connection, history.metric_state, [state], ("until",))


def _row(resolution: str, domain: str, version: str, at: datetime, rollup: Rollup) -> dict[str, Any]:
    place = {
        "resolution": resolution,
        "domain": domain,
        "at": at,
        "metric": "latency_ms",
        "version": version,
        "arm": "",
    }
    return {**place, **rollup_row(rollup)}


def _bytes(database: Database) -> int:
    with database.write() as connection:
        if database.dialect == "sqlite":
            pages = connection.execute(text("PRAGMA page_count")).scalar_one()
            return int(pages) * int(connection.execute(text("PRAGMA page_size")).scalar_one())
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


def _wall(ask: Callable[[], object]) -> float:
    """Median milliseconds."""
    took = []
    for _ in range(ASKED):
        begun = time.perf_counter()
        ask()
        took.append((time.perf_counter() - begun) * 1000)
    return float(np.median(took))


@contextmanager
def _cpu() -> Iterator[Callable[[], float]]:
    begun = time.process_time()
    spent = 0.0
    yield lambda: spent
    spent = time.process_time() - begun


if __name__ == "__main__":
    publish("metrics", run())
