"""Slots of layers, and who may run beside whom."""

from __future__ import annotations

from typing import Any

import pytest
from experiment_plans import experiment

from bailiwick.errors import Conflict, InvalidInput
from bailiwick.traffic.layers import check_beside, reserve, width


def test_reserve__grow_and_shrink__only_adds_and_only_gives_back() -> None:
    small = reserve([], "cards", "answers", "tone", 1000)
    beside = [experiment(slots=small), experiment("other", slots=((1000, 3000),))]
    large = reserve(beside, "cards", "answers", "tone", 4000)
    assert small == ((0, 1000),)
    assert large == ((0, 1000), (3000, 6000))
    beside[0] = experiment(slots=large)
    assert reserve(beside, "cards", "answers", "tone", 2500) == ((0, 1000), (3000, 4500))
    assert reserve(beside, "cards", "answers", "tone", 4000) == large


def test_reserve__full_layer__names_who_holds_it() -> None:
    beside = [experiment("first", slots=((0, 6000),)), experiment("second", slots=((6000, 9000),))]
    with pytest.raises(Conflict, match="'first' holds 60 %, 'second' holds 30 %") as caught:
        reserve(beside, "cards", "answers", "tone", 1001)
    assert caught.value.allowed == 1000
    assert width(reserve(beside, "cards", "answers", "tone", 1000)) == 1000


def test_reserve__other_layer_or_other_domain__has_slots_of_its_own() -> None:
    beside = [experiment("first"), experiment("far", domain="loans", layer="extra")]
    assert reserve(beside, "cards", "extra", "tone", 10_000) == ((0, 10_000),)


@pytest.mark.parametrize("coverage", [0, -1, 10_001, True, 0.5])
def test_reserve__impossible_coverage__is_refused(coverage: Any) -> None:
    with pytest.raises(InvalidInput, match="coverage"):
        reserve([], "cards", "answers", "tone", coverage)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (experiment("new", slots=((4999, 6000),)), "1 slots of the layer 'answers' of 'cards' are held by 'tone'"),
        (experiment("new", slots=((5000, 6000),), unit="session"), "'tone' divides the layer .* by 'user'"),
        (experiment("new", slots=((5000, 6000),), overrides={"ada": "control"}), "'tone' overrides the unit 'ada'"),
        (experiment("new", layer="b", versions={"treatment": "v3"}), "'tone' in the layer 'answers' .* the version"),
        (experiment("new", layer="b", parameters={"control": {"warmth": 1}}), "the parameter 'warmth' too"),
    ],
)
def test_check_beside__in_the_way_of_another__names_it(plan: Any, message: str) -> None:
    running = experiment(
        slots=((0, 5000),),
        versions={"treatment": "v2"},
        parameters={"treatment": {"warmth": 2}},
        overrides={"ada": "treatment"},
    )
    with pytest.raises(Conflict, match=message):
        check_beside(plan, [running])


def test_check_beside__nothing_shared__may_run() -> None:
    running = experiment(slots=((0, 5000),), versions={"treatment": "v2"}, parameters={"treatment": {"warmth": 2}})
    free = [
        running,
        experiment("same-layer", slots=((5000, 6000),), versions={"treatment": "v3"}),
        experiment("other-layer", layer="b", parameters={"treatment": {"version": "words only"}}),
        experiment("other-domain", domain="loans", versions={"treatment": "v2"}, unit="session"),
    ]
    for plan in free:
        check_beside(plan, [running])
