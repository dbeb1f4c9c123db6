"""The model families that this installation offers, by name."""

from __future__ import annotations

from functools import cache

from bailiwick.errors import InvalidInput
from bailiwick.models.linear_text.family import LinearTextFamily
from bailiwick.models.ports import ModelFamily, ModelFormat, PrivateModelFamily
from bailiwick.models.private_linear_text.family import PrivateLinearTextFamily

DEFAULT_FAMILY = "linear-text"
DEFAULT_PRIVATE_FAMILY = "private-linear-text"


@cache
def families() -> dict[str, ModelFamily]:
    """Every family by its name."""
    return {family.name: family for family in (LinearTextFamily(),)}


def family(name: str = DEFAULT_FAMILY) -> ModelFamily:
    """The family of that name.

    Raises:
        InvalidInput: there is none.
    """
    found = families().get(name)
    if found is None:
        raise InvalidInput(f"unknown model family {name!r}", what="family", requested=name, allowed=sorted(families()))
    return found


@cache
def private_families() -> dict[str, PrivateModelFamily]:
    """Every family that trains under differential privacy, by its name."""
    return {family.name: family for family in (PrivateLinearTextFamily(),)}


def private_family(name: str = DEFAULT_PRIVATE_FAMILY) -> PrivateModelFamily:
    """The private family of that name.

    Raises:
        InvalidInput: there is none.
    """
    found = private_families().get(name)
    if found is None:
        raise InvalidInput(
            f"no family {name!r} trains privately", what="family", requested=name, allowed=sorted(private_families())
        )
    return found


def model_format(name: str) -> ModelFormat:
    """How models of a family, private or not, are saved and loaded.

    Raises:
        InvalidInput: there is no such family.
    """
    return private_families().get(name) or family(name)
