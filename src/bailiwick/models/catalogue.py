"""The model families that this installation offers, by name."""

from __future__ import annotations

from functools import cache

from bailiwick.errors import InvalidInput
from bailiwick.models.linear_text.family import LinearTextFamily
from bailiwick.models.ports import ModelFamily

DEFAULT_FAMILY = "linear-text"


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
