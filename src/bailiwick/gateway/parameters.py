"""Generation parameters: defaults filled in, bounds kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bailiwick.domains.model import Generation
from bailiwick.errors import InvalidInput
from bailiwick.traffic.model import Scalar

_AT_MOST = frozenset({"max_tokens", "max_completion_tokens"})
_WHOLE = _AT_MOST


GENERATION_PARAMETERS = frozenset(
    {"temperature", "top_p", "max_tokens", "presence_penalty", "frequency_penalty", "seed"}
)
"""What an arm of an experiment may set of a request; its other parameters are for the calling application."""


def with_parameters(body: dict[str, Any], parameters: Mapping[str, Scalar]) -> dict[str, Any]:
    """The body with what the arms set; it takes the place of what the client asked for, or arms would not differ.

    >>> with_parameters({"temperature": 1.0, "max_completion_tokens": 9}, {"max_tokens": 5, "greeting": "hello"})
    {'temperature': 1.0, 'max_tokens': 5}
    """
    chosen = {name: value for name, value in parameters.items() if name in GENERATION_PARAMETERS}
    if "max_tokens" in chosen:
        body = {name: value for name, value in body.items() if name != "max_completion_tokens"}
    return {**body, **chosen} if chosen else body


def check_arm(parameters: Mapping[str, Scalar], generation: Generation, *, domain: str) -> None:
    """Whether requests with an arm's parameters stay inside the domain's bounds, so that none of them is refused.

    Raises:
        InvalidInput: a generation parameter is not a number, or out of bounds.
    """
    asked = with_parameters({}, parameters)
    for name, value in asked.items():
        if isinstance(value, bool | str):
            raise InvalidInput(f"{name!r} must be a number", what=name, requested=repr(value)[:100])
    bounded = bounded_body(asked, generation, domain=domain)
    lowered = [name for name, value in asked.items() if bounded[name] != value]
    if lowered:
        raise InvalidInput(
            f"{lowered[0]!r} is above the bound of the domain {domain!r}",
            what=lowered[0],
            requested=asked[lowered[0]],
            allowed=bounded[lowered[0]],
        )


def bounded_body(body: dict[str, Any], generation: Generation, *, domain: str) -> dict[str, Any]:
    """The body with the domain's defaults, inside the domain's bounds.

    A parameter without a default is left to the model.
    A limit on tokens above its bound is lowered to it: it is an "at most" and stays true. Any other parameter
    out of bounds is refused, because an answer made with another value is not what was asked for.
    ``max_completion_tokens`` is the newer name of ``max_tokens`` and shares its bounds.

    Raises:
        InvalidInput: a bounded parameter is not a number, or is out of bounds.
    """
    bounded = dict(body)
    for name, (least, most) in generation.bounds.items():
        for field in (name, "max_completion_tokens") if name == "max_tokens" else (name,):
            value = bounded.get(field)
            if value is not None:
                bounded[field] = _inside(field, value, least, most, domain)
    defaults = {"temperature": generation.temperature, "top_p": generation.top_p, "max_tokens": generation.max_tokens}
    for name, default in defaults.items():
        if default is None or bounded.get(name) is not None:
            continue
        if name != "max_tokens" or not bounded.get("max_completion_tokens"):
            bounded[name] = default
    return bounded


def bounded_response(body: dict[str, Any], generation: Generation, *, domain: str) -> dict[str, Any]:
    """As `bounded_body` for the Responses API, where ``max_tokens`` is named ``max_output_tokens``."""
    renamed = dict(body)
    asked = renamed.pop("max_output_tokens", None)
    if asked is not None and renamed.get("max_tokens") is None:  # an arm's limit takes the client's place
        renamed["max_completion_tokens"] = asked
    bounded = bounded_body(renamed, generation, domain=domain)
    limits = [bounded.pop(name, None) for name in ("max_tokens", "max_completion_tokens")]
    limit = next((limit for limit in limits if limit is not None), None)
    return bounded if limit is None else bounded | {"max_output_tokens": limit}


def _inside(field: str, value: Any, least: float, most: float, domain: str) -> int | float:
    is_number = type(value) is int or (type(value) is float and field not in _WHOLE)
    if is_number and value > most and field in _AT_MOST:
        return int(most)
    if is_number and least <= value <= most:
        number: int | float = value
        return number
    kind = "a whole number" if field in _WHOLE else "a number"
    raise InvalidInput(
        f"{field!r} must be {kind} from {least:g} to {most:g} for the domain {domain!r}",
        what=field,
        requested=value if is_number else repr(value)[:100],
        allowed=[least, most],
    )
