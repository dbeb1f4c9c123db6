"""Each version with its training, its metrics and its deployments."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from deliveries import ADA, Estate
from sqlalchemy import event

from bailiwick.clock import VirtualClock
from bailiwick.delivery.model import DeploymentStatus
from bailiwick.delivery.track_record import TrackRecord, join, live_numbers, record_document
from bailiwick.delivery.track_records import TrackRecords
from bailiwick.errors import InvalidInput, NotFound
from bailiwick.metrics.model import FeedbackSummary
from bailiwick.metrics.rollup import Rollup
from bailiwick.metrics.service import MetricsService
from bailiwick.registry.model import ModelVersion
from bailiwick.statistics.proportions import wilson_interval
from bailiwick.storage.database import Database
from bailiwick.training.model import RunStatus, TrainingRun

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_version(id: str = "v1", **changes: Any) -> ModelVersion:
    usual: dict[str, Any] = {
        "training_run": f"run-{id}",
        "card": {"settings": {"hidden": 8}},
        "metrics": {"accuracy": 0.9},
    }
    return ModelVersion(id, "cards", "linear-text", AT, "ab" * 32, 10, **{**usual, **changes})


def a_run(version: str = "v1") -> TrainingRun:
    return TrainingRun(
        f"run-{version}", "cards", "queries-0123", "cd" * 32, "linear-text", 7, RunStatus.SUCCEEDED, AT, "ada", "host:1"
    )


def opinions(count: int, total: float, squares: float, version: str = "v1", metric: str = "correct") -> FeedbackSummary:
    return FeedbackSummary(version, "", metric, count, total, squares)


def alone(*versions: ModelVersion) -> TrackRecord:
    return join(versions or (a_version(),), [a_run()], {}, {}, (), (), {})[0]


def test_join__nothing_observed__versions_with_their_training_alone() -> None:
    found = alone()
    assert (found.run, found.dataset, found.settings, found.share) == (a_run(), "queries-0123", {"hidden": 8}, 0)
    document = record_document(found)
    assert document["training"]["seed"] == 7  # type: ignore[index]
    assert (document["privacy"], document["live"]["correct"], document["deployments"]) == (None, None, [])  # type: ignore[index]
    upstream = alone(a_version(training_run=None, card={"privacy": {}}))
    assert (upstream.run, upstream.dataset, upstream.privacy) == (None, None, None)


def test_join__private_version__what_was_spent_but_neither_seed_nor_hash_of_rows() -> None:
    claim = {"epsilon": "2", "delta": "0.00001", "unit": "customer"}
    document = record_document(alone(a_version(card={"privacy": claim})))
    assert document["privacy"] == claim
    trained: Any = document["training"]
    assert (trained["seed"], trained["dataset_sha256"], trained["dataset"]) == (None, None, "queries")


def test_live_numbers__yes_and_no__wilsons_interval_over_all_arms() -> None:
    found = live_numbers(
        Rollup.of([0.0] * 95 + [1.0] * 5), Rollup.of([10.0] * 95), [opinions(30, 27.0, 27.0), opinions(20, 18.0, 18.0)]
    )
    assert (found.attempts, found.failed, found.answers) == (100, 5, 95)
    assert found.p95_ms == pytest.approx(10.0, rel=0.01)
    assert (found.correct_low, found.correct_high) == wilson_interval(45, 50)


@pytest.mark.parametrize("given", [opinions(0, 0.0, 0.0), opinions(10, 7.5, 6.1), opinions(4, 6.0, 12.0)])
def test_live_numbers__none_or_not_yes_or_no__no_interval(given: FeedbackSummary) -> None:
    found = live_numbers(Rollup.of([]), Rollup.of([]), [given])
    assert (found.correct_low, found.correct_high, found.p50_ms) == (None, None, None)


@pytest.fixture
def metrics(database: Database, clock: VirtualClock) -> Any:
    made = MetricsService(database, clock, flush_interval_s=3600)
    yield made
    made.close()


def records_of(database: Database, clock: VirtualClock, metrics: MetricsService, count: int) -> TrackRecords:
    estate = Estate(database, clock)
    versions = [a_version(f"v{number}") for number in range(1, count + 1)]
    runs = [a_run(version.id) for version in versions]
    estate.delivery.deploy("cards", "v1", actor=ADA)
    estate.delivery.deploy("cards", "v2", actor=ADA, share=2_000)
    for number in range(40):
        metrics.served(f"r{number}", "cards", "v1", {"failed": 0.0, "latency_ms": 10.0})
    metrics.served("r-bad", "cards", "v2", {"failed": 1.0})
    assert metrics.flush()
    for number in range(40):
        metrics.feedback(f"r{number}", value=number % 4 != 0)
    metrics.feedback("r1", metric="politeness", value=0.0)
    return TrackRecords(lambda _: versions, lambda _: runs, metrics, estate.delivery, estate.traffic)


def test_of__served_and_judged__everything_joined(
    database: Database, clock: VirtualClock, metrics: MetricsService
) -> None:
    records, now = records_of(database, clock, metrics, 3), clock.now() + timedelta(seconds=1)
    first, second, third = records.of("cards", now - timedelta(hours=1), now)
    assert (first.share, second.share, third.share) == (8_000, 2_000, 0)
    assert (first.live.attempts, first.live.failed, first.live.correct.count, first.live.correct.trials) == (
        40,
        0,
        30,
        40,
    )
    assert (second.live.attempts, second.live.failed, second.live.answers) == (1, 1, 0)
    assert [made.status for made in second.deployments] == [DeploymentStatus.DEPLOYED]
    assert (third.live.attempts, third.deployments, math.isnan(third.live.correct.value)) == (0, (), True)
    assert [each.version.id for each in records.of("cards", now - timedelta(hours=1), now, version="v2")] == ["v2"]
    assert len(records.of("cards", now - timedelta(hours=1), now, limit=2)) == 2
    long_ago = records.of("cards", now - timedelta(days=9), now - timedelta(days=8))[0]
    assert (long_ago.live.attempts, long_ago.live.correct.trials) == (0, 0)
    with pytest.raises(NotFound, match="no version 'v9'"):
        records.of("cards", now - timedelta(hours=1), now, version="v9")
    with pytest.raises(InvalidInput, match="not before"):
        records.of("cards", now, now)


def test_of__many_versions__as_many_queries_as_for_few(sqlite_database: Database, clock: VirtualClock) -> None:
    metrics = MetricsService(sqlite_database, clock, flush_interval_s=3600)
    records, now = records_of(sqlite_database, clock, metrics, 8), clock.now() + timedelta(seconds=1)
    asked: list[str] = []
    event.listen(sqlite_database.engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    counts = []
    for limit in (1, 8):
        asked.clear()
        assert len(records.of("cards", now - timedelta(hours=1), now, limit=limit)) == limit
        counts.append(sum(statement.startswith("SELECT") for statement in asked))
    metrics.close()
    assert counts[0] == counts[1] < 12
