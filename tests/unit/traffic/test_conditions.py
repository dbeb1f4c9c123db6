"""Who may take part."""

from __future__ import annotations

from typing import Any

import pytest

from bailiwick.errors import InvalidInput
from bailiwick.traffic.conditions import compile_condition
from bailiwick.traffic.model import Condition, Operator

PRESENT = object()


@pytest.mark.parametrize(
    ("operator", "values", "attribute", "expected"),
    [
        (Operator.IN, ("nl", "de"), "de", True),
        (Operator.IN, ("nl", "de"), "DE", False),
        (Operator.IN, (5, True), "5", True),
        (Operator.IN, (5,), 5.0, True),
        (Operator.IN, (1,), True, False),
        (Operator.IN, (True,), "true", True),
        (Operator.IN, ("nl",), None, False),
        (Operator.NOT_IN, ("nl",), "de", True),
        (Operator.NOT_IN, ("nl",), "nl", False),
        (Operator.NOT_IN, ("nl",), None, True),
        (Operator.STARTS_WITH, ("test-", "qa-"), "qa-7", True),
        (Operator.STARTS_WITH, ("test-",), "prod", False),
        (Operator.STARTS_WITH, ("test-",), None, False),
        (Operator.STARTS_WITH, ("4",), 42, True),
        (Operator.AT_LEAST, (18,), "18", True),
        (Operator.AT_LEAST, (18,), 17.99, False),
        (Operator.AT_LEAST, (18,), "many", False),
        (Operator.AT_LEAST, (18,), "nan", False),
        (Operator.AT_LEAST, (18,), None, False),
        (Operator.BELOW, ("18",), 17, True),
        (Operator.BELOW, (18,), 18, False),
        (Operator.BELOW, (18,), None, False),
        (Operator.BELOW, (18,), True, False),
        (Operator.BELOW, (18,), "nan", False),
        (Operator.PRESENT, (), "", True),
        (Operator.PRESENT, (), None, False),
    ],
)
def test_condition__attribute__decides(operator: Operator, values: Any, attribute: Any, expected: bool) -> None:
    check = compile_condition(Condition("Country", operator, values))
    assert check({"country": attribute}.get) is expected


@pytest.mark.parametrize(
    ("operator", "values"),
    [
        (Operator.IN, ()),
        (Operator.STARTS_WITH, ()),
        (Operator.STARTS_WITH, (4,)),
        (Operator.STARTS_WITH, ("",)),
        (Operator.AT_LEAST, ()),
        (Operator.AT_LEAST, (1, 2)),
        (Operator.BELOW, ("ten",)),
        (Operator.BELOW, (float("inf"),)),
        (Operator.BELOW, (True,)),
        (Operator.PRESENT, ("x",)),
    ],
)
def test_condition__values_that_do_not_fit_the_operator__are_refused(operator: Operator, values: Any) -> None:
    with pytest.raises(InvalidInput, match="malformed"):
        compile_condition(Condition("country", operator, values))
