"""What routing publishes and learns, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from routing_log import EXPLORING, NAMES, TABLE, Says, decide, router

from bailiwick.clock import VirtualClock
from bailiwick.errors import BailiwickError, Conflict, GateFailed, InvalidInput, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.metrics.judgements import Judgements
from bailiwick.metrics.service import MetricsService
from bailiwick.routing.evaluate import Verdict
from bailiwick.routing.logged import LoggedDecision
from bailiwick.routing.model import Mode
from bailiwick.routing.policy import Algorithm, Knobs, Policy
from bailiwick.routing.rules import Rule
from bailiwick.routing.runtime import Question, Router
from bailiwick.routing.service import DOMAIN_METRIC, LEARNER, RoutingService
from bailiwick.storage.database import Database

ADA = Actor("ada", reason="a reason")
EVEN = Knobs(Algorithm.STATIC, weights={"cards": {"cards": 0.5, "loans": 0.5}})


class House:
    """The service, the metrics that feedback comes through, and a clock."""

    def __init__(self, database: Database, clock: VirtualClock) -> None:
        self.database = database
        self.clock = clock
        self.audit = AuditTrail(database, clock)
        self.metrics = MetricsService(database, clock, flush_interval_s=3_600)
        self.routing = RoutingService(
            database,
            self.audit,
            clock,
            Judgements(database),
            knobs=EXPLORING,
            mode=Mode.OFF,
            table=lambda: TABLE,
            kept=timedelta(days=30),
        )
        self.asked = 0

    def serve(self, count: int, made: Router | None = None, status: int = 200) -> list[LoggedDecision]:
        """Decide so many requests, a second apart, and log them."""
        used = made or router()
        found = []
        for _ in range(count):
            self.asked += 1
            self.clock.advance(timedelta(seconds=1))
            decision = decide(used, self.asked)
            answered = decision.domain if status < 500 else ""
            found.append(LoggedDecision(f"r{self.asked}", self.clock.now(), decision, answered, "v1", status, 5.0, 9))
        self.routing.write(found)
        return found

    def judge(self, decided: LoggedDecision, value: float) -> None:
        self.metrics.feedback(decided.request_id, value=value)


@pytest.fixture
def house(database: Database, clock: VirtualClock) -> House:
    return House(database, clock)


def test_published__before_anything__settings_and_idle(house: House) -> None:
    published = house.routing.published()
    assert (published.revision, published.mode, published.policy.knobs) == (0, Mode.OFF, EXPLORING)
    assert published.idle


def test_rules_and_mode__each_change__a_revision_with_its_audit_entry(house: House) -> None:
    rules = [Rule("fraud", "loans", 5, ("fraud",)), Rule("numbers", "cards", pattern="[0-9]{16}")]
    assert house.routing.set_rules(rules, ADA) == 1
    assert house.routing.set_mode(Mode.ON, ADA) == 2
    published = house.routing.published()
    assert published.rules.rules == tuple(rules)
    assert (published.mode, published.revision) == (Mode.ON, 2)
    assert house.routing.set_rules([], ADA) == 3
    assert house.routing.rules() == ()
    found, body = house.routing.body(1)
    assert (found.kind, found.actor, found.reason) == ("rules", "ada", "a reason")
    assert [each["name"] for each in body["rules"]] == ["fraud", "numbers"], "what was published stays as it was"
    actions = [(each.action, each.subject) for each in house.audit.entries()]
    assert actions == [("routing.rules", "routing:3"), ("routing.mode", "routing:2"), ("routing.rules", "routing:1")]
    with pytest.raises(NotFound):
        house.routing.body(99)


def test_rules__unknown_domain_or_malformed__refused_and_nothing_changed(house: House) -> None:
    for wrong in (Rule("a", "nowhere", keywords=("x",)), Rule("a", "cards"), Rule("a", "cards", pattern="(")):
        with pytest.raises(InvalidInput):
            house.routing.set_rules([wrong], ADA)
    assert house.routing.revision() == 0
    assert house.audit.entries() == []


def test_publish__eight_at_once__every_revision_has_one_author(house: House) -> None:
    failures: list[BailiwickError] = []

    def change(number: int) -> None:
        for _ in range(5):
            try:
                house.routing.set_mode(Mode.ON if number % 2 else Mode.SHADOW, Actor(f"a{number}"))
            except BailiwickError as error:
                failures.append(error)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(each, Conflict) for each in failures)
    revisions = [each.revision for each in house.routing.history(1_000)]
    assert revisions == list(range(len(revisions), 0, -1))
    assert len(revisions) == 40 - len(failures) == len(house.audit.entries(limit=1_000))


def test_step__feedback_comes_days_later__is_joined_and_published(house: House) -> None:
    house.routing.set_mode(Mode.ON, ADA)
    served = house.serve(300)
    assert house.routing.step().judgements == 0
    house.clock.advance(timedelta(days=3))
    for each in served:
        house.judge(each, float(each.decision.domain == "loans"))
    learned = house.routing.step()
    assert learned.judgements == 300
    assert learned.published is not None
    published = house.routing.published()
    assert published.policy_revision == learned.published
    assert published.policy.decisions == 300
    decision = decide(Router(published), 10**9)
    shares = {each.domain: each.probability for each in decision.candidates}
    assert shares["loans"] > 0.75
    assert house.audit.entries(limit=1)[0].actor == LEARNER.name
    again = house.routing.step()
    assert (again.judgements, again.published) == (0, None), "nothing is news"


def test_step__feedback_changes__the_later_one_counts(house: House) -> None:
    house.routing.set_mode(Mode.ON, ADA)
    served = house.serve(1)[0]
    house.judge(served, 1.0)
    house.routing.step()
    house.clock.advance(timedelta(hours=1))
    house.judge(served, 0.0)
    assert house.routing.step().judgements == 1
    assert [each.value for each in house.routing.judged()] == [0.0]


def test_step__mode_off__judgements_are_kept_but_nothing_is_published(house: House) -> None:
    made = router(policy=Policy(EXPLORING))
    for each in house.serve(20, made):
        house.judge(each, 1.0)
    learned = house.routing.step()
    assert (learned.judgements, learned.published) == (20, None)
    assert house.routing.revision() == 0


def test_feedback__names_the_right_domain__judges_and_is_shown(house: House) -> None:
    house.routing.set_mode(Mode.ON, ADA)
    served = house.serve(40)
    for each in served:
        house.metrics.feedback(each.request_id, metric=DOMAIN_METRIC, label="loans")
    house.metrics.feedback(served[0].request_id, metric=DOMAIN_METRIC, label="nowhere")
    house.routing.step()
    found = {each.request_id: each for each in house.routing.judged()}
    assert {each.value == float(each.domain == "loans") for each in found.values()} == {True}
    analytics = house.routing.analytics(
        house.clock.now() - timedelta(hours=1), house.clock.now() + timedelta(seconds=1)
    )
    assert analytics.confusion["cards"]["loans"] > 0
    assert analytics.decisions == 40


def test_failed_answer__is_learned_from_without_feedback(house: House) -> None:
    house.routing.set_mode(Mode.ON, ADA)
    house.serve(3, status=502)
    assert [(each.metric, each.value) for each in house.routing.judged()] == [("failed", 0.0)] * 3


def test_failed_answers__nobody_judges_the_others__nothing_is_learned_of_them(house: House) -> None:
    house.serve(3, status=502)
    served = house.serve(20)
    assert house.routing.judged() == []
    for each in served:
        house.judge(each, 1.0)
    house.routing.set_mode(Mode.ON, ADA)
    house.routing.step()
    assert sorted(each.metric for each in house.routing.judged()) == ["correct"] * 20 + ["failed"] * 3


def test_fallback_answers__what_is_said_of_it_counts_for_the_choice(house: House) -> None:
    (served,) = house.serve(1)
    house.routing.write([replace(served, request_id="other", answered="misc")])
    house.metrics.feedback("other", value=1.0)
    house.metrics.feedback(served.request_id, metric=DOMAIN_METRIC, label="misc")
    house.routing.set_mode(Mode.ON, ADA)
    assert house.routing.step().judgements == 2
    found = {each.request_id: (each.domain, each.value) for each in house.routing.judged()}
    chosen = served.decision.domain
    assert found == {"other": (chosen, 1.0), served.request_id: (chosen, 0.0)}


def test_log__same_request_twice__the_first_stays(house: House) -> None:
    house.routing.set_mode(Mode.ON, ADA)
    served = house.serve(1)
    house.routing.write([replace(served[0], status=500, answered="")])
    row = house.routing.decision(served[0].request_id)
    assert row is not None
    assert row.status == 200


def test_decisions__older_than_kept__are_forgotten(house: House) -> None:
    house.routing.set_mode(Mode.ON, ADA)
    served = house.serve(2)
    house.clock.advance(timedelta(days=31))
    house.routing.step()
    assert house.routing.decision(served[0].request_id) is None


def test_policies_of_the_learner__older_than_kept__go_but_for_the_one_in_force(house: House) -> None:
    house.routing.set_mode(Mode.ON, ADA)
    by_hand = house.routing.apply(EXPLORING, ADA)[0]
    published = []
    for _ in range(3):
        house.judge(house.serve(1)[0], 1.0)
        published.append(house.routing.step().published)
    house.clock.advance(timedelta(days=31))
    house.routing.step()
    assert [each.revision for each in house.routing.history()] == [published[-1], by_hand, 1]
    assert house.routing.published().policy.decisions == 3


def test_apply__harm_in_the_log__refused_unless_forced_with_a_reason(house: House) -> None:
    house.routing.set_mode(Mode.ON, ADA)
    house.routing.apply(EVEN, ADA)
    for each in house.serve(600, Router(house.routing.published())):
        house.judge(each, float(each.decision.domain == "loans"))
    house.routing.step()
    worse = Knobs(Algorithm.STATIC, weights={"cards": {"cards": 1.0}})
    before = house.routing.revision()
    assert house.routing.evaluate(worse).verdict is Verdict.HARM
    with pytest.raises(GateFailed, match="harm"):
        house.routing.apply(worse, ADA)
    with pytest.raises(InvalidInput, match="reason"):
        house.routing.apply(worse, Actor("ada"), force=True)
    assert house.routing.revision() == before
    revision, found = house.routing.apply(worse, ADA, force=True)
    assert (revision, found.verdict) == (before + 1, Verdict.HARM)
    assert house.routing.knobs() == worse
    better = Knobs(Algorithm.STATIC, weights={"cards": {"loans": 1.0}})
    assert house.routing.apply(better, ADA)[1].verdict is Verdict.BETTER


def test_apply__knobs_by_hand__the_learner_goes_on_with_them(house: House) -> None:
    house.routing.set_mode(Mode.ON, ADA)
    mine = replace(EXPLORING, learning_rate=3.0)
    house.routing.apply(mine, ADA)
    for each in house.serve(20):
        house.judge(each, 1.0)
    assert house.routing.step().published is not None
    published = house.routing.published()
    assert published.policy.knobs == mine
    assert published.policy.decisions == 20


def test_apply__unknown_domain__refused(house: House) -> None:
    with pytest.raises(InvalidInput, match="nowhere"):
        house.routing.apply(Knobs(alternatives={"cards": ("nowhere",)}), ADA)
    with pytest.raises(InvalidInput, match="nowhere"):
        house.routing.evaluate(Knobs(weights={"cards": {"nowhere": 1.0}}))
    assert TABLE.known == NAMES


def test_history_of_a_decision__the_logged_draw__gives_the_same_again(house: House) -> None:
    from bailiwick.routing.decide import drawn
    from bailiwick.routing.store import candidates_from

    house.routing.set_mode(Mode.ON, ADA)
    for each in house.serve(50, router()):
        row = house.routing.decision(each.request_id)
        assert row is not None
        assert drawn(candidates_from(row.seen), row.draw).domain == row.domain == each.decision.domain


def test_rule__is_logged_but_not_learned_from(house: House) -> None:
    house.routing.set_rules([Rule("fees", "loans", keywords=("fee",))], ADA)
    house.routing.set_mode(Mode.ON, ADA)
    route = Router(house.routing.published()).route(Question("a fee", "chat/completions", "q"), TABLE, Says())
    assert route.decision is not None
    house.routing.write([LoggedDecision("q", house.clock.now(), route.decision, "loans", "v", 200, 1.0, None)])
    house.metrics.feedback("q", value=1.0)
    house.routing.step()
    assert house.routing.judged() == []
    found = house.routing.analytics(house.clock.now() - timedelta(hours=1), house.clock.now() + timedelta(seconds=1))
    assert found.domains[0].methods == {"user-rule": 1}
    assert found.domains[0].accuracy == 1.0
