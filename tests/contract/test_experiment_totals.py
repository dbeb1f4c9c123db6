"""Exposures, outcomes and feedback become totals: each exactly once, on both databases."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from tallies import assert_totals

from bailiwick.clock import VirtualClock
from bailiwick.errors import Conflict, InvalidInput
from bailiwick.metrics.experiment_store import event_rows, tables
from bailiwick.metrics.experiment_store.tables import experiment_event, experiment_writer
from bailiwick.metrics.exposures import ArmUnits, Exposure
from bailiwick.metrics.model import TallyCounts
from bailiwick.metrics.service import MetricsService
from bailiwick.metrics.store import request_log
from bailiwick.storage.database import Database


@pytest.fixture
def metrics(database: Database, clock: VirtualClock) -> Iterator[MetricsService]:
    service = MetricsService(database, clock, flush_interval_s=3600)
    yield service
    service.close()


def exposure(unit: str, arm: str = "control", epoch: int = 1, experiment: str = "greeting") -> Exposure:
    return Exposure(experiment, epoch, arm, unit, 0.5)


def serve(metrics: MetricsService, request_id: str, *exposures: Exposure, **values: float) -> None:
    assert metrics.served(request_id, "cards", "v1", values, exposures=exposures)


def test_tally__requests_of_units__moments_over_units(metrics: MetricsService) -> None:
    for number, (unit, latency) in enumerate([("ann", 10.0), ("ann", 30.0), ("bob", 20.0)]):
        serve(metrics, f"r{number}", exposure(unit), latency_ms=latency)
    serve(metrics, "r9", exposure("cid", "treatment"), latency_ms=5.0)
    metrics.flush()
    assert metrics.tally() == TallyCounts(4, 0)
    assert metrics.tally() == TallyCounts(0, 0)
    control, treatment = metrics.arm_totals("greeting")
    assert (control.arm, control.metric, control.epoch) == ("control", "latency_ms", 1)
    assert (control.moments.units, control.moments.total, control.moments.count) == (2, 60, 3)
    assert (control.moments.total_total, control.moments.total_count) == (40**2 + 20**2, 40 * 2 + 20)
    assert control.sketch.quantile(1) == pytest.approx(30, rel=0.011)
    assert treatment.moments.mean == 5
    assert metrics.arm_units("greeting") == [
        ArmUnits("greeting", 1, "control", 2, 3, 0),
        ArmUnits("greeting", 1, "treatment", 1, 1, 0),
    ]


def test_tally__unit_again_in_a_later_batch__taken_out_as_it_was(metrics: MetricsService, database: Database) -> None:
    for number in range(6):
        serve(metrics, f"r{number}", exposure(f"u{number % 2}"), latency_ms=float(number))
        metrics.flush()
        assert metrics.tally() == TallyCounts(1, 0)
    assert_totals(metrics, database, "greeting")


def test_tally__unit_under_another_arm__crossed_and_in_no_moments(metrics: MetricsService, database: Database) -> None:
    serve(metrics, "r1", exposure("ann"), score=1.0)
    serve(metrics, "r2", exposure("ann", "treatment", 2), score=100.0)
    serve(metrics, "r3", exposure("ann", "control", 2), score=3.0)
    serve(metrics, "r4", exposure("bob", "treatment", 2), score=7.0)
    metrics.flush()
    metrics.feedback("r2", value=1)
    metrics.tally()
    assert [(each.epoch, each.arm, each.metric, each.moments.total) for each in metrics.arm_totals("greeting")] == [
        (1, "control", "score", 4.0),
        (2, "treatment", "score", 7.0),
    ]
    assert metrics.arm_units("greeting")[0] == ArmUnits("greeting", 1, "control", 1, 2, 1)
    assert_totals(metrics, database, "greeting")


@pytest.mark.parametrize("tally_between", [True, False])
def test_feedback__before_and_after_the_exposure__counts_once_and_the_later_one_stands(
    metrics: MetricsService, database: Database, tally_between: bool
) -> None:
    metrics.feedback("r1", value=0)
    serve(metrics, "r1", exposure("ann"), exposure("ann", experiment="tone"))
    serve(metrics, "r2", exposure("bob"))
    for value in (1, 0, 1):
        if tally_between:
            metrics.flush()
            metrics.tally()
        metrics.feedback("r1", value=value)
        metrics.feedback("r2", value=value, metric="polite")
    metrics.feedback("r9", value=1)
    metrics.flush()
    metrics.tally()
    for experiment in ("greeting", "tone"):
        assert_totals(metrics, database, experiment)
    totals = {each.metric: each for each in metrics.arm_totals("greeting")}
    assert {metric: (each.moments.total, each.moments.units) for metric, each in totals.items()} == {
        "correct": (1, 1),
        "polite": (1, 1),
    }
    assert metrics.tally() == TallyCounts(0, 0)


def test_feedback__taken_back_by_words_only__leaves_no_value(metrics: MetricsService) -> None:
    serve(metrics, "r1", exposure("ann"))
    metrics.flush()
    metrics.feedback("r1", value=1)
    metrics.tally()
    metrics.feedback("r1", comment="changed my mind")
    metrics.tally()
    [total] = metrics.arm_totals("greeting")
    assert (total.moments.units, total.moments.count, total.moments.total, total.sketch.count) == (0, 0, 0, 0)


def test_feedback__after_its_window__not_counted(metrics: MetricsService, clock: VirtualClock) -> None:
    metrics.experiments.set_feedback_window("greeting", timedelta(days=1))
    serve(metrics, "r1", exposure("ann"), exposure("ann", experiment="tone"))
    metrics.flush()
    metrics.tally()
    clock.advance(timedelta(days=2))
    metrics.feedback("r1", value=1)
    assert metrics.tally() == TallyCounts(0, 1)
    assert metrics.arm_totals("greeting") == []
    assert [each.moments.total for each in metrics.arm_totals("tone")] == [1]


def test_feedback_window__not_positive_or_beyond_the_log__refused(metrics: MetricsService) -> None:
    for window in (timedelta(), timedelta(days=31)):
        with pytest.raises(InvalidInput, match="cannot count"):
            metrics.experiments.set_feedback_window("greeting", window)


def test_request_id_of_two_units__feedback_stays_with_one(metrics: MetricsService) -> None:
    for unit in ("ann", "bob"):
        metrics.exposed([exposure(unit)], request_id="same")
        metrics.flush()
    metrics.tally()
    for value in (1, 5, 2):
        metrics.feedback("same", value=value)
        metrics.tally()
    [total] = metrics.arm_totals("greeting")
    assert (total.moments.units, total.moments.total, total.moments.total_total) == (1, 2, 4)


def test_exposed__without_a_request__a_unit_without_values(metrics: MetricsService) -> None:
    metrics.exposed([exposure("ann")])
    metrics.exposed([exposure("bob")], values={"failed": 1.0}, domain="cards", version="v1")
    metrics.flush()
    metrics.tally()
    assert metrics.arm_units("greeting") == [ArmUnits("greeting", 1, "control", 2, 2, 0)]
    assert [(each.metric, each.moments.units) for each in metrics.arm_totals("greeting")] == [("failed", 1)]


def test_write__same_batch_again_after_a_lost_answer__events_once(metrics: MetricsService, database: Database) -> None:
    def write_twice(connection: object, writer: str, events: object, at: object) -> None:
        original(connection, writer, events, at)  # type: ignore[arg-type]
        original(connection, writer, events, at)  # type: ignore[arg-type]

    original = event_rows.write_events
    serve(metrics, "r1", exposure("ann"), score=1.0)
    event_rows.write_events = write_twice  # type: ignore[assignment]
    try:
        metrics.flush()
    finally:
        event_rows.write_events = original
    assert metrics.tally() == TallyCounts(1, 0)
    assert metrics.arm_units("greeting")[0].requests == 1


def test_tally__three_writers_in_small_steps__equals_the_logs(database: Database, clock: VirtualClock) -> None:
    rng = random.Random(7)
    writers = [MetricsService(database, clock, flush_interval_s=3600) for _ in range(3)]
    for number in range(300):
        writer = rng.choice(writers)
        person = rng.randrange(40)
        unit = f"u{person}"
        arm = "ab"[person % 2] if rng.random() < 0.95 else rng.choice("ab")
        serve(
            writer, f"r{number}", exposure(unit, arm, 1 + number // 150), latency_ms=rng.lognormvariate(3, 1), failed=0
        )
        clock.advance(timedelta(seconds=1))
        if rng.random() < 0.3:
            writer.feedback(f"r{rng.randrange(number + 1)}", value=rng.randrange(2))
        if rng.random() < 0.2:
            rng.choice(writers).flush()
            rng.choice(writers).tally(limit=rng.randrange(1, 20))
    for writer in writers:
        writer.close()
    writers[0].experiments.tally_all()
    assert_totals(writers[0], database, "greeting")


def test_units__in_the_database__never_as_text(metrics: MetricsService, database: Database) -> None:
    metrics.served("r1", "cards", "v1", {"score": 1.0}, exposures=[exposure("ann@example.org")], unit="ann@example.org")
    metrics.flush()
    metrics.tally()
    [line] = metrics.experiments.every_event("greeting")
    assert len(line.event.unit) == 32
    with database.read() as connection:
        stored = connection.execute(select(request_log.c.unit)).scalar_one()
    assert stored == line.event.unit
    other = MetricsService(database, VirtualClock(line.event.at), flush_interval_s=3600)
    assert other.experiments.unit_key() == metrics.experiments.unit_key()


def test_purge__processes_of_long_ago__are_forgotten_with_their_events(
    metrics: MetricsService, database: Database, clock: VirtualClock
) -> None:
    old = MetricsService(database, clock, flush_interval_s=3600)
    serve(old, "old", exposure("ann"), score=1.0)
    old.flush()
    waiting = MetricsService(database, clock, flush_interval_s=3600)
    old.tally()
    serve(waiting, "untallied", exposure("bob"), score=1.0)
    waiting.flush()
    clock.advance(timedelta(days=60))
    serve(metrics, "new", exposure("ann"), score=1.0)
    metrics.flush()  # which purges
    with database.read() as connection:
        writers = set(connection.scalars(select(tables.experiment_writer.c.writer)))
        marks = set(connection.scalars(select(tables.experiment_mark.c.writer)))
    assert len(writers) == 2 and not marks
    serve(old, "again", exposure("ann"), score=1.0)
    old.flush()
    metrics.experiments.tally_all()
    [arm] = metrics.arm_units("greeting")
    assert (arm.units, arm.requests) == (2, 4)


def test_covariates__means_before_the_experiment__enter_the_moments(
    metrics: MetricsService, database: Database, clock: VirtualClock
) -> None:
    start = clock.now()
    for number, (unit, score) in enumerate([("ann", 1.0), ("ann", 3.0), ("bob", 10.0)]):
        metrics.served(f"before{number}", "cards", "v1", {"score": score}, unit=unit)
    metrics.flush()
    metrics.feedback("before2", value=1)
    clock.advance(timedelta(hours=1))
    assert metrics.experiments.set_covariates("greeting", start, clock.now(), domain="loans") == 0
    assert metrics.experiments.set_covariates("greeting", start, clock.now()) == 2
    for number, unit in enumerate(["ann", "bob", "new"]):
        serve(metrics, f"r{number}", exposure(unit), score=5.0)
    metrics.feedback("r1", value=0)
    metrics.flush()
    metrics.tally()
    totals = {each.metric: each.moments for each in metrics.arm_totals("greeting")}
    assert (totals["score"].covariate, totals["score"].covariate_covariate) == (12, 104)
    assert totals["score"].total_covariate == 5 * 12
    assert (totals["correct"].units, totals["correct"].covariate) == (1, 1)
    assert_totals(metrics, database, "greeting")
    with pytest.raises(Conflict, match="entered"):
        metrics.experiments.set_covariates("greeting", start, clock.now())


def test_covariates__span_that_is_not_over__refused(metrics: MetricsService, clock: VirtualClock) -> None:
    for until in (clock.now() + timedelta(hours=1), clock.now() - timedelta(days=2)):
        with pytest.raises(InvalidInput, match="no time before"):
            metrics.experiments.set_covariates("greeting", clock.now() - timedelta(days=1), until)


def test_events__page_by_page_while_more_come__each_once(metrics: MetricsService, database: Database) -> None:
    other = MetricsService(database, VirtualClock(metrics._clock.now()), flush_interval_s=3600)
    seen: list[str | None] = []
    cursor = ""
    for number in range(12):
        serve(
            (metrics, other)[number % 2], f"r{number}", exposure("ann"), exposure("ann", experiment="tone"), score=1.0
        )
        metrics.flush()
        other.flush()
        if number % 3 == 0:
            page = metrics.experiments.events("greeting", after=cursor, limit=2)
            seen += [line.event.request_id for line in page.lines]
            cursor = page.cursor
    metrics.feedback("r11", value=1)
    while page.lines:
        page = metrics.experiments.events("greeting", after=page.cursor, limit=2)
        seen += [line.event.request_id for line in page.lines]
    assert sorted(seen) == sorted(f"r{number}" for number in range(12))
    assert {line.event.request_id: line.feedback for line in metrics.experiments.every_event("greeting")}["r11"] == {
        "correct": 1.0
    }
    with pytest.raises(InvalidInput, match="cursor"):
        metrics.experiments.events("greeting", after="nonsense")


def test_purge__old_events__forgotten_once_tallied_and_totals_stay(
    metrics: MetricsService, database: Database, clock: VirtualClock
) -> None:
    serve(metrics, "r1", exposure("ann"), score=1.0)
    metrics.flush()
    clock.advance(timedelta(days=31))
    assert metrics.experiments.purge() == 0
    metrics.tally()
    before = metrics.arm_units("greeting")
    assert metrics.experiments.purge() == 1
    assert metrics.arm_units("greeting") == before
    with database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(experiment_event)) == 0
        assert connection.scalar(select(func.count()).select_from(experiment_writer)) == 0
    assert metrics.tally() == TallyCounts(0, 0)
