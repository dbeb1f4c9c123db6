from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.errors import InvalidInput
from bailiwick.routing.linear_regex import MAX_PATTERN, LinearPattern

_ATOMS = st.sampled_from(
    ["a", "b", "C", ".", r"\d", "[ab]", "[^a]", "1", r"\w", r"\s", " ", "[a-c1]", r"\.", "^", r"\b"]
)
_PATTERNS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{1,3}", "{2,}", "{0,2}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)


@given(_PATTERNS, st.text("abc1. C", max_size=12))
def test_search__random_patterns_and_texts__as_re_says(pattern: str, text: str) -> None:
    assert LinearPattern(pattern).search(text) == (re.search(pattern, text, re.IGNORECASE) is not None)


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|aa)+$x", "(.*a){20}b", "(a?){50}a{50}b", "([a-z]+)*!"])
def test_search__what_makes_backtracking_explode__takes_one_pass(pattern: str) -> None:
    # `re` would need longer than the age of the universe for some of these
    assert not LinearPattern(pattern).search("a" * 20_000)


def test_search__many_texts__tables_stay_bounded() -> None:
    pattern = LinearPattern("(a|b)*a[ab]{12}c")
    for number in range(300):
        pattern.search(f"{number:b}".replace("0", "a").replace("1", "b") * 20)
    assert sum(map(len, pattern._next)) <= 4_001


def test_search__matches_of_ever_new_characters__tables_stay_bounded() -> None:
    pattern = LinearPattern("[^0-9]")
    for first in range(0x4E00, 0x4E00 + 9_000):
        assert pattern.search(chr(first))
    assert sum(map(len, pattern._next)) <= 4_001


def test_search__texts_that_need_new_states_all_the_time__as_re_says() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        text = "".join(random.choice(["a", "b"], 3_000)) + "c"
        place = int(random.integers(1_000, 2_990))
        mine, theirs = "a[ab]{90}c$", re.compile("a[ab]{90}c$")
        for asked in (text, text[:place] + "." + text[place:]):
            assert LinearPattern(f"(a|b)*{mine}").search(asked) == (theirs.search(asked) is not None)


def test_search__end_of_text__is_seen_by_anchors() -> None:
    assert LinearPattern("fee$").search("card fee")
    assert not LinearPattern("fee$").search("fee card")
    assert LinearPattern(r"^\bfee\b$").search("FEE")


@pytest.mark.parametrize(
    "pattern",
    [
        *("", "(", ")", "[a", "a**", "*a", "a{", "a{3,2}", "a{9999}", "a{,3}", "((a{50}){50})"),
        *(r"(a)\1", "(?=a)", "(?<n>a)", "\\", r"\q", "[z-a]", "x" * (MAX_PATTERN + 1), "(" * 60 + "a" + ")" * 60),
    ],
)
def test_pattern__malformed_or_too_large__is_refused_by_name(pattern: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        LinearPattern(pattern)
    assert refused.value.what == "pattern"
    assert refused.value.where is not None


@given(st.text(max_size=40))
def test_pattern__any_text__compiles_or_is_refused(pattern: str) -> None:
    try:
        made = LinearPattern(pattern)
    except InvalidInput:
        return
    made.search("some text with 123 in it")
