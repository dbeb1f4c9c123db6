from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from bailiwick.clock import VirtualClock
from bailiwick.errors import InvalidInput
from bailiwick.metrics.prometheus import render
from bailiwick.metrics.service import MetricsService
from bailiwick.metrics.store import metric_rollup, request_log
from bailiwick.storage.database import Database


@pytest.fixture
def metrics(database: Database, clock: VirtualClock) -> Iterator[MetricsService]:
    service = MetricsService(database, clock, flush_interval_s=3600)
    yield service
    service.close()


def other_process(database: Database, clock: VirtualClock) -> MetricsService:
    """A second writer on the same database."""
    return MetricsService(database, clock, flush_interval_s=3600)


def test_query__two_processes__merged(metrics: MetricsService, database: Database, clock: VirtualClock) -> None:
    start = clock.now()
    other = other_process(database, clock)
    for value in range(1, 51):
        metrics.record("cards", "v1", "latency_ms", value)
        other.record("cards", "v1", "latency_ms", 50 + value)
    other.record("cards", "v2", "latency_ms", 1000)
    other.record("loans", "v1", "latency_ms", 1000)
    metrics.flush()
    other.close()
    rollup = metrics.query("cards", "latency_ms", start, start + timedelta(minutes=1), version="v1")
    assert (rollup.count, rollup.mean, rollup.minimum, rollup.maximum) == (100, 50.5, 1, 100)
    assert rollup.quantile(0.95) == pytest.approx(95, rel=0.011)
    assert metrics.query("cards", "latency_ms", start, start + timedelta(minutes=1)).count == 101


def test_query__span__only_its_minutes(metrics: MetricsService, clock: VirtualClock) -> None:
    start = clock.now()
    for minute in range(4):
        metrics.record("cards", "v1", "failed", minute, at=start + timedelta(minutes=minute))
    metrics.flush()
    found = metrics.points("cards", start + timedelta(minutes=1), start + timedelta(minutes=3))
    assert [point.rollup.total for point in found] == [1, 2]


def test_query__nothing_observed__empty(metrics: MetricsService, clock: VirtualClock) -> None:
    assert metrics.query("cards", "latency_ms", clock.now(), clock.now() + timedelta(hours=1)).count == 0
    assert metrics.summary("cards") == []


def test_query__span_backwards_or_naive__refused(metrics: MetricsService, clock: VirtualClock) -> None:
    with pytest.raises(InvalidInput, match="not before"):
        metrics.query("cards", "m", clock.now(), clock.now())
    with pytest.raises(InvalidInput, match="no timezone"):
        metrics.query("cards", "m", clock.now().replace(tzinfo=None), clock.now())


def test_served__flushed_twice__one_row_per_minute_and_request_logged(
    metrics: MetricsService, database: Database, clock: VirtualClock
) -> None:
    for number in range(3):
        metrics.served(f"req-{number}", "cards", "v1", {"latency_ms": 5.0, "failed": 0}, arm="treatment")
        metrics.flush()
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(metric_rollup)) == 2
    request = metrics.request("req-2")
    assert request is not None
    assert (request.domain, request.version, request.arm, request.at) == ("cards", "v1", "treatment", clock.now())
    summary = metrics.summary("cards")
    assert [(line.metric, line.count, line.arm) for line in summary] == [
        ("failed", 3, "treatment"),
        ("latency_ms", 3, "treatment"),
    ]


def test_request_log__kept_for_its_time__then_forgotten(
    metrics: MetricsService, database: Database, clock: VirtualClock
) -> None:
    metrics.served("old", "cards", "v1", {})
    metrics.flush()
    clock.advance(timedelta(days=31))
    metrics.served("new", "cards", "v1", {})
    metrics.flush()
    with database.read() as connection:
        assert connection.scalars(select(request_log.c.request_id)).all() == ["new"]


def test_feedback__request_in_the_log__joined_at_once(metrics: MetricsService) -> None:
    metrics.served("req-1", "cards", "v2", {}, arm="canary")
    metrics.flush()
    given = metrics.feedback("req-1", value=True, domain="typo", version="typo")
    assert (given.domain, given.version, given.arm, given.value, given.joined) == ("cards", "v2", "canary", 1.0, True)


def test_feedback__before_the_flush__joined_by_it(metrics: MetricsService) -> None:
    metrics.served("req-1", "cards", "v2", {})
    given = metrics.feedback("req-1", value=0.5, label="lost card", comment="no")
    assert (given.domain, given.joined) == (None, False)
    assert metrics.feedback_on("cards") == []
    metrics.flush()
    found = metrics.feedback_on("cards")
    assert [(each.version, each.joined, each.label) for each in found] == [("v2", True, "lost card")]


def test_feedback__sent_again__counts_once_and_the_later_one_stands(metrics: MetricsService) -> None:
    metrics.served("req-1", "cards", "v1", {})
    metrics.served("req-2", "cards", "v1", {})
    metrics.flush()
    for value in (1, 1, 0):
        metrics.feedback("req-1", value=value)
    metrics.feedback("req-2", value=1)
    metrics.feedback("req-2", metric="tone", comment="rude")
    summary = {line.metric: line for line in metrics.feedback_summary("cards")}
    assert (summary["correct"].count, summary["correct"].mean) == (2, 0.5)
    assert (summary["tone"].count, summary["tone"].mean) == (0, None)


@pytest.mark.parametrize(
    "given",
    [
        {"request_id": ""},
        {"request_id": "a b"},
        {"request_id": "x" * 101},
        {"request_id": "r1\n"},
        {"value": math.nan},
        {"value": math.inf},
        {"value": "good"},
        {"value": None},
        {"metric": ""},
        {"label": "x" * 1001},
        {"comment": "a\0b"},
        {"comment": "\ud800"},
        {"domain": "d" * 65},
    ],
)
def test_feedback__malformed__refused_and_nothing_kept(metrics: MetricsService, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        metrics.feedback(**{"request_id": "r1", "value": 1, "domain": "cards", **given})
    assert metrics.feedback_on("cards") == []


def test_families__after_traffic__prometheus_text(metrics: MetricsService) -> None:
    metrics.served("req-1", "cards", "v1", {"latency_ms": 2.5})
    metrics.record("cards", "v1", "latency_ms", math.nan)
    metrics.flush()
    text = render(metrics.families())
    assert 'bailiwick_observed_latency_ms_sum{domain="cards",version="v1",metric="latency_ms"} 2.5\n' in text
    assert "\nbailiwick_observations_accepted_total 2\n" in text
    assert "\nbailiwick_observations_refused_total 1\n" in text
