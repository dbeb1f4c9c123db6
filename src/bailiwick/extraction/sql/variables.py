"""Variables in Hive scripts: ``SET hivevar:x=...`` and ``${hivevar:x}``, ``${hiveconf:x}``, ``${x}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MAX_DEPTH: Final = 40
"""How often values may lead to further variables; Hive's own ``hive.variable.substitute.depth``."""
MAX_CHARACTERS: Final = 1_000_000
"""A statement that grows beyond this is left as it was: a value may hold itself many times over."""

_REFERENCE = re.compile(r"\$\{(?:(?:hiveconf|hivevar|system|env|define):)?([\w.\-]+)\}", re.IGNORECASE)
_UNKNOWN_NAME = re.compile(
    r"'(?:[^'\\]|\\.)*+(?:'|\\?\Z)|\"(?:[^\"\\]|\\.)*+(?:\"|\\?\Z)|`[^`]*+(?:`|\Z)"
    r"|\w*+(?:\$\{[^}\n]*+\}\w*+)++",
    re.DOTALL,
)
_ASSIGNMENT = re.compile(
    r"set\s+(?:(?:hiveconf|hivevar|system|env|define):)?([\w.\-]+)\s*=\s*(.*)", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Expansion:
    """A text after substitution.

    Args:
        unknown: the names that no SET gave a value, in order.
    """

    text: str
    unknown: tuple[str, ...] = ()


def assignment(statement: str) -> tuple[str, str] | None:
    """Name and value of a SET statement, or None where it sets nothing. Namespaces share one pool of names.

    >>> assignment("set hivevar:cat = 'x y'")
    ('cat', "'x y'")
    """
    match = _ASSIGNMENT.fullmatch(statement)
    return (match[1].lower(), match[2].strip()) if match else None


def expand(text: str, values: Mapping[str, str]) -> Expansion:
    """Put values for variables. A variable without a value stays, as a quoted name where it stands for a name.

    >>> expand("select * from ${hivevar:db}.t where d = '${day}'", {"db": "crm"}).text
    "select * from crm.t where d = '${day}'"
    >>> expand("select * from ${db}.t", {})
    Expansion(text='select * from `${db}`.t', unknown=('db',))
    """
    if "${" not in text:
        return Expansion(text)
    original = text
    for _ in range(MAX_DEPTH):
        expanded = _REFERENCE.sub(lambda match: values.get(match[1].lower(), match[0]), text)
        if len(expanded) > MAX_CHARACTERS:
            text = original
            break
        if expanded == text:
            break
        text = expanded
    unknown = tuple(dict.fromkeys(match[1] for match in _REFERENCE.finditer(text)))
    return Expansion(_UNKNOWN_NAME.sub(_quoted, text) if unknown else text, unknown)


def _quoted(match: re.Match[str]) -> str:
    found = match[0]
    return found if found[0] in "'\"`" else f"`{found}`"
