"""Who may take part in an experiment: conditions, compiled once into closures. Pure.

Values compare as text, because a header is text and an OpenFeature client may send numbers: ``5``, ``5.0`` and ``"5"``
are one value, ``True`` is ``"true"``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from bailiwick.errors import InvalidInput
from bailiwick.traffic.model import Condition, Operator, Scalar

Attributes = Callable[[str], Scalar | None]
"""The value of an attribute by its name in lower case; None where it is absent."""

Check = Callable[[Attributes], bool]
"""Whether somebody with these attributes may take part."""


def compile_condition(condition: Condition) -> Check:
    """The condition as a closure. Names of attributes are taken in lower case, as those of headers are.

    Raises:
        InvalidInput: the values do not fit the operator.

    >>> adult = compile_condition(Condition("age", Operator.AT_LEAST, (18,)))
    >>> adult({"age": "21"}.get), adult({"age": 17.5}.get), adult({}.get)
    (True, False, False)
    """
    name, values = condition.attribute.lower(), condition.values
    match condition.operator:
        case Operator.PRESENT:
            _expect(condition, not values, "no values")
            return lambda attributes: attributes(name) is not None
        case Operator.IN | Operator.NOT_IN:
            _expect(condition, bool(values), "at least one value")
            return _membership(name, frozenset(map(as_text, values)), wanted=condition.operator is Operator.IN)
        case Operator.STARTS_WITH:
            _expect(condition, bool(values) and all(isinstance(value, str) and value for value in values), "texts")
            starts = tuple(map(str, values))
            return lambda attributes: (value := attributes(name)) is not None and as_text(value).startswith(starts)
        case Operator.AT_LEAST | Operator.BELOW:
            bound = as_number(values[0]) if len(values) == 1 else None
            _expect(condition, bound is not None, "one finite number")
            return _bound(name, bound or 0.0, at_least=condition.operator is Operator.AT_LEAST)


def as_text(value: Scalar) -> str:
    """The text that stands for a value in comparisons.

    >>> as_text(5.0), as_text("5"), as_text(True), as_text(0.5)
    ('5', '5', 'true', '0.5')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def as_number(value: Scalar | None) -> float | None:
    """The finite number that a value is or spells; None for anything else.

    >>> as_number("2.5"), as_number("nan"), as_number(True)
    (2.5, None, None)
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _membership(name: str, values: frozenset[str], *, wanted: bool) -> Check:
    def check(attributes: Attributes) -> bool:
        value = attributes(name)
        return (value is not None and as_text(value) in values) is wanted

    return check


def _bound(name: str, bound: float, *, at_least: bool) -> Check:
    def check(attributes: Attributes) -> bool:
        number = as_number(attributes(name))
        return number is not None and (number >= bound) is at_least

    return check


def _expect(condition: Condition, fits: bool, allowed: str) -> None:
    if not fits:
        raise InvalidInput(
            f"the condition {condition.attribute!r} {condition.operator.value} {list(condition.values)!r} is malformed",
            what="conditions",
            requested=[as_text(value) for value in condition.values],
            allowed=allowed,
        )
