"""Young deployments are watched, and what makes things worse is taken back: on both databases, on live numbers."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from deliveries import ADA, Estate

from bailiwick.clock import VirtualClock
from bailiwick.delivery.degradation import Observed
from bailiwick.delivery.live import LiveMetrics
from bailiwick.delivery.model import DeploymentStatus
from bailiwick.errors import Unavailable
from bailiwick.metrics.service import MetricsService
from bailiwick.storage.database import Database

NIGHT = "night: sun 12:00 for 2h UTC"  # the clock of the tests stands at Sunday noon


class Served:
    """A domain with live numbers."""

    def __init__(self, database: Database, clock: VirtualClock) -> None:
        self.clock = clock
        self.metrics = MetricsService(database, clock)
        self.estate = Estate(database, clock, live=LiveMetrics(lambda: self.metrics))
        self._requests = 0

    def answers(self, version: str, count: int, *, failed: int = 0, wrong: int = 0, latency_ms: float = 10) -> None:
        """So many requests, of which some failed and some were wrong; each is told by feedback."""
        for number in range(count):
            if number < failed:
                self.metrics.record("cards", version, "failed", 1.0)
                continue
            self._requests += 1
            name = f"request-{self._requests}"
            self.metrics.served(name, "cards", version, {"failed": 0.0, "latency_ms": latency_ms})
            self.metrics.feedback(name, value=float(number >= failed + wrong), domain="cards", version=version)
        self.metrics.flush()


@pytest.fixture
def estate(database: Database, clock: VirtualClock) -> Estate:
    return Estate(database, clock)


@pytest.fixture
def served(database: Database, clock: VirtualClock) -> Any:
    made = Served(database, clock)
    made.estate.delivery.deploy("cards", "v1", actor=ADA)
    made.answers("v1", 60)
    clock.advance(timedelta(minutes=5))
    yield made
    made.metrics.close()


@pytest.mark.parametrize(
    ("harm", "rule", "metric"),
    [
        ({"failed": 12}, "error_rise", "failed"),
        ({"wrong": 12}, "accuracy_drop", "correct"),
        ({"latency_ms": 100}, "latency_factor", "latency_ms"),
    ],
)
def test_watch__worse_than_before__is_taken_back_with_both_metrics(
    served: Served, harm: dict[str, Any], rule: str, metric: str
) -> None:
    estate = served.estate
    made = estate.delivery.deploy("cards", "v2", actor=ADA)
    served.answers("v2", 60, **harm)
    (event,) = estate.delivery.watch()
    assert (event.deployment, event.removed, event.restored) == (made.id, ("v2",), {"v1": 10_000})
    assert (event.automatic, event.rule, event.metric, event.actor) == (True, rule, metric, "watch")
    assert event.baseline is not None
    assert event.current is not None
    assert (event.baseline_samples, event.samples) >= (48, 48)
    assert estate.delivery.rollbacks("cards") == [event]
    assert estate.weights() == {"v1": 10_000}
    assert estate.delivery.deployment(made.id).status is DeploymentStatus.ROLLED_BACK
    assert ("rollback.record", f"rollback:{event.id}") in estate.actions()
    assert estate.delivery.watch() == []


def test_watch__as_good_as_before__stays(served: Served) -> None:
    served.estate.delivery.deploy("cards", "v2", actor=ADA)
    assert served.estate.delivery.watch() == []  # no data at all
    served.answers("v2", 300)
    assert served.estate.delivery.watch() == []
    assert served.estate.weights() == {"v2": 10_000}


def test_watch__traffic_is_split__compares_with_what_serves_beside(served: Served) -> None:
    served.estate.delivery.deploy("cards", "v2", share=5_000, actor=ADA)
    served.answers("v1", 60, failed=30)  # an incident that hits both alike
    served.answers("v2", 60, failed=30)
    assert served.estate.delivery.watch() == []


def test_watch__what_was_restored_fares_badly_too__is_not_taken_back_in_turn(served: Served) -> None:
    estate = served.estate
    estate.delivery.deploy("cards", "v2", actor=ADA)
    served.answers("v2", 60)
    served.clock.advance(timedelta(minutes=5))
    estate.delivery.deploy("cards", "v3", actor=ADA)
    served.answers("v3", 60, failed=40)
    assert [event.removed for event in estate.delivery.watch()] == [("v3",)]
    served.answers("v2", 200, failed=150)
    for _ in range(3):
        served.clock.advance(timedelta(minutes=1))
        assert estate.delivery.watch() == []
    assert estate.weights() == {"v2": 10_000}
    assert estate.delivery.rollback("cards", actor=ADA).removed == ("v2",)  # by hand it still goes further back


def test_watch__switched_off_or_too_old__stays(served: Served) -> None:
    estate = served.estate
    made = estate.delivery.deploy("cards", "v2", actor=ADA)
    served.answers("v2", 60, failed=40)
    estate.delivery.policies.change("cards", {"automatic_rollback": False}, actor=ADA)
    assert estate.delivery.watch() == []
    estate.delivery.policies.change("cards", {"automatic_rollback": True}, actor=ADA)
    assert [finding.rule for finding in estate.delivery.degradation(made.id)][:1] == ["error_rise"]
    served.clock.advance(timedelta(days=1, seconds=1))
    assert (estate.delivery.watch(), estate.delivery.degradation(made.id)) == ([], ())


def test_watch__frozen_domain__takes_back_all_the_same(served: Served) -> None:
    estate = served.estate
    estate.delivery.deploy("cards", "v2", actor=ADA)
    estate.delivery.policies.change("cards", {"freezes": [NIGHT], "approvals": 2}, actor=ADA)
    served.answers("v2", 60, failed=40)
    assert len(estate.delivery.watch()) == 1


def test_watch__many_at_once__take_back_once(served: Served, database: Database) -> None:
    served.estate.delivery.deploy("cards", "v2", actor=ADA)
    served.answers("v2", 60, failed=40)
    events: list[object] = []
    watchers = [threading.Thread(target=lambda: events.extend(served.estate.delivery.watch())) for _ in range(4)]
    for each in watchers:
        each.start()
    for each in watchers:
        each.join()
    assert len(events) == len(served.estate.delivery.rollbacks()) == 1
    assert served.estate.weights() == {"v1": 10_000}


def test_rollback__by_hand__is_an_event_without_metrics(estate: Estate) -> None:
    estate.rollout("v1", "v2")
    done = estate.delivery.rollback("cards", actor=replace(ADA, reason="wrong answers"))
    (event,) = estate.delivery.rollbacks()
    assert event == done.event
    assert (event.automatic, event.rule, event.metric, event.reason) == (False, "by_hand", None, "wrong answers")


# What served


def test_served_at__any_instant__versions_shares_deployments(estate: Estate, clock: VirtualClock) -> None:
    start = clock.now()
    first = estate.delivery.deploy("cards", "v1", actor=ADA)
    clock.advance(timedelta(minutes=1))
    second = estate.delivery.deploy("cards", "v2", share=2_000, actor=ADA)
    clock.advance(timedelta(minutes=1))
    estate.delivery.rollback("cards", actor=ADA)
    clock.advance(timedelta(minutes=1))
    again = estate.delivery.deploy("cards", "v2", actor=ADA)

    def at(minutes: float) -> list[tuple[str, int, str | None]]:
        found = estate.delivery.served_at("cards", start + timedelta(minutes=minutes))
        return [(each.version, each.share, each.deployment.id if each.deployment else None) for each in found]

    assert at(-1) == []
    assert at(0.5) == [("v1", 10_000, first.id)]
    assert at(1.5) == [("v1", 8_000, first.id), ("v2", 2_000, second.id)]
    assert at(2.5) == [("v1", 10_000, first.id)]
    assert at(3.5) == [("v2", 10_000, again.id)]


# How often the watch looks


class Counting(LiveMetrics):
    """Live numbers that say how often they were read."""

    reads = 0

    def observed(self, domain: str, version: str, since: datetime, until: datetime) -> Observed:
        self.reads += 1
        return super().observed(domain, version, since, until)


@pytest.fixture
def counted(database: Database, clock: VirtualClock) -> Any:
    made = Served(database, clock)
    made.live = Counting(lambda: made.metrics)
    made.estate = Estate(database, clock, live=made.live)
    made.estate.delivery.deploy("cards", "v1", actor=ADA)
    made.answers("v1", 60)
    clock.advance(timedelta(minutes=5))
    made.estate.delivery.deploy("cards", "v2", actor=ADA)
    made.answers("v2", 60)
    assert made.estate.delivery.watch() == []
    made.live.reads = 0
    yield made
    made.metrics.close()


def test_watch__nothing_new__reads_no_rollup_until_the_longest_pause(counted: Any, clock: VirtualClock) -> None:
    for _ in range(14):
        clock.advance(timedelta(seconds=2))
        assert counted.estate.delivery.watch() == []
    assert counted.live.reads == 0
    clock.advance(timedelta(seconds=2))
    counted.estate.delivery.watch()
    assert counted.live.reads == 1  # of what it shows; what was before it is known


def test_watch__harm_right_after_a_look__seen_by_the_next_one(counted: Any, clock: VirtualClock) -> None:
    clock.advance(timedelta(seconds=2))
    counted.answers("v2", 30, failed=30)
    (event,) = counted.estate.delivery.watch()
    assert (event.removed, event.rule) == (("v2",), "error_rise")


def test_watch__stricter_policy__judged_by_it_at_once(counted: Any, clock: VirtualClock) -> None:
    delivery = counted.estate.delivery
    clock.advance(timedelta(seconds=2))
    counted.answers("v2", 40, wrong=3)
    assert delivery.watch() == []
    delivery.policies.change("cards", {"max_accuracy_drop": 0.01}, actor=ADA)
    assert [event.rule for event in delivery.watch()] == ["accuracy_drop"]


def test_watch__harm_that_comes_late__seen_after_the_longest_pause(counted: Any, clock: VirtualClock) -> None:
    clock.advance(timedelta(minutes=9))
    assert counted.estate.delivery.watch() == []
    for _ in range(60):
        counted.metrics.record("cards", "v2", "failed", 1.0, at=clock.now() - timedelta(minutes=8))
    assert counted.metrics.flush()
    clock.advance(timedelta(seconds=2))
    assert counted.estate.delivery.watch() == []
    clock.advance(timedelta(seconds=28))
    assert [event.rule for event in counted.estate.delivery.watch()] == ["error_rise"]


def test_watch__rollback_could_not_be_written__tried_again_at_the_next_look(counted: Any, clock: VirtualClock) -> None:
    def away(*_: object) -> tuple[str, ...]:
        raise Unavailable("the disk is full")

    counted.estate.on_removed = away
    counted.answers("v2", 60, failed=60)
    assert counted.estate.delivery.watch() == []
    assert counted.estate.weights() == {"v2": 10_000}
    counted.estate.on_removed = lambda *_: ()
    assert len(counted.estate.delivery.watch()) == 1
    assert counted.estate.weights() == {"v1": 10_000}
