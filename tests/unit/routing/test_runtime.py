from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from routing_log import EXPLORING, NAMES, TABLE, Says

from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.routing.model import Candidate, Mode, Route, RouteMethod, RoutingTable
from bailiwick.routing.policy import Algorithm, Knobs, LinearArm, Policy, Sticky
from bailiwick.routing.rules import Rule, RuleBook
from bailiwick.routing.runtime import Conversations, Published, Question, Router, _allowed

ARM = LinearArm((0.4, 1.0, 0.0, 0.0), tuple(float(place % 5 == 0) for place in range(16)))
EVEN = Policy(Knobs(Algorithm.STATIC, weights={"cards": {"cards": 0.5, "loans": 0.5}}))


def made(
    mode: Mode = Mode.ON, policy: Policy = EVEN, *rules: Rule, conversations: Conversations | None = None
) -> Router:
    return Router(Published(3, mode, RuleBook(rules), policy, 2), conversations)


def ask(
    router: Router, number: int = 0, table: RoutingTable = TABLE, says: Says | None = None, **more: object
) -> Route:
    question = Question("which fee", "chat/completions", f"r{number}", **more)  # type: ignore[arg-type]
    return router.route(question, table, says or Says())


def test_idle__no_rules_and_off() -> None:
    assert Published().idle
    assert not Published(mode=Mode.SHADOW).idle
    assert not Published(rules=RuleBook([Rule("a", "cards", keywords=("x",))])).idle


def test_on__both_are_drawn_and_logged_with_what_they_were_drawn_with() -> None:
    routes = [ask(made(), number) for number in range(200)]
    counts = Counter(route.domain for route in routes)
    assert 60 < counts["loans"] < 140
    for route in routes:
        decision = route.decision
        assert decision is not None
        assert (decision.domain, decision.propensity, decision.revision) == (route.domain, 0.5, 2)
        assert route.method is (RouteMethod.LEARNED if route.domain == "loans" else RouteMethod.DETECTED)


def test_shadow__detection_acts_and_what_learning_would_do_is_logged() -> None:
    routes = [ask(made(Mode.SHADOW), number) for number in range(50)]
    assert {route.domain for route in routes} == {"cards"}
    assert {route.decision.proposed for route in routes if route.decision} == {"cards", "loans"}
    assert {route.decision.propensity for route in routes if route.decision} == {1.0}


def test_off__nothing_is_decided() -> None:
    assert ask(made(Mode.OFF)).decision is None


def test_rule__goes_first_and_is_passed_over_where_nobody_can_answer() -> None:
    first, second = Rule("a", "loans", 2, ("fee",)), Rule("b", "misc", 1, ("fee",))
    assert ask(made(Mode.ON, EVEN, first, second)).domain == "loans"
    without = RoutingTable(NAMES, frozenset({"cards", "misc"}), {}, "misc")
    route = ask(made(Mode.ON, EVEN, first, second), table=without)
    assert (route.domain, route.method) == ("misc", RouteMethod.USER_RULE)
    assert route.decision is not None
    assert (route.decision.rule, route.decision.candidates) == ("b", ())
    standing_in = RoutingTable(NAMES, frozenset({"cards", "misc"}), {"loans": "cards"}, "misc")
    assert ask(made(Mode.OFF, EVEN, first), table=standing_in).domain == "cards"


def test_fallback_of_the_detected_domain__is_not_learned_of() -> None:
    table = RoutingTable(NAMES, frozenset({"loans", "misc"}), {"cards": "misc"}, None)
    route = ask(made(), table=table)
    assert (route.domain, route.method, route.decision) == ("misc", RouteMethod.FALLBACK, None)


def test_nobody_can_answer__as_without_learning() -> None:
    with pytest.raises(Unavailable):
        ask(made(), table=RoutingTable(NAMES, frozenset(), {}, "misc"))
    with pytest.raises(InvalidInput):
        ask(made(), table=RoutingTable(NAMES, NAMES, {}, None), says=Says(abstains=True))


