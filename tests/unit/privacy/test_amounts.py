from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.errors import InvalidInput
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.amounts import ATTO, NANO, units, units_of_cap
from bailiwick.privacy.costs import Cost, Level
from bailiwick.privacy.terms import ColumnBounds, ReleaseTerms

BAD = [
    math.nan,
    math.inf,
    -math.inf,
    -1,
    -1e-9,
    0,
    0.0,
    -0.0,
    5e-324,
    2.2e-308,
    "NaN",
    "sNaN",
    "1e999999999",
    "-0",
    "",
    "one",
    None,
    True,
    Decimal("Infinity"),
    10**5000,
    10**7,
    [1],
]


@pytest.mark.parametrize("value", BAD, ids=lambda value: repr(value)[:20] if value != 10**5000 else "huge")
def test_cost__amount_that_is_none__is_refused(value: Any) -> None:
    for make in (Cost.of, Cost.of_rho, lambda each: Cost.cap(epsilon=each), lambda each: Cost.cap(rho=each)):
        with pytest.raises(InvalidInput):
            make(value)


@pytest.mark.parametrize("delta", [math.nan, math.inf, -1e-9, 5e-324, 1, 1.5, "0.0", None, True, Decimal("NaN")])
def test_cost__delta_that_is_none__is_refused(delta: Any) -> None:
    with pytest.raises(InvalidInput):
        Cost.of(1, delta)


@given(st.floats(min_value=1e-12, max_value=1e6))
def test_units__any_float__a_charge_is_never_less_than_asked_and_a_cap_never_more(value: float) -> None:
    asked = Fraction(repr(value))
    assert 0 <= Fraction(units(value, NANO, "epsilon"), NANO) - asked < Fraction(1, NANO)
    if asked >= Fraction(1, NANO):
        assert 0 <= asked - Fraction(units_of_cap(value, NANO, "epsilon"), NANO) < Fraction(1, NANO)


def test_cost__ten_tenths__are_exactly_one() -> None:
    assert 10 * Cost.of(0.1).epsilon_nano == Cost.cap(epsilon=1.0).epsilon_nano == NANO
    assert 10 * Cost.of(1, 1e-7).delta_atto == Cost.cap(epsilon=1, delta=1e-6).delta_atto == ATTO // 10**6


def test_level__presets__are_as_documented() -> None:
    assert {level.value: (level.cost.epsilon, level.cost.delta) for level in Level} == {
        "low": (2.0, 1e-4),
        "medium": (1.0, 1e-5),
        "high": (0.5, 1e-6),
    }


def test_terms__nothing_stated__names_everything_that_is_missing() -> None:
    with pytest.raises(InvalidInput, match=r"unit, contribution_cap, lifetime, bounds\.amount, categories\.branch"):
        ReleaseTerms().check(numeric=["amount"], categorical=["branch"])
    assert "adjacency" in ReleaseTerms(adjacency=None).missing()


@pytest.mark.parametrize(("lower", "upper"), [(1, 1), (2, 1), (0, math.inf), (math.nan, 1)])
def test_bounds__no_interval__is_refused(lower: float, upper: float) -> None:
    with pytest.raises(InvalidInput):
        ColumnBounds(lower, upper)


@pytest.mark.parametrize("text", ["", "a", "a/", "/a", "a/b/", "a/b/c/d", "a/ ", "a/b\n", "a/" + "b" * 201])
def test_account_key__malformed__is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        AccountKey.parse(text)
