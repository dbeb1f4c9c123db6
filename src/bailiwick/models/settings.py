"""Hyper-parameters of a family: declared once, checked and filled in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bailiwick.errors import InvalidInput

Value = float | int | str | bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that a family can be given: its default and its inclusive bounds. The default's type is the type."""

    default: int | float
    low: float
    high: float
    meaning: str


def resolve(family: str, parameters: Mapping[str, Parameter], given: Mapping[str, Value] | None) -> dict[str, Value]:
    """Every parameter of the family with its given or default value.

    Raises:
        InvalidInput: an unknown name, a value of the wrong type or out of bounds.
    """
    chosen: dict[str, Value] = {name: parameter.default for name, parameter in parameters.items()}
    for name, value in (given or {}).items():
        parameter = parameters.get(name)
        if parameter is None:
            raise InvalidInput(
                f"family {family!r} has no setting {name!r}", what=name, requested=value, allowed=sorted(parameters)
            )
        whole = isinstance(parameter.default, int)
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            kind = "a whole number" if whole else "a number"
            raise InvalidInput(f"setting {name!r} must be {kind}, got {value!r}", what=name, requested=value)
        if not parameter.low <= value <= parameter.high:
            raise InvalidInput(
                f"setting {name!r} is out of bounds: {value!r}",
                what=name,
                requested=value,
                allowed=f"{parameter.low:g} to {parameter.high:g}",
            )
        chosen[name] = value if whole else float(value)
    return chosen
