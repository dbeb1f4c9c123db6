"""Experiments are placed like plans: one writer at a time, every revision kept, gateways told."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from experiment_plans import experiment

from bailiwick.clock import VirtualClock
from bailiwick.errors import Conflict, InvalidInput, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.storage.cache import MemoryCache
from bailiwick.storage.database import Database
from bailiwick.traffic.model import (
    Arm,
    Condition,
    ExperimentPlan,
    ExperimentRecord,
    Holdout,
    Operator,
    PlacedExperiments,
)
from bailiwick.traffic.service import CACHE_KEY, TrafficService
from bailiwick.traffic.weights import reweight
from bailiwick.traffic.wire import PublishedPlans, dump_plans, load_plans

ADA = Actor("ada", reason="because")


@pytest.fixture
def cache() -> MemoryCache:
    return MemoryCache()


@pytest.fixture
def traffic(database: Database, clock: VirtualClock, cache: MemoryCache) -> TrafficService:
    return TrafficService(database, AuditTrail(database, clock), clock, cache)


def place(traffic: TrafficService, plan: ExperimentPlan, base: int | None = None) -> ExperimentRecord:
    with traffic.changing() as connection:
        return traffic.place(connection, plan, actor=ADA, base_revision=base)


def withdraw(traffic: TrafficService, name: str, base: int | None = None) -> ExperimentRecord:
    with traffic.changing() as connection:
        return traffic.withdraw(connection, name, actor=ADA, base_revision=base)


RICH = experiment(
    slots=((0, 100), (300, 5000)),
    arms=[
        Arm("control", None, {"temperature": 0.0, "greeting": "hello", "long": True, "tokens": 100}),
        Arm("treatment", "cards-v2", {"temperature": 1.0}),
    ],
    unit="header:X-Tenant",
    conditions=(Condition("country", Operator.IN, ("nl", 5, 0.5, True)), Condition("beta", Operator.PRESENT)),
    overrides={"ada": "treatment", "zoë": "control"},
)


def test_place__everything_a_plan_may_hold__comes_back_unchanged(traffic: TrafficService) -> None:
    record = place(traffic, RICH, base=0)
    assert (record.revision, record.running, record.actor, record.reason) == (1, True, "ada", "because")
    assert traffic.experiments("cards") == (RICH,)
    assert traffic.all_experiments() == {"cards": (RICH,)}
    found = traffic.experiment("tone")
    assert found == record
    parameters = traffic.experiments("cards")[0].arms[1].parameters
    assert type(parameters["temperature"]) is float


def test_place__nothing_placed__nothing_there(traffic: TrafficService) -> None:
    assert traffic.experiments("cards") == ()
    assert traffic.all_experiments() == {}
    assert traffic.experiment("tone") is None
    assert traffic.holdout() == Holdout()
    assert traffic.placements() == PlacedExperiments()


def test_place__again_without_a_difference__nothing_is_written(traffic: TrafficService) -> None:
    first = place(traffic, RICH)
    assert place(traffic, RICH) == first
    assert traffic.revision() == 1


def test_place__based_on_an_older_revision__conflict_and_nothing_changed(traffic: TrafficService) -> None:
    place(traffic, RICH)
    with pytest.raises(Conflict, match="at revision 1, not 0"):
        place(traffic, replace(RICH, overrides={}), base=0)
    assert traffic.experiments("cards") == (RICH,)
    place(traffic, replace(RICH, overrides={}), base=1)
    assert [record.revision for record in traffic.experiment_history("tone")] == [2, 1]
    assert traffic.revision() == 2


def test_place__changing_weights__opens_an_epoch_or_is_refused(traffic: TrafficService) -> None:
    plan = experiment()
    place(traffic, plan)
    shifted = reweight(plan.split, {"control": 2000, "treatment": 8000})
    with pytest.raises(InvalidInput, match="other weights or arms make it at least 2"):
        place(traffic, replace(plan, split=replace(shifted, revision=1)))
    place(traffic, replace(plan, split=shifted))
    with pytest.raises(InvalidInput, match="never goes back"):
        place(traffic, replace(plan, split=replace(shifted, revision=1)))
    with pytest.raises(InvalidInput, match="at least 3"):
        place(traffic, replace(plan, split=shifted, arms=(Arm("control"), Arm("treatment", "v9"))))


@pytest.mark.parametrize(
    "changed",
    [
        replace(experiment(), layer="other"),
        replace(experiment(), unit="session"),
        experiment(domain="loans"),
        replace(experiment(), split=replace(experiment().split, salt="another")),
    ],
)
def test_place__changing_what_keeps_units_in_place__is_refused(traffic: TrafficService, changed: Any) -> None:
    place(traffic, experiment())
    with pytest.raises(InvalidInput, match="start another experiment"):
        place(traffic, changed)
    assert traffic.experiments("cards") == (experiment(),)


def test_place__in_the_way_of_another__conflict_until_that_is_withdrawn(traffic: TrafficService) -> None:
    place(traffic, experiment("first"))
    with pytest.raises(Conflict, match="held by 'first'"):
        place(traffic, experiment("second"))
    ended = withdraw(traffic, "first", base=1)
    assert (ended.revision, ended.running) == (2, False)
    place(traffic, experiment("second"))
    with pytest.raises(Conflict, match="held by 'second'"):
        place(traffic, experiment("first"))
    assert traffic.placements() == PlacedExperiments(
        {"cards": (experiment("second"),)}, Holdout(), frozenset({"first"})
    )
    assert [plan.experiment for plan in traffic.experiments("cards")] == ["second"]


def test_withdraw__then_place__resumes_where_it_was(traffic: TrafficService) -> None:
    place(traffic, RICH)
    withdraw(traffic, "tone")
    assert withdraw(traffic, "tone").revision == 2
    assert traffic.experiments("cards") == ()
    assert place(traffic, RICH).revision == 3
    assert traffic.experiments("cards") == (RICH,)


def test_withdraw__never_placed__not_found(traffic: TrafficService) -> None:
    with pytest.raises(NotFound, match="never placed"):
        withdraw(traffic, "tone")


def test_reserve__then_place__grows_into_what_is_free(traffic: TrafficService) -> None:
    for name, coverage in (("first", 4000), ("second", 3000), ("first", 7000)):
        with traffic.changing() as connection:
            slots = traffic.reserve(connection, "cards", "answers", name, coverage)
            traffic.place(connection, experiment(name, slots=slots), actor=ADA)
    first, second = traffic.experiments("cards")
    assert (first.slots, second.slots) == (((0, 4000), (7000, 10_000)), ((4000, 7000),))


def test_set_holdout__moves_the_counter_and_is_audited(
    traffic: TrafficService, database: Database, clock: VirtualClock
) -> None:
    for slots in (500, 500, 100, 0):
        with traffic.changing() as connection:
            traffic.set_holdout(connection, slots, actor=ADA)
        assert traffic.holdout().slots == slots
    assert traffic.revision() == 3
    entries = AuditTrail(database, clock).entries(subject="traffic:holdout")
    assert [entry.action for entry in entries] == ["traffic.holdout"] * 3
    for wrong in (-1, 10_000, True, 0.5):
        with pytest.raises(InvalidInput), traffic.changing() as connection:
            traffic.set_holdout(connection, wrong, actor=ADA)  # type: ignore[arg-type]


def test_publish__experiments_and_holdout__are_in_the_cache(traffic: TrafficService, cache: MemoryCache) -> None:
    place(traffic, RICH)
    with traffic.changing() as connection:
        traffic.set_holdout(connection, 250, actor=ADA)
    document = cache.get(CACHE_KEY)
    assert document is not None
    published = load_plans(document)
    assert published == PublishedPlans(2, {}, {"cards": (RICH,)}, Holdout(slots=250))
    assert load_plans(dump_plans(published)) == published
    with pytest.raises(InvalidInput):
        load_plans(document.replace(b'"end":5000', b'"end":5001'))
    with pytest.raises(InvalidInput):
        load_plans(document.replace(b'"slots":250', b'"slots":10000'))


def test_load_plans__written_before_there_were_experiments__has_none() -> None:
    assert load_plans(b'{"revision": 4, "plans": []}') == PublishedPlans(4, {})


@pytest.mark.parametrize(
    "wrong",
    [
        {"experiment": "a.b"},
        {"experiment": ""},
        {"experiment": "x" * 65},
        {"layer": "two words"},
        {"domain": "x" * 65, "split": replace(experiment().split, domain="x" * 65)},
        {"domain": "loans"},
        {"split": replace(experiment().split, revision=0)},
        {"split": replace(experiment().split, revision=2**31)},
        {"split": replace(experiment().split, salt="")},
        {"split": replace(experiment().split, algorithm=2)},
        {"split": replace(experiment().split, ranges=experiment().split.ranges[:1])},
        {"unit": "tenant"},
        {"unit": "header:"},
        {"unit": "header:two words"},
        {"slots": ()},
        {"slots": ((5, 5),)},
        {"slots": ((0, 10_001),)},
        {"slots": ((10, 20), (15, 30))},
        {"slots": ((True, 20),)},
        {"arms": (Arm("control"),)},
        {"arms": (Arm("control"), Arm("control"))},
        {"arms": (Arm("control"), Arm("other"))},
        {"arms": (Arm("control"), Arm("two words"))},
        {"arms": (Arm("control"), Arm("treatment", ""))},
        {"arms": (Arm("control"), Arm("treatment", None, {"a b": 1}))},
        {"arms": (Arm("control"), Arm("treatment", None, {"a": float("nan")}))},
        {"arms": (Arm("control"), Arm("treatment", None, {"a": "\x00"}))},
        {"arms": (Arm("control"), Arm("treatment", None, {"a": 2**60}))},
        {"arms": (Arm("control", None, {"a": 1}), Arm("treatment", None, {"a": "text"}))},
        {"conditions": (Condition("", Operator.PRESENT),)},
        {"conditions": (Condition("age", Operator.BELOW, ("x",)),)},
        {"overrides": {"ada": "nobody"}},
        {"overrides": {"": "control"}},
        {"overrides": {"\ud800": "control"}},
    ],
)
def test_place__plan_that_makes_no_sense__is_refused(traffic_at_home: TrafficService, wrong: Any) -> None:
    with pytest.raises(InvalidInput):
        place(traffic_at_home, replace(experiment(), **wrong))
    assert traffic_at_home.revision() == 0


@pytest.fixture
def traffic_at_home(sqlite_database: Database, clock: VirtualClock) -> TrafficService:
    return TrafficService(sqlite_database, AuditTrail(sqlite_database, clock), clock)


def test_place__eight_at_once_into_one_layer__nobody_shares_a_slot(database: Database, traffic: TrafficService) -> None:
    outcomes: list[str] = []

    def start(number: int) -> None:
        try:
            with traffic.changing() as connection:
                slots = traffic.reserve(connection, "cards", "answers", f"e{number}", 2000)
                traffic.place(connection, experiment(f"e{number}", slots=slots), actor=ADA)
            outcomes.append("placed")
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=start, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict"] * 3 + ["placed"] * 5
    taken = [slot for plan in traffic.experiments("cards") for first, end in plan.slots for slot in range(first, end)]
    assert sorted(taken) == list(range(10_000))


def test_place__two_based_on_one_revision__exactly_one_wins(traffic: TrafficService) -> None:
    place(traffic, experiment())
    plans = [replace(experiment(), overrides={f"u{number}": "control"}) for number in range(4)]
    outcomes: list[bool] = []

    def change(plan: ExperimentPlan) -> None:
        try:
            place(traffic, plan, base=1)
            outcomes.append(True)
        except Conflict:
            outcomes.append(False)

    threads = [threading.Thread(target=change, args=(plan,)) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False, False, False, True]
    assert [record.revision for record in traffic.experiment_history("tone")] == [2, 1]
