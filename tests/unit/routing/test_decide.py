from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routing_log import EXPLORING, NAMES, START, TABLE, TIE, world

from bailiwick.routing.bandit import chances_to_be_best, floored, variance_of
from bailiwick.routing.contexts import context_of, parent_of
from bailiwick.routing.decide import candidates_of, draw_of, drawn
from bailiwick.routing.learn import learn
from bailiwick.routing.model import Features, RoutingTable
from bailiwick.routing.policy import Algorithm, Knobs, LinearArm, Policy

CHAT = "chat/completions"
TIED = Features("cards", False, TIE, 30, CHAT)
SURE = Features("cards", False, (("cards", 0.97), ("loans", 0.02), ("misc", 0.01)), 30, CHAT)

_SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=5).map(lambda xs: sorted(x / sum([*xs, 1]) for x in xs)[::-1])


@st.composite
def decided(draw: st.DrawFn) -> tuple[Features, Policy, RoutingTable]:
    scores = draw(_SCORES)
    names = [f"d{n}" for n in range(len(scores))]
    features = Features(
        "d0",
        draw(st.booleans()),
        tuple(zip(names, scores, strict=True)),
        draw(st.integers(0, 100_000)),
        draw(st.sampled_from([CHAT, "responses"])),
    )
    knobs = Knobs(
        algorithm=draw(st.sampled_from(list(Algorithm))),
        candidates=draw(st.integers(1, 5)),
        margin=draw(st.floats(0, 1)),
        exploration_floor=draw(st.floats(0, 0.1)),
        prior_strength=draw(st.floats(0.1, 1e4)),
        alternatives={"d0": ("extra",)},
        weights={"d0": {"d0": 0.25, "extra": 0.75}},
    )
    means = {
        context_of(features): {name: (draw(st.floats(0.0, 1e5)), draw(st.floats(-1, 1))) for name in [*names, "extra"]}
    }
    arm = LinearArm(tuple(draw(st.lists(st.floats(-2, 2), min_size=4, max_size=4))), (0.1, 0, 0, 0) * 4)
    everyone = frozenset([*names, "extra", "fallback"])
    ready = frozenset(draw(st.sets(st.sampled_from(sorted(everyone)))))
    table = RoutingTable(everyone, ready, {}, draw(st.sampled_from([None, "fallback"])))
    return features, Policy(knobs, means, {"d0": {"d0": arm}, "-d0": {"extra": arm}}), table


@given(decided())
def test_candidates__whatever_was_learned__probabilities_of_those_who_can_answer(
    given_: tuple[Features, Policy, RoutingTable],
) -> None:
    features, policy, table = given_
    found = candidates_of(features, policy, table)
    if not found:
        assert not table.ready & {domain for domain, _ in features.ranking[: policy.knobs.candidates]}
        return
    assert sum(each.probability for each in found) == pytest.approx(1)
    assert {each.domain for each in found} <= table.ready
    assert len({each.domain for each in found}) == len(found)
    if len(found) > 1 and policy.knobs.algorithm in (Algorithm.THOMPSON, Algorithm.LINUCB):
        assert min(each.probability for each in found) >= policy.knobs.exploration_floor - 1e-9
    assert found == candidates_of(features, policy, table)


@pytest.mark.parametrize("algorithm", [Algorithm.THOMPSON, Algorithm.LINUCB])
def test_candidates__nothing_judged__as_detection_says_and_nothing_explored(algorithm: Algorithm) -> None:
    found = candidates_of(TIED, Policy(Knobs(algorithm, margin=1.0)), TABLE)
    assert [(each.domain, each.probability) for each in found] == [("cards", 1.0)]


def test_candidates__one_answer_judged__exploring_begins() -> None:
    policy = Policy(Knobs(margin=1.0), {parent_of(context_of(TIED)): {"cards": (1.0, 1.0)}})
    assert len(candidates_of(TIED, policy, TABLE)) == 3


def test_candidates__sure_detection__no_choice_and_no_exploration() -> None:
    assert [(each.domain, each.probability) for each in candidates_of(SURE, Policy(), TABLE)] == [("cards", 1.0)]


