"""Privacy settings as JSON documents, and back. Hostile until parsed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bailiwick.errors import InvalidInput
from bailiwick.privacy.accounts import Account, Balance
from bailiwick.privacy.amounts import ATTO, NANO, Amount, decimal_text
from bailiwick.privacy.costs import Cost, Level
from bailiwick.privacy.terms import Categories, ColumnBounds, PrivacySettings, check_cap

_PRICE = ("level", "default_epsilon", "default_delta")
_FIELDS = ("contribution_cap", "bounds", "categories", *_PRICE)


def settings_document(settings: PrivacySettings) -> dict[str, Any]:
    """The JSON document of settings.

    >>> settings_document(PrivacySettings(2, {"amount": ColumnBounds(0, 9)}))["bounds"]
    {'amount': [0.0, 9.0]}
    """
    return {
        "contribution_cap": settings.contribution_cap,
        "bounds": {name: [float(each.lower), float(each.upper)] for name, each in settings.bounds.items()},
        "categories": {name: list(each.values) for name, each in settings.categories.items()},
        "level": settings.level.value if settings.level else None,
        "default_epsilon": decimal_text(settings.price.epsilon_nano, NANO) if settings.price else None,
        "default_delta": decimal_text(settings.price.delta_atto, ATTO) if settings.price else None,
    }


def account_document(account: Account, balance: Balance) -> dict[str, Any]:
    """An account with its balance as JSON values; amounts are exact decimals in text."""
    return {
        "account": str(account.key),
        "namespace": account.key.namespace,
        "lineage": account.key.lineage,
        "domain": account.key.domain or None,
        "unit": account.unit.column,
        "adjacency": account.adjacency.value,
        "currency": account.currency.value,
        "reset_policy": account.lifetime.words,
        "created_at": account.created_at.isoformat(),
        "cap": _pair(balance.cap, balance.cap_delta),
        "used": _pair(balance.spent, balance.spent_delta),
        "held": _pair(balance.held, balance.held_delta),
        "remaining": _pair(balance.remaining, balance.remaining_delta),
        "entries": balance.entries,
    }


def _pair(main: int, delta: int) -> dict[str, str]:
    return {"amount": decimal_text(main, NANO), "delta": decimal_text(delta, ATTO)}


def merged(whole: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The domain's settings over the global ones; bounds and categories column by column, the price as a whole.

    >>> merged({"level": "low"}, {"default_epsilon": "0.3"})
    {'default_epsilon': '0.3'}
    """
    priced = any(own.get(name) is not None for name in _PRICE)
    merged = {name: value for name, value in whole.items() if not (priced and name in _PRICE)}
    for name, value in own.items():
        if name in ("bounds", "categories"):
            merged[name] = {**(whole.get(name) or {}), **value}
        elif value is not None:
            merged[name] = value
    return merged


def parse_settings(document: Mapping[str, Any]) -> PrivacySettings:
    """Settings from their JSON document; what is left out is not stated.

    Raises:
        InvalidInput: naming the field that cannot be accepted.
    """
    unknown = sorted(set(document) - set(_FIELDS))
    if unknown:
        raise InvalidInput(f"unknown privacy setting {unknown[0]!r}", what=unknown[0], allowed=list(_FIELDS))
    cap = document.get("contribution_cap")
    if cap is not None:
        check_cap(cap)
    return PrivacySettings(
        cap,
        {name: _bounds(name, each) for name, each in _mapping(document, "bounds").items()},
        {name: _categories(name, each) for name, each in _mapping(document, "categories").items()},
        *_price(document),
    )


def terms_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What of a settings document decides what a release does to data: all but level and epsilon, which are a price.

    >>> terms_of({"level": "high", "bounds": {}}) == terms_of({"contribution_cap": None})
    True
    """
    return {name: document[name] for name in _FIELDS if name not in _PRICE and document.get(name)}


def parse_level(name: str | None) -> Level | None:
    """A level by its name.

    Raises:
        InvalidInput: there is none of that name.
    """
    levels = {level.value: level for level in Level}
    if name is None:
        return None
    if not isinstance(name, str) or name not in levels:
        raise InvalidInput(f"privacy level {name!r}", what="level", requested=repr(name), allowed=list(levels))
    return levels[name]


def parse_price(epsilon: Amount | None, delta: Amount | None) -> Cost | None:
    """What a release costs by default, in epsilon and delta; None if neither is stated.

    Raises:
        InvalidInput: a delta without an epsilon, or an amount that cannot be counted.
    """
    if epsilon is None:
        if delta is not None:
            raise InvalidInput(
                "a default delta needs a default epsilon", what="default_delta", requested=repr(delta)[:80]
            )
        return None
    return Cost.of(epsilon, 0 if delta in (None, "0", "0.0") else delta)


def _price(document: Mapping[str, Any]) -> tuple[Level | None, Cost | None]:
    level = parse_level(document.get("level"))
    price = parse_price(document.get("default_epsilon"), document.get("default_delta"))
    if level is not None and price is not None:
        raise InvalidInput(
            "a default is a level or an epsilon, not both",
            what="default_epsilon",
            requested=[level.value, price.words],
            remedy="state one of them",
        )
    return level, price


def _mapping(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name) or {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) and key for key in value):
        raise InvalidInput(f"{name} must map columns to values", what=name)
    return value


def _bounds(column: str, value: Any) -> ColumnBounds:
    pair = isinstance(value, list | tuple) and len(value) == 2
    if not pair or not all(isinstance(each, int | float) and not isinstance(each, bool) for each in value):
        raise InvalidInput(
            f"bounds of {column!r}: {value!r}", what=f"bounds.{column}", allowed="[lower, upper], two numbers"
        )
    return ColumnBounds(float(value[0]), float(value[1]))


def _categories(column: str, value: Any) -> Categories:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise InvalidInput(f"categories of {column!r} must be a list of texts", what=f"categories.{column}")
    return Categories(tuple(value))
