"""Control-M variables (AutoEdit): ``%%NAME`` is looked up from the job outwards through its folders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_VARIABLE = re.compile(r"%%\\{0,2}([A-Za-z_@#$][\w@#$]*)(\.?)")
_SECRET = re.compile(r"pass|pwd|secret|token|credential|apikey|api_key", re.IGNORECASE)
_MAX_ROUNDS = 8
_MAX_CHARACTERS = 4_000


def expand(text: str, scopes: Sequence[Mapping[str, str]]) -> str:
    """Replace the variables that a scope defines; what none defines (``%%$ODATE``) stays symbolic.

    A period after a variable joins it to what follows and disappears, as Control-M does it. Values may use other
    variables; expansion stops after eight rounds or at 4,000 characters, so that a loop ends.

    >>> expand("%%DIR./load.sh %%$ODATE", [{}, {"DIR": "/etl"}])
    '/etl/load.sh %%$ODATE'

    Args:
        text: a command line, member or path.
        scopes: variables by upper-case name, the innermost scope first.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1].upper()
        found = next((scope[name] for scope in scopes if name in scope), None)
        return match[0] if found is None else mask(name, found)

    for _ in range(_MAX_ROUNDS):
        expanded = _VARIABLE.sub(value, text)[:_MAX_CHARACTERS]
        if expanded == text:
            break
        text = expanded
    return text


def mask(name: str, value: str) -> str:
    """The value, or stars where the name says that it is a secret.

    >>> mask("DB_PASSWORD", "hunter2"), mask("DIR", "/etl")
    ('***', '/etl')
    """
    return "***" if value and _SECRET.search(name) else value
