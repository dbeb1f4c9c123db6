from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.backends.complaints import Complaint, asked_wait_s, complaint_of

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "message", "code", "param", "detail", "loc", "msg"]), inner)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"error": {"message": "too long", "type": "x", "param": "messages", "code": "context_length_exceeded"}},
            Complaint("too long", "context_length_exceeded", "messages"),
        ),
        ({"error": "model 'x' not found"}, Complaint("model 'x' not found")),
        ({"object": "error", "message": "bad", "param": None, "code": 400}, Complaint("bad", status=400)),
        ({"error": {"code": 429, "message": "slow down"}}, Complaint("slow down", status=429)),
        ({"detail": "not here"}, Complaint("not here")),
        ({"detail": [{"loc": ["body", "n"], "msg": "big"}, {"msg": "odd"}]}, Complaint("body.n: big; odd")),
        ({"error": {"message": "m", "code": "not a name!", "param": "x y"}}, Complaint("m")),
        ({"error": None}, Complaint()),
        ([], Complaint()),
    ],
)
def test_complaint__each_shape__words_code_and_field(document: Any, expected: Complaint) -> None:
    assert complaint_of(document) == expected


@given(ANYTHING)
def test_complaint__anything__short_words(document: Any) -> None:
    assert len(complaint_of(document).words) <= 500


def test_without__secret_anywhere__gone() -> None:
    told = Complaint("the key sk-1 is odd", "sk-1", "sk-1", 401).without("sk-1")
    assert told == Complaint("the key *** is odd", status=401)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((None, "7", None), 7.0),
        (("250", "7", None), 0.25),
        (("soon", "7", None), 7.0),
        ((None, "Wed, 21 Oct 2026 07:28:30 GMT", "Wed, 21 Oct 2026 07:28:00 GMT"), 30.0),
        ((None, "Wed, 21 Oct 2026 07:27:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT"), 0.0),
        ((None, "Wed, 21 Oct 2026 07:28:30 GMT", None), None),
        ((None, "-1", None), None),
        ((None, "nan", None), None),
        (("inf", None, None), None),
        ((None, None, None), None),
    ],
)
def test_asked_wait__each_form__seconds(headers: tuple[str | None, ...], expected: float | None) -> None:
    assert asked_wait_s(*headers) == expected
