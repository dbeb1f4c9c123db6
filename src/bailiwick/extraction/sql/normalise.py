"""Rewrites that let sqlglot read what Hive and Db2 accept and it does not. Tried only after a text was refused.

Each rule drops or rephrases a clause that has no bearing on names, columns, keys or lineage. String literals are masked
first, so that no rule reaches into one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*+(?:'|\\?\Z)|\"(?:[^\"\\]|\\.)*+(?:\"|\\?\Z)", re.DOTALL)
_MASK = re.compile("'\x01([0-9]+)\x01'")
_MASKED = "'\x01[0-9]+\x01'"
_MAX_PARENTHESISED = 100_000
_MAX_CLAUSES = 1_000

UNION_FIELD: Final = "uniontype_"
"""Prefix of the fields of the STRUCT that stands for a UNIONTYPE; see `restore_type`."""


def _rule(pattern: str, replacement: str) -> Callable[[str], str]:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda text: compiled.sub(replacement, text)


def _drop_parenthesised(pattern: str, tail: str = "") -> Callable[[str], str]:
    """A rule that drops what ``pattern`` matches, together with the parenthesised list that follows it."""
    opening = re.compile(pattern, re.IGNORECASE)
    ending = re.compile(tail, re.IGNORECASE)

    def apply(text: str) -> str:
        match = opening.search(text)
        for _ in range(_MAX_CLAUSES):
            if match is None:
                break
            end = closing(text, match.end())
            if end is None:
                break
            after = ending.match(text, end)
            text = f"{text[: match.start()]} {text[after.end() if after else end :]}"
            match = opening.search(text, match.start())
        return text

    return apply


def closing(text: str, start: int, pair: str = "()") -> int | None:
    """Where the bracket that opens at or after ``start`` (blanks between) is closed, one past it; None if it is not.

    >>> closing("a (b (c)) d", 1)
    9
    """
    depth = 0
    for match in re.compile(f"[{re.escape(pair)}]").finditer(text, start, min(len(text), start + _MAX_PARENTHESISED)):
        depth += 1 if match[0] == pair[0] else -1
        if depth <= 0:
            return match.end() if depth == 0 else None
    return None


def _union_types(text: str) -> str:
    """``UNIONTYPE<a, b>`` as a STRUCT with numbered fields, so that the inner types are read too."""
    head = re.compile(r"\buniontype\s*<", re.IGNORECASE)
    match = head.search(text)
    for _ in range(_MAX_CLAUSES):
        if match is None:
            break
        end = closing(text, match.end() - 1, "<>")
        if end is None:
            break
        parts = _top_level(text[match.end() : end - 1])
        fields = ", ".join(f"{UNION_FIELD}{i}: {part.strip()}" for i, part in enumerate(parts))
        text = f"{text[: match.start()]}STRUCT<{fields}>{text[end:]}"
        match = head.search(text, match.start())
    return text


def _top_level(text: str) -> list[str]:
    parts, depth = [""], 0
    for piece in re.split(r"([<>(),])", text):
        depth += (piece in {"<", "("}) - (piece in {">", ")"})
        if piece == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


_RULES: Final[tuple[Callable[[str], str], ...]] = (
    # Constraint states: ENABLE | DISABLE [NO]VALIDATE [NO]RELY, NOT ENFORCED
    _rule(r"\b(?:enable|disable)\s+rewrite\b", " "),
    _rule(r"\b(?:enable|disable)\b(?:\s+(?:no)?validate\b)?(?:\s+(?:no)?rely\b)?", " "),
    _rule(r"\b(?:novalidate|norely)\b|\b(?:not\s+)?enforced\b", " "),
    _rule(r"(?<=\))\s+(?:validate|rely)\b", " "),
    _rule(r"\bcreate\s+(?:managed\s+)?transactional\s+table\b", "CREATE TABLE"),
    _rule(r"\bcreate\s+managed\s+table\b", "CREATE TABLE"),
    _drop_parenthesised(
        r"\bskewed\s+by\s*(?=\()",
        rf"\s*(?:on\s*(?:\((?:[^()]|\((?:[^()]|{_MASKED})*\))*\)"
        rf"|\(.*?\)))?(?:\s*stored\s+as\s+directories)?",
    ),
    _drop_parenthesised(r"\b(?:partitioned|clustered|distributed|sorted)\s+on\s*(?=\()"),
    _drop_parenthesised(r"\btablesample\s*(?=\()"),
    _rule(r"(\bpartition\s*\([^()]*\))\s*if\s+not\s+exists\b", r"\1"),
    _rule(r"\biregexp\b", "RLIKE"),
    _rule(
        rf"(?<!interval )({_MASKED}|\b\d+)\s+(year|day|hour|minute)s?\s+to\s+(month|hour|minute|second)s?\b",
        r"INTERVAL \1 \2 TO \3",
    ),
    _rule(r"(\bchange\s+(?:column\s+)?\S{1,300}\s+\S{1,300}\s[^;]{0,1000}?)\s+constraint\s+\w+\s+[^;]*", r"\1"),
    _rule(r"\bas\s+row\s*(?=\()", "AS ROW"),
    _union_types,
    _rule(r"\b(?:map|reduce)\s+(?!keys\b)([^;()<>]{1,2000}?)\s+using\b", r"SELECT TRANSFORM(\1) USING"),
    # Db2
    _rule(r"\bforeign\s+key\s+(?!\()([\w\"]+)\s*\(", r"CONSTRAINT \1 FOREIGN KEY ("),
    _rule(r"\bnot\s+null\s+with\s+default\b(?=\s*[,)])", "NOT NULL"),
    _rule(r"\bwith\s+default\b(?=\s*[,)])", " "),
    _rule(r"\bwith\s+default\b", "DEFAULT"),
    _rule(r"\bfor\s+(?:bit|sbcs|mixed)\s+data\b", " "),
    _rule(r"(?<=\))\s*in\s+(?:database\s+)?[\w.\"]+", " "),
    _rule(r"\b(?:ccsid\s+\w+|copy\s+(?:yes|no)|erase\s+(?:yes|no)|close\s+(?:yes|no)|audit\s+\w+)\b", " "),
    _rule(r"\b(?:data\s+capture\s+\w+|with\s+restrict\s+on\s+drop|(?:not\s+)?volatile|append\s+(?:yes|no))\b", " "),
    _rule(r"\b(?:using\s+stogroup\s+\w+|priqty\s+-?\d+|secqty\s+-?\d+|bufferpool\s+\w+|defer\s+(?:yes|no))\b", " "),
    _rule(r"\bcompress\s+(?:yes|no)\b", " "),
)


def normalise(text: str) -> str:
    """The text with every rule applied; equal to the text where none applies.

    >>> normalise("CREATE TABLE t (a int, PRIMARY KEY (a) DISABLE NOVALIDATE RELY)").split()
    ['CREATE', 'TABLE', 't', '(a', 'int,', 'PRIMARY', 'KEY', '(a)', ')']
    """
    literals: list[str] = []

    def mask(match: re.Match[str]) -> str:
        literals.append(match[0])
        return f"'\x01{len(literals) - 1}\x01'"

    masked = _LITERAL.sub(mask, text.replace("\x01", " "))
    for rule in _RULES:
        masked = rule(masked)
    return _MASK.sub(lambda match: literals[int(match[1])], masked)


def restore_type(rendered: str) -> str:
    """A type as its author wrote it, after `normalise` put a STRUCT for a UNIONTYPE.

    >>> restore_type("array<struct<uniontype_0: string, uniontype_1: int>>")
    'array<uniontype<string, int>>'
    """
    if UNION_FIELD not in rendered:
        return rendered
    opened = re.sub(rf"struct<{UNION_FIELD}0: ", "uniontype<", rendered)
    return re.sub(rf"{UNION_FIELD}[0-9]+: ", "", opened)