@pytest.mark.parametrize("algorithm", [Algorithm.THOMPSON, Algorithm.LINUCB])
def test_candidates__sure_detection_that_users_deny__others_are_tried(algorithm: Algorithm) -> None:
    context = context_of(SURE)
    arm = LinearArm((0.1, 0.0, 0.0, 0.0), tuple(0.001 * (n % 5 == 0) for n in range(16)))
    policy = Policy(Knobs(algorithm), {context: {"cards": (500.0, 0.1)}}, {"cards": {"cards": arm}})
    assert len(candidates_of(SURE, policy, TABLE)) > 1


def test_candidates__abstention__begins_with_the_default_domain() -> None:
    asked = Features("cards", True, (("cards", 0.2), ("loans", 0.1)), 30, CHAT)
    assert candidates_of(asked, Policy(), TABLE)[0].domain == "misc"


def test_candidates__alternative__takes_part_with_the_detected_domains_prior() -> None:
    table = RoutingTable(NAMES | {"big"}, NAMES | {"big"}, {}, "misc")
    policy = Policy(Knobs(alternatives={"cards": ("big",)}), {"cards|*": {"cards": (1.0, 1.0)}})
    found = candidates_of(SURE, policy, table)
    assert [(each.domain, each.prior) for each in found] == [("cards", 0.97), ("big", 0.97)]


def test_candidates__static_weights__as_given() -> None:
    knobs = Knobs(Algorithm.STATIC, weights={"cards": {"cards": 0.3, "loans": 0.7}})
    found = {each.domain: each.probability for each in candidates_of(TIED, Policy(knobs), TABLE)}
    assert found == pytest.approx({"cards": 0.3, "loans": 0.7})


def test_drawn__many_keys__as_often_as_the_probabilities_say() -> None:
    found = candidates_of(TIED, Policy(Knobs(Algorithm.STATIC, weights={"cards": {"cards": 0.3, "loans": 0.7}})), TABLE)
    counts = Counter(drawn(found, draw_of(f"request-{n}")).domain for n in range(20_000))
    assert counts["loans"] / 20_000 == pytest.approx(0.7, abs=0.015)  # 4.6 standard errors


@pytest.mark.parametrize("algorithm", [Algorithm.THOMPSON, Algorithm.LINUCB])
def test_learned__one_domain_is_better__gets_the_traffic(algorithm: Algorithm) -> None:
    knobs = Knobs(algorithm, exploration_floor=0.02, margin=1.0, half_life_days=0)
    policy = learn(world(400, {"cards": 0.2, "loans": 0.8, "misc": 0.1}), knobs, START)
    shares = {each.domain: each.probability for each in candidates_of(TIED, policy, TABLE)}
    assert shares["loans"] > 0.9


def test_learned__context_never_seen__borrows_from_the_domains_others() -> None:
    policy = learn(world(400, {"cards": 0.2, "loans": 0.8, "misc": 0.1}), EXPLORING, START)
    elsewhere = Features("cards", False, TIE, 9_000, "responses")
    shares = {each.domain: each.probability for each in candidates_of(elsewhere, policy, TABLE)}
    assert shares["loans"] > shares["cards"]
    assert parent_of(context_of(elsewhere)) in policy.means


def test_learning_rate_and_half_life__how_much_counts() -> None:
    seen = world(100, {"cards": 0.5, "loans": 0.5, "misc": 0.5})
    end = seen[-1].at

    def weight(knobs: Knobs) -> float:
        return sum(count for count, _ in learn(seen, knobs, end).means.get(context_of(TIED), {}).values())

    assert learn(seen, Knobs(learning_rate=0), end).means == {}
    assert weight(Knobs(learning_rate=2, half_life_days=0)) == pytest.approx(200)
    minutes = 1 / 1440
    assert weight(Knobs(half_life_days=minutes)) == pytest.approx(2, rel=0.01)  # 1 + 1/2 + 1/4 + ...


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0.001, 0.3)), min_size=2, max_size=5))
def test_chances__sum_to_one_and_follow_the_means(arms: list[tuple[float, float]]) -> None:
    found = chances_to_be_best([mean for mean, _ in arms], [variance for _, variance in arms])
    assert sum(found) == pytest.approx(1)
    assert min(found) >= 0
    assert sum(floored(found, 0.05)) == pytest.approx(1)


def test_variance__never_below_that_of_answers_alike() -> None:
    assert variance_of(1.0, 9) == pytest.approx(0.001)
    assert variance_of(0.5, 9) == pytest.approx(0.025)
    assert variance_of(-0.5, 9) == pytest.approx(0.001)
