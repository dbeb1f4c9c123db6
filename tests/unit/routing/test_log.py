from __future__ import annotations

from collections.abc import Sequence

from routing_log import START, decide, router

from bailiwick.errors import Unavailable
from bailiwick.metrics.prometheus import render
from bailiwick.routing.log import DecisionLog
from bailiwick.routing.logged import LoggedDecision, features_from, seen_document


def decided(number: int, status: int = 200, answered: str | None = None) -> LoggedDecision:
    decision = decide(router(), number)
    domain = decision.domain if answered is None else answered
    return LoggedDecision(f"r{number}", START, decision, domain, "v1", status, 12.5, 30)


class Store:
    def __init__(self) -> None:
        self.away = False
        self.rows: list[str] = []

    def write(self, decisions: Sequence[LoggedDecision]) -> None:
        if self.away:
            raise Unavailable("the database is away")
        self.rows += [each.request_id for each in decisions]


def test_flush__store_is_away__tried_again_without_loss_or_repetition() -> None:
    store = Store()
    log = DecisionLog(store.write, interval_s=3_600)
    store.away = True
    assert all(log.offer(decided(n)) for n in range(5))
    assert not log.flush()
    store.away = False
    assert log.flush()
    assert store.rows == [f"r{n}" for n in range(5)]
    log.close()


def test_offer__queue_is_full__dropped_and_counted() -> None:
    store = Store()
    log = DecisionLog(store.write, capacity=3, interval_s=3_600)
    assert [log.offer(decided(n)) for n in range(5)] == [True, True, True, False, False]
    assert log.dropped == 2
    assert "bailiwick_routing_decisions_dropped_total 2" in render(log.families())
    log.close()
    assert store.rows == ["r0", "r1", "r2"]
    assert not log.offer(decided(9)), "closed"


def test_row__failed_answer__is_worthless_whoever_failed_and_a_fallbacks_answer_waits_to_be_judged() -> None:
    failed = decided(1, 502, "").row()
    assert (failed["metric"], failed["value"], failed["answered"]) == ("failed", 0.0, failed["domain"])
    assert decided(1, 422, "").row()["value"] is None
    assert decided(1, 502, "misc-2").row()["value"] == 0.0
    stand_in = decided(1, 200, "misc-2").row()
    assert (stand_in["value"], stand_in["answered"]) == (None, "misc-2")


def test_seen__features_are_read_back_as_they_were() -> None:
    decision = decide(router(), 7)
    assert features_from(seen_document(decision)) == decision.features
