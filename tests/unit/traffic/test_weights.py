from __future__ import annotations

from typing import Any

import pytest

from bailiwick.errors import InvalidInput
from bailiwick.traffic.weights import parse_percent, parse_weights, reweight, share_weights, whole

PLAN = whole("cards", "v1", "salt")


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"v1": 9999},
        {"v1": 10_001},
        {"v1": 11_000, "v2": -1000},
        {"v1": 5000.0, "v2": 5000.0},
        {"v1": True, "v2": 9999},
        {"": 10_000},
        {"v1": "10000"},
        {f"v{n}": 50 for n in range(200)},
    ],
)
def test_reweight__malformed_weights__refused(weights: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        reweight(PLAN, weights)


def test_reweight__version_not_named__gets_nothing() -> None:
    assert reweight(PLAN, {"v2": 10_000}).weights == {"v2": 10_000}


def test_reweight__next_revision__same_salt_and_domain() -> None:
    following = reweight(PLAN, {"v1": 1, "v2": 9999})
    assert (following.revision, following.salt, following.domain) == (2, "salt", "cards")


def test_parse_weights__percentages__basis_points() -> None:
    assert parse_weights(["cards-v1=80", "cards-v2=19.75%", "a=b=0.25 %"]) == {
        "cards-v1": 8000,
        "cards-v2": 1975,
        "a=b": 25,
    }


@pytest.mark.parametrize("words", [["v1"], ["=80"], ["v1=80", "v1=20"], ["v1=x"], ["v1="]])
def test_parse_weights__malformed_words__refused(words: list[str]) -> None:
    with pytest.raises(InvalidInput):
        parse_weights(words)


@pytest.mark.parametrize("text", ["", "%", "-1", "101", "0.001", "nan", "inf", "1e5", "twenty"])
def test_parse_percent__not_a_share__refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_percent(text)


@pytest.mark.parametrize("share", [0, -1, 10_001, True, 0.2])
def test_share_weights__share_out_of_bounds__refused(share: Any) -> None:
    with pytest.raises(InvalidInput):
        share_weights({"v1": 10_000}, "v2", share)


def test_share_weights__nobody_for_the_rest__refused() -> None:
    with pytest.raises(InvalidInput, match="no other version"):
        share_weights({}, "v1", 2000)
    with pytest.raises(InvalidInput, match="no other version"):
        share_weights({"v1": 10_000}, "v1", 2000)
