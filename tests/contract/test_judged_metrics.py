"""Metrics that only feedback knows, on both databases: compared, ranked and followed like any other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from bailiwick.clock import VirtualClock
from bailiwick.metrics.comparison import Verdict, compare, rank
from bailiwick.metrics.resolution import Resolution
from bailiwick.metrics.service import MetricsService
from bailiwick.metrics.trend import Direction
from bailiwick.storage.database import Database

HOUR = timedelta(hours=1)


@pytest.fixture
def metrics(database: Database, clock: VirtualClock) -> Iterator[MetricsService]:
    made = MetricsService(database, clock, flush_interval_s=3600)
    yield made
    made.close()


def say(metrics: MetricsService, version: str, right: int, wrong: int, *, begin: int = 0) -> None:
    for number in range(right + wrong):
        name = f"{version}-{begin}-{number}"
        metrics.feedback(name, value=number < right, domain="cards", version=version)


def test_versions_by__feedback_alone__compared_and_ranked(metrics: MetricsService, clock: VirtualClock) -> None:
    say(metrics, "v1", 60, 40)
    say(metrics, "v2", 90, 10)
    metrics.feedback("unknown", value=0.0)  # of an answer that nobody knows
    metrics.feedback("v1-0-0", label="refund", metric="expected", domain="cards", version="v1")
    until = clock.now() + timedelta(seconds=1)
    found = metrics.versions_by("cards", "correct", until - HOUR, until)
    assert {version: (each.count, each.total, each.squares) for version, each in found.items()} == {
        "v1": (100, 60.0, 60.0),
        "v2": (100, 90.0, 90.0),
    }
    assert compare(found["v2"], found["v1"]).verdict is Verdict.HIGHER
    assert [each.name for each in rank(found, lowest_first=False)] == ["v2", "v1"]
    assert metrics.query("cards", "correct", until - HOUR, until, version="v2").mean == 0.9
    assert metrics.versions_by("cards", "expected", until - HOUR, until) == {}
    assert metrics.versions_by("cards", "correct", until - 9 * HOUR, until - 8 * HOUR) == {}


def test_trend__feedback_that_gets_worse__falls(metrics: MetricsService, clock: VirtualClock) -> None:
    begin = clock.now()
    for hour in range(10):
        say(metrics, "v1", 50 - 4 * hour, 4 * hour, begin=hour)
        clock.advance(HOUR)
    found, points = metrics.trend("cards", "correct", begin, clock.now(), resolution=Resolution.HOUR)
    assert [round(point.rollup.mean, 2) for point in points] == [round(1 - 0.08 * hour, 2) for hour in range(10)]
    assert found.direction is Direction.FALLING


def test_query__observed_and_judged_under_one_name__counted_once(metrics: MetricsService, clock: VirtualClock) -> None:
    say(metrics, "v1", 0, 10)
    metrics.record("cards", "v1", "correct", 1.0)
    assert metrics.flush()
    until = clock.now() + timedelta(seconds=1)
    assert metrics.query("cards", "correct", until - HOUR, until).count == 1
    assert metrics.versions_by("cards", "correct", until - HOUR, until)["v1"].total == 1.0


def test_summary__of_all_arms_together__one_line_per_version_and_metric(
    metrics: MetricsService, clock: VirtualClock
) -> None:
    for arm in ("", "r1=canary"):
        metrics.served(f"request-{arm}", "cards", "v1", {"latency_ms": 4.0}, arm=arm)
    assert metrics.flush()
    assert [(each.arm, each.count) for each in metrics.summary("cards")] == [("", 1), ("r1=canary", 1)]
    assert [(each.arm, each.count) for each in metrics.summary("cards", by_arm=False)] == [("", 2)]
