from __future__ import annotations

from dataclasses import replace

import pytest
from routing_log import EXPLORING, TABLE, Says, router, world

from bailiwick.routing.analytics import Entry, by_domain, regret
from bailiwick.routing.evaluate import evaluate
from bailiwick.routing.learn import learn
from bailiwick.routing.model import Mode
from bailiwick.routing.observed import balanced, independent
from bailiwick.routing.policy import Algorithm, Knobs, Policy, Sticky
from bailiwick.routing.rewards import FAILED, Judged
from bailiwick.routing.rules import RuleBook
from bailiwick.routing.runtime import Published, Question, Router

EVEN = Knobs(Algorithm.STATIC, weights={"cards": {"cards": 0.5, "loans": 0.5}})


@pytest.fixture(scope="module")
def log() -> list[Judged]:
    return world(4_000, {"cards": 0.9, "loans": 0.9, "misc": 0.0}, made=router(policy=Policy(EVEN)))


def seen_of(log: list[Judged], share: float) -> list[Judged]:
    """Every tenth request to cards fails, and is known to; of the answers so many are judged."""
    found = []
    for number, each in enumerate(log):
        if each.domain == "cards" and number % 10 == 0:
            found.append(replace(each, metric=FAILED, value=0.0))
        elif number % 1_000 < 1_000 * share:
            found.append(each)
    return found


def test_balanced__few_answers_are_judged__failures_do_not_outweigh_them(log: list[Judged]) -> None:
    known = seen_of(log, 0.1)
    taken = balanced(known, 0.1)
    cards = learn(taken, EXPLORING, taken[-1].at).means["cards|*"]["cards"][1]
    untouched = learn(known, EXPLORING, known[-1].at).means["cards|*"]["cards"][1]
    assert abs(cards - 0.9 * 0.9) < 0.06, "nine in ten of its answers come, nine in ten of those are right"
    assert untouched < 0.5
    assert balanced(known, 0.1) == taken, "the same ones each time"


def test_balanced__nobody_judges__nothing_is_learned_of_failures(log: list[Judged]) -> None:
    failed = [replace(each, metric=FAILED, value=0.0) for each in log[:50]]
    assert balanced(failed, 0.0) == []
    assert balanced(failed, 1.0) == failed


def test_independent__shared_draws_and_follow_ups__the_first_alone(log: list[Judged]) -> None:
    shared = [replace(each, draw=number // 4 / 10) for number, each in enumerate(log[:12])]
    assert independent(shared) == [shared[0], shared[4], shared[8]]
    assert independent(shared, shared[:1]) == [shared[4], shared[8]]
    assert independent([replace(log[0], follow_up=True), log[1], log[2]]) == [log[1], log[2]], "no draw: one's own"


def test_evaluate__sticky_users__each_user_counts_once() -> None:
    policy = Policy(replace(EVEN, sticky=Sticky.USER))
    made = Router(Published(1, Mode.ON, RuleBook(()), policy, 1))
    found = []
    for number, each in enumerate(world(2_000, {"cards": 0.5, "loans": 0.5, "misc": 0.0})):
        question = Question("which fee", "chat/completions", f"r{number}", user=f"u{number % 100}")
        decision = made.route(question, TABLE, Says()).decision
        assert decision is not None
        chosen = replace(each, domain=decision.domain, propensity=decision.propensity, draw=decision.draw)
        found.append(replace(chosen, candidates=decision.candidates, features=decision.features))
    assert len({each.draw for each in found}) == 100
    assert evaluate(found, EVEN, TABLE, learn_share=0.0).valued_on == 100
    assert evaluate(found, EVEN, TABLE).valued_on == 0, "all were learned from"


def test_evaluate__cost_in_the_reward__bounds_are_those_that_can_be(log: list[Judged]) -> None:
    few = log[:80]
    plain = evaluate(few, EVEN, TABLE).estimates[0]
    priced = evaluate(few, replace(EVEN, cost_weight=1e-9), TABLE).estimates[0]
    assert priced.high - priced.low > 1.2 * (plain.high - plain.low)


def entry(each: Judged, *, failed: bool = False, judged: bool = True) -> Entry:
    value = 0.0 if failed else each.value if judged else None
    known = replace(each, metric=FAILED, value=0.0) if failed else each
    return Entry(
        request_id=each.request_id,
        domain=each.domain,
        method="detected",
        detected="cards",
        score=0.5,
        propensity=each.propensity,
        status=502 if failed else 200,
        latency_ms=1.0,
        follow_up=False,
        choices=len(each.candidates),
        value=value,
        judged=known if value is not None else None,
    )


def test_analytics__rare_failures_and_sparse_feedback__neither_accuracy_nor_regret_mistakes_them(
    log: list[Judged],
) -> None:
    entries = [
        entry(each, failed=each.domain == "cards" and number % 25 == 0, judged=number % 10 == 1)
        for number, each in enumerate(log)
    ]
    cards = next(each for each in by_domain(entries, Knobs()) if each.domain == "cards")
    assert cards.accuracy is not None
    assert cards.regret is not None
    assert cards.accuracy > 0.8, "an error of the server is no feedback"
    assert cards.regret.value < 0.12
    whole = regret(entries, Knobs())
    assert whole is not None
    assert whole.value > cards.regret.value, "what was mistaken for regret"