def test_conversation__stays_when_the_weights_turn_round_and_says_it_is_a_follow_up() -> None:
    router = made()
    domains = {n: ask(router, n, conversation=f"c{n}").domain for n in range(20)}
    turned = Policy(Knobs(Algorithm.STATIC, weights={"cards": {"misc": 1.0}}))
    later = made(Mode.ON, turned, conversations=router.conversations)
    for n, domain in domains.items():
        route = ask(later, 1_000 + n, conversation=f"c{n}", turn=2)
        assert route.domain == domain
        assert route.decision is not None
        assert route.decision.follow_up
    assert ask(later, 1, conversation="another").domain == "misc"


def test_conversation__on_another_replica_with_the_same_weights__same_domain() -> None:
    for n in range(20):
        first = ask(made(), n, conversation=f"c{n}")
        second = ask(made(), 500 + n, conversation=f"c{n}", turn=3)
        assert first.domain == second.domain
        assert second.decision is not None
        assert second.decision.follow_up


def test_conversation__domain_is_gone__another_one_answers() -> None:
    router = made()
    domain = ask(router, conversation="c").domain
    left = RoutingTable(NAMES, NAMES - {domain}, {}, "misc")
    assert ask(router, 1, table=left, conversation="c").domain != domain


def test_conversations__more_than_are_remembered__the_silent_ones_go() -> None:
    few = Conversations(most=3)
    router = made(conversations=few)
    for n in range(10):
        ask(router, n, conversation=f"c{n}")
    assert [few.get(f"conversation:c{n}") is not None for n in (0, 6, 7, 8, 9)] == [False, False, True, True, True]


def test_sticky_user__same_user_same_draw_and_none__each_request_its_own() -> None:
    by_user = made(Mode.ON, Policy(Knobs(Algorithm.STATIC, sticky=Sticky.USER, weights=EVEN.knobs.weights)))
    assert len({ask(by_user, n, user="ada", conversation=f"c{n}").domain for n in range(30)}) == 1
    freely = made(Mode.ON, Policy(Knobs(Algorithm.STATIC, sticky=Sticky.NONE, weights=EVEN.knobs.weights)))
    assert len({ask(freely, n, user="ada", conversation="c").domain for n in range(30)}) == 2


def test_no_detector__the_default_answers() -> None:
    question = Question("x", "chat/completions", "r")
    assert made(Mode.ON, Policy(EXPLORING)).route(question, TABLE, None).domain == "misc"


def test_key_for_some_domains__nothing_else_is_drawn_nor_learned_of() -> None:
    routes = [ask(made(), n, may_ask={"cards", "misc"}.__contains__) for n in range(30)]
    assert {route.domain for route in routes} == {"cards"}
    assert {(r.decision.propensity, r.decision.context) for r in routes if r.decision} == {(1.0, "")}
    everywhere = ask(made(), may_ask=lambda _: True).decision
    assert everywhere is not None
    assert everywhere.context


def test_key_forbids_all_that_might_be_drawn__the_best_of_the_others_and_never_a_forbidden_one() -> None:
    policy = Policy(Knobs(Algorithm.LINUCB, exploration_floor=0.0, margin=1.0), linear={"cards": {"cards": ARM}})
    free = ask(made(policy=policy)).decision
    assert free is not None
    assert {each.domain: each.probability for each in free.candidates}["cards"] == 1.0
    route = ask(made(policy=policy), may_ask={"loans", "misc"}.__contains__)
    assert route.domain == "loans"
    assert "'cards' may not be asked" in route.reason
    assert route.decision is not None
    assert (route.decision.propensity, route.decision.context) == (1.0, "")


def test_key_for_other_domains_alone__as_detection_says() -> None:
    route = ask(made(), may_ask=lambda _: False)
    assert route.domain == "cards", "who asks is turned away at the door"


def test_conversation__with_another_key__is_not_kept_where_it_may_not_ask() -> None:
    router = made()
    domain = ask(router, conversation="c").domain
    assert ask(router, 1, conversation="c", may_ask=lambda each: each != domain).domain != domain


def test_allowed__all_probability_was_with_the_others__never_one_of_them() -> None:
    candidates = tuple(Candidate(name, 0.5, 0.5, chance) for name, chance in (("cards", 1.0), ("loans", 0.0)))
    question = Question("x", "chat/completions", "r", may_ask={"loans"}.__contains__)
    assert [(each.domain, each.probability) for each in _allowed(candidates, question)] == [("loans", 1.0)]
    assert _allowed(candidates, replace(question, may_ask=set[str]().__contains__)) == ()
