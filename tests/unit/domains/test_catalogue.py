"""What a request sees of the domains."""

from __future__ import annotations

import pytest
from domain_values import a_domain

from bailiwick.domains.catalogue import build_catalogue
from bailiwick.domains.model import CatalogueState, CatalogueVersion, Domain, DomainSet, Lifecycle
from bailiwick.errors import NotFound


def _state(*domains: Domain, default: str | None = None, **lifecycles: Lifecycle) -> CatalogueState:
    return CatalogueState(CatalogueVersion("c", 1), DomainSet({each.id: each for each in domains}, default, lifecycles))


def test_catalogue__drafts_and_archived__are_not_in_it() -> None:
    state = _state(
        a_domain("a", layer="gold", team="x"),
        a_domain("b"),
        a_domain("c"),
        default="a",
        b=Lifecycle.DRAFT,
        c=Lifecycle.ARCHIVED,
    )

    catalogue = build_catalogue(state, {})

    assert list(catalogue.domains) == ["a"]
    assert catalogue.default_domain == "a"
    assert catalogue.layer_mapping == {"gold": {"x": ("a",)}}
    with pytest.raises(NotFound, match="is not served"):
        catalogue.get("b")


@pytest.mark.parametrize(("value", "served"), [("1", True), ("TRUE", True), (" on ", True), ("0", False), ("", False)])
def test_catalogue__enabled_env_var__decides(value: str, served: bool) -> None:
    state = _state(a_domain("a", enabled_env_var="A_ON"), default="a")

    catalogue = build_catalogue(state, {"A_ON": value})

    assert ("a" in catalogue.domains) is served
    assert catalogue.disabled == (frozenset() if served else {"a"})
    assert catalogue.default_domain == ("a" if served else None)


def test_catalogue__variable_not_set__domain_is_disabled() -> None:
    catalogue = build_catalogue(_state(a_domain("a", enabled_env_var="A_ON")), {})

    with pytest.raises(NotFound, match="not enabled here"):
        catalogue.get("a")


def test_fallbacks__chain__nearest_first_and_only_served_ones() -> None:
    state = _state(
        a_domain("a", fallback="b"), a_domain("b", fallback="c"), a_domain("c", fallback="d", enabled_env_var="OFF")
    )

    assert build_catalogue(state, {}).fallbacks("a") == ("b",)
    assert build_catalogue(state, {"OFF": "yes"}).fallbacks("a") == ("b", "c")


def test_catalogue__snapshot__cannot_be_changed() -> None:
    catalogue = build_catalogue(_state(a_domain("a")), {})

    with pytest.raises(TypeError):
        catalogue.domains["b"] = a_domain("b")  # type: ignore[index]
