from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from bailiwick.clock import VirtualClock
from bailiwick.errors import Unavailable
from bailiwick.metrics.events import ExposureEvent
from bailiwick.metrics.exposures import Exposure
from bailiwick.metrics.observations import Exposed, Observation, ServedRequest
from bailiwick.metrics.recorder import Recorder
from bailiwick.metrics.window import Row


class Store:
    """Keeps rows by part as the database does, and can be away."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.requests: list[str] = []
        self.exposures: dict[int, ExposureEvent] = {}
        self.offered: list[list[int]] = []
        self.away = False

    def write(self, rows: Sequence[Row], requests: Sequence[ServedRequest], exposures: Sequence[ExposureEvent]) -> None:
        self.offered.append([each.part for each in exposures])
        if self.away:
            raise Unavailable("away")
        self.exposures.update({each.part: each for each in exposures})
        self.rows.update({row.part: row for row in rows})
        self.requests += [request.request_id for request in requests]

    def count(self) -> int:
        return sum(row.rollup.count for row in self.rows.values())


@pytest.fixture
def store() -> Store:
    return Store()


def recorder(store: Store, clock: VirtualClock, **options: Any) -> Recorder:
    return Recorder(store.write, clock, **{"interval_s": 3600, **options})


def seen(at: datetime, value: float = 1.0, **names: str) -> Observation:
    return Observation(at, **{"domain": "cards", "version": "v1", "metric": "latency_ms", **names}, value=value)


def test_offer__many_threads__every_item_written_or_counted_as_dropped(store: Store, clock: VirtualClock) -> None:
    taking = recorder(store, clock, capacity=500, interval_s=0.001)
    now = clock.now()

    def offer() -> None:
        for _ in range(2000):
            taking.offer(seen(now))

    threads = [threading.Thread(target=offer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taking.close()
    counts = taking.counts()
    assert store.count() == counts.accepted
    assert counts.accepted + counts.dropped == 8000
    assert counts.queued == 0


def test_offer__queue_full__dropped_and_counted(store: Store, clock: VirtualClock) -> None:
    taking = recorder(store, clock, capacity=3)
    assert [taking.offer(seen(clock.now())) for _ in range(5)] == [True, True, True, False, False]
    assert taking.counts().dropped == 2
    taking.close()
    assert store.count() == 3
    assert not taking.offer(seen(clock.now()))


def test_flush__same_minute_again__same_row_with_all_of_it(store: Store, clock: VirtualClock) -> None:
    taking = recorder(store, clock)
    for value in (1.0, 2.0, 3.0):
        taking.offer(seen(clock.now(), value))
        assert taking.flush()
    assert [row.rollup.total for row in store.rows.values()] == [6.0]


def test_flush__store_away__kept_and_written_once_it_is_back(store: Store, clock: VirtualClock) -> None:
    taking = recorder(store, clock)
    store.away = True
    for number in range(3):
        taking.offer(ServedRequest(clock.now(), f"r{number}", "cards", "v1", {"latency_ms": 2.0}))
        assert not taking.flush()
        clock.advance(timedelta(minutes=5))
    store.away = False
    assert taking.flush()
    assert (store.count(), store.requests, taking.counts().failures) == (3, ["r0", "r1", "r2"], 3)


def test_flush__store_away_for_too_long__oldest_given_up_and_counted(store: Store, clock: VirtualClock) -> None:
    taking = recorder(store, clock, capacity=10)
    store.away = True
    for number in range(25):
        taking.offer(ServedRequest(clock.now(), f"r{number}", "cards", "v1"))
        taking.flush()
    store.away = False
    taking.flush()
    assert store.requests == [f"r{number}" for number in range(15, 25)]
    assert taking.counts().dropped == 15


def test_flush__late_observation__new_row_and_old_one_untouched(store: Store, clock: VirtualClock) -> None:
    taking = recorder(store, clock)
    start = clock.now()
    taking.offer(seen(start, 1.0))
    taking.flush()
    clock.advance(timedelta(minutes=10))
    taking.offer(seen(clock.now(), 5.0))
    taking.flush()
    taking.offer(seen(start, 7.0))
    taking.flush()
    assert sorted(row.rollup.total for row in store.rows.values()) == [1.0, 5.0, 7.0]


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e200, "fast", None])
def test_offer__no_sensible_number__refused_and_the_rest_written(store: Store, clock: VirtualClock, value: Any) -> None:
    taking = recorder(store, clock)
    taking.offer(seen(clock.now(), value))
    taking.offer(seen(clock.now(), 2.0))
    assert taking.flush()
    assert (store.count(), taking.counts().refused) == (1, 1)


@pytest.mark.parametrize("names", [{"domain": ""}, {"domain": "d" * 65}, {"version": "a\0b"}, {"metric": "\ud800"}])
def test_offer__names_that_fit_no_table__refused(store: Store, clock: VirtualClock, names: dict[str, str]) -> None:
    taking = recorder(store, clock)
    taking.offer(seen(clock.now(), **names))
    taking.offer(ServedRequest(clock.now().replace(tzinfo=None), "r1", "cards", "v1"))
    taking.flush()
    assert (store.rows, store.requests, taking.counts().refused) == ({}, [], 2)


def exposed(at: datetime, number: int, **names: Any) -> Exposed:
    exposure = Exposure(**{"experiment": "e", "epoch": 1, "arm": "a", "unit": f"u{number}", "propensity": 0.5, **names})
    return Exposed(at, (exposure,), f"r{number}", values={"ok": 1.0, "bad": math.nan})


def test_flush__store_away__exposures_keep_their_parts_and_newest_dropped(store: Store, clock: VirtualClock) -> None:
    taking = recorder(store, clock, capacity=3)
    store.away = True
    for number in range(5):
        taking.offer(exposed(clock.now(), number))
        taking.flush()
    store.away = False
    taking.flush()
    assert store.offered == [[1], [1, 2], [1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, 3]]
    assert [each.unit for each in store.exposures.values()] == ["u0", "u1", "u2"]
    assert [each.outcomes for each in store.exposures.values()] == [{"ok": 1.0}] * 3
    assert taking.counts().dropped == 2


@pytest.mark.parametrize(
    "names",
    [
        {"experiment": ""},
        {"epoch": 0},
        {"arm": "a\0"},
        {"unit": ""},
        {"unit": None},
        {"propensity": 0.0},
        {"propensity": math.nan},
        {"propensity": 1.5},
    ],
)
def test_offer__exposure_that_fits_no_log__refused(store: Store, clock: VirtualClock, names: dict[str, Any]) -> None:
    taking = recorder(store, clock)
    taking.offer(exposed(clock.now(), 0, **names))
    taking.flush()
    assert (store.exposures, taking.counts().refused) == ({}, 1)


def test_totals__after_flush__count_and_sum_by_series(store: Store, clock: VirtualClock) -> None:
    taking = recorder(store, clock)
    for value in (1.5, 2.5):
        taking.offer(seen(clock.now(), value))
    taking.flush()
    assert taking.totals() == {("cards", "v1", "latency_ms"): (2, 4.0)}


def test_thread__store_fails_unexpectedly__goes_on_and_writes_later(store: Store, clock: VirtualClock) -> None:
    failed = threading.Event()

    def write(rows: Sequence[Row], requests: Sequence[ServedRequest], exposures: Sequence[ExposureEvent]) -> None:
        if not failed.is_set():
            failed.set()
            raise ValueError("nobody thought of this")
        store.write(rows, requests, exposures)
        written.set()

    written = threading.Event()
    recorder = Recorder(write, clock, interval_s=0.01)
    recorder.offer(Observation(clock.now(), "cards", "v1", "latency_ms", 1.0))
    assert written.wait(30)
    assert (store.count(), recorder.counts().failures) == (1, 1)
    recorder.close()


def test_close__store_is_away__says_what_is_lost(
    store: Store, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    store.away = True
    recorder = Recorder(store.write, clock, interval_s=3600)
    recorder.offer(ServedRequest(clock.now(), "r-1", "cards", "v1", {"latency_ms": 1.0}))
    recorder.close()
    assert "lost at the end: 1 requests and 1 rows" in caplog.text
