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


def usual_settings(name: str) -> dict[str, float | int | str | bool]:
    """What training for service changes in the defaults of a family.

    ``linear-text`` refits: validation chooses and calibrates, then the model learns from its rows too. The family's own
    default leaves validation untouched, for callers who go on to measure with it.
    """
    return {"refit": 1} if name == "linear-text" else {}
