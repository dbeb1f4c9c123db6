"""Who answers in the shadow, on both databases; and the report."""

from __future__ import annotations

from dataclasses import replace

import pytest
from deliveries import ADA, Estate

from bailiwick.delivery.shadow import Disagreement, shadow_report
from bailiwick.domains.model import Lifecycle
from bailiwick.errors import Conflict, InvalidInput, NotFound
from bailiwick.metrics.model import MetricSummary
from bailiwick.traffic.model import Shadow
from bailiwick.traffic.wire import PublishedPlans, dump_plans, load_plans


@pytest.fixture
def estate(database, clock) -> Estate:  # type: ignore[no-untyped-def]
    found = Estate(database, clock)
    found.delivery.deploy("cards", "v1", actor=ADA)
    return found


def shadow_of(estate: Estate) -> Shadow | None:
    plan = estate.traffic.plan("cards")
    assert plan is not None
    return plan.shadow


def test_shadow__cast_changed_and_ended__is_in_the_history_and_weights_stay(estate: Estate) -> None:
    estate.delivery.shadow("cards", "v2", share=1000, actor=ADA)
    assert shadow_of(estate) == Shadow("v2", 1000)
    estate.delivery.shadow("cards", "v2", share=1000, actor=ADA)  # nothing new
    estate.delivery.shadow("cards", None, actor=ADA)
    assert estate.weights() == {"v1": 10_000}
    records = estate.traffic.history("cards")
    assert [(record.change, record.plan.shadow) for record in records] == [
        ("traffic.shadow", None),
        ("traffic.shadow", Shadow("v2", 1000)),
        ("traffic.deploy", None),
    ]
    [off, on, *_] = [entry for entry in estate.audit.entries() if entry.action == "traffic.shadow"]
    assert on.after["shadow"] == off.before["shadow"] == {"version": "v2", "share": 1000}


def test_shadow__weights_change__it_stays_until_it_serves_everybody(estate: Estate) -> None:
    estate.delivery.shadow("cards", "v2", actor=ADA)
    estate.delivery.deploy("cards", "v2", share=2000, actor=ADA)
    assert shadow_of(estate) == Shadow("v2")
    estate.delivery.promote("cards", "v2", actor=ADA)
    assert shadow_of(estate) is None
    with pytest.raises(Conflict, match="serves all"):
        estate.delivery.shadow("cards", "v2", actor=ADA)


def test_rollback__with_a_shadow__ends_it(estate: Estate) -> None:
    estate.delivery.deploy("cards", "v2", share=2000, actor=ADA)
    estate.delivery.shadow("cards", "v3", actor=ADA)
    estate.delivery.rollback("cards", actor=ADA)
    assert (estate.weights(), shadow_of(estate)) == ({"v1": 10_000}, None)


def test_shadow__gate_not_passed__may_answer_unseen(estate: Estate) -> None:
    estate.delivery.shadow("cards", "bad", actor=ADA)
    assert shadow_of(estate) == Shadow("bad")


def test_shadow__bad_input__changes_nothing(estate: Estate) -> None:
    before = estate.traffic.history("cards")
    with pytest.raises(NotFound):
        estate.delivery.shadow("cards", "nobody", actor=ADA)
    for share in (0, -1, 10_001):
        with pytest.raises(InvalidInput):
            estate.delivery.shadow("cards", "v2", share=share, actor=ADA)
    with pytest.raises(Conflict):
        estate.delivery.shadow("cards", "v2", actor=ADA, expected_revision=7)
    estate.registered["v9"] = replace(estate.registered["v9"], domain="loans")
    with pytest.raises(InvalidInput):
        estate.delivery.shadow("cards", "v9", actor=ADA)
    estate.lifecycle = Lifecycle.ARCHIVED
    with pytest.raises(Conflict):
        estate.delivery.shadow("cards", "v2", actor=ADA)
    assert estate.traffic.history("cards") == before


def test_shadow__nothing_deployed__is_not_found(database, clock) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(NotFound):
        Estate(database, clock).delivery.shadow("cards", "v1", actor=ADA)


def test_plans__with_a_shadow__read_back_as_published(estate: Estate) -> None:
    estate.delivery.shadow("cards", "v2", share=25, actor=ADA)
    published = PublishedPlans(1, estate.traffic.plans())
    assert load_plans(dump_plans(published)).plans == published.plans
    with pytest.raises(InvalidInput):
        load_plans(dump_plans(published).replace(b'"share":25', b'"share":10001'))


def summary(metric: str, count: int, mean: float, version: str = "v2") -> MetricSummary:
    return MetricSummary(version, "shadow", metric, count, mean, None, 0.0, 2.0, 5.0, 6.0, 7.0)


def test_shadow_report__agreement__with_its_interval_and_the_most_frequent_disagreements() -> None:
    found = shadow_report(
        "cards",
        "v2",
        [
            summary("failed", 110, 10 / 110),
            summary("agreement", 100, 0.9),
            summary("latency_ms", 110, 3.0),
            *(summary(f"disagreement:a{number} -> b", number, 1.0) for number in range(1, 31)),
            summary("agreement", 5, 0.0, version="v3"),
        ],
    )
    assert (found.answered, found.failed, found.compared, found.agreed) == (100, 10, 100, 90)
    assert found.interval == pytest.approx((0.8256, 0.9448), abs=1e-4)  # Wilson's, 90 of 100
    assert (found.p50_ms, found.p95_ms) == (2.0, 5.0)
    assert len(found.disagreements) == 20
    assert found.disagreements[0] == Disagreement("a30 -> b", 30)


def test_shadow_report__nothing_seen__says_so() -> None:
    found = shadow_report("cards", "v2", [])
    assert (found.answered, found.compared, found.interval, found.p50_ms, found.disagreements) == (0, 0, None, None, ())
