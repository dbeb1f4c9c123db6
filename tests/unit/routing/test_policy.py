from __future__ import annotations

from typing import Any

import pytest
from routing_log import EXPLORING, START, world

from bailiwick.errors import InvalidInput
from bailiwick.routing.knobs import knobs_of_settings
from bailiwick.routing.learn import learn
from bailiwick.routing.policy import (
    Algorithm,
    Knobs,
    digest_of,
    knobs_document,
    parse_knobs,
    parse_policy,
    parse_policy_text,
    policy_document,
)
from bailiwick.settings import Settings


def test_settings__defaults_are_the_knobs_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert knobs_of_settings(Settings()) == Knobs()
    monkeypatch.setenv("BAILIWICK_ROUTING_LEARNING_RATE", "2.5")
    assert knobs_of_settings(Settings()).learning_rate == 2.5


def test_text__what_it_leaves_out_stays() -> None:
    found = parse_policy_text('algorithm = "linucb"\nalternatives = { cards = ["big"] }', "f", Knobs(candidates=2))
    assert (found.algorithm, found.candidates, found.alternatives) == (Algorithm.LINUCB, 2, {"cards": ("big",)})


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithm": "magic"},
        {"algorithm": 3},
        {"candidates": 0},
        {"candidates": "many"},
        {"margin": float("nan")},
        {"exploration_floor": 0.2},
        {"learning_rate": True},
        {"learning_rates": 1},
        {"metric": ""},
        {"metric": "a\x00b"},
        {"candidates": 2.5},
        {"sticky": "forever"},
        {"alternatives": ["cards"]},
        {"alternatives": {"Cards!": ["x"]}},
        {"alternatives": {"cards": ["X!"]}},
        {"alternatives": {"cards": ["a", "b", "c", "d", "e"]}},
        {"weights": {"cards": {"cards": 0.5}}},
        {"weights": {"cards": {"cards": 1.5, "loans": -0.5}}},
        {"weights": {"cards": 3}},
    ],
)
def test_knobs__out_of_bounds__are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_knobs(wrong)
    assert refused.value.what is not None


def test_text__no_toml__is_refused() -> None:
    with pytest.raises(InvalidInput, match="not TOML"):
        parse_policy_text("= 3", "policy.toml", Knobs())


@pytest.mark.parametrize("algorithm", [Algorithm.THOMPSON, Algorithm.LINUCB])
def test_policy__round_trip_and_digest(algorithm: Algorithm) -> None:
    knobs = parse_knobs({**knobs_document(EXPLORING), "algorithm": algorithm.value, "alternatives": {"a": ["b"]}})
    policy = learn(world(50, {"cards": 0.2, "loans": 0.8, "misc": 0.1}), knobs, START)
    document = policy_document(policy)
    again = policy_document(parse_policy(document))
    assert again == document
    assert digest_of(again) == digest_of(document)
    assert digest_of({**document, "decisions": 51}) != digest_of(document)
