"""Names recovered by patterns from a statement that no parser reads: tables, and the columns of CREATE TABLE.

Less certain than a parse, so confidence is lower; but a statement is never lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from bailiwick.extraction.model import ColumnFact, TableFact
from bailiwick.extraction.sql.dialect import SqlDialect, fold
from bailiwick.extraction.sql.normalise import closing
from bailiwick.graph.model import NodeKind

CONFIDENCE: Final = 0.6
"""Of what patterns recover. On the Hive fixtures they give the parser's own names and columns in most statements."""
MAX_CHARACTERS: Final = 200_000
"""Only the start of a longer statement is searched; its verbs and first tables stand there."""
_MAX_NAMES = 1_000

_PART = r"(?:`[^`\n]{1,300}`|\"[^\"\n]{1,300}\"|\[[^\]\n]{1,300}\]|[\w$@#]{1,300})"
_NAME = rf"{_PART}(?:\s?\.\s?{_PART}){{0,3}}"
_NOISE = re.compile(r"'(?:[^'\\]|\\.)*+(?:'|\\?\Z)|--[^\n]*+|/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z)", re.DOTALL)
_WRITES = re.compile(
    rf"\b(?:insert\s+(?:into|overwrite)(?:\s+table)?|create\s+[\w\s]{{0,60}}?(?:table|view)(?:\s+if\s+not\s+exists)?"
    rf"|merge\s+into|delete\s+from|(?:alter|drop|truncate)\s+(?:external\s+)?(?:table|view)(?:\s+if\s+exists)?"
    rf"|load\s+data\b[^;]{{0,2000}}?\binto\s+table|replace\s+into|upsert\s+into)\s+({_NAME})|(?:^|\bthen\s)\s*update\s+({_NAME})",
    re.IGNORECASE,
)
_READS = re.compile(rf"\b(?<!delete\s)(?:from|join|using)\s+({_NAME})(?!\s*\()", re.IGNORECASE)
_COMMON = re.compile(rf"(?:\bwith\s+(?:recursive\s+)?|\)\s*,\s*)({_PART})\s*(?:\([^()]*\)\s*)?as\s*\(", re.IGNORECASE)
_DEFINES = re.compile(
    rf"create\s+(?P<how>[\w\s]{{0,60}}?)(?P<kind>table|view)\s+(?:if\s+not\s+exists\s+)?(?P<name>{_NAME})\s*(?=(?P<open>\()|)",
    re.IGNORECASE,
)
_COLUMN = re.compile(rf"({_PART})\s+([A-Za-z]\w*(?:\s*[(<].*?[)>](?=\s|$))?)(.*)", re.DOTALL)
_TYPE_END = re.compile(r"\s+(?:not|null|comment|primary|default|unique|references|check|constraint)\b", re.IGNORECASE)
_NOT_COLUMNS = frozenset(
    {"primary", "foreign", "constraint", "unique", "check", "key", "index", "like", "period", "exclude", "fulltext"}
)
_KEYWORDS = frozenset({"select", "table", "values", "where", "set", "on", "lateral", "unnest", "as", "("})
_KINDS = re.compile(
    r"(?:with\b.*?\)\s*)?(create|insert|merge|update|delete|select|alter|drop|truncate|load|from)\b(?:\s+(?:or\s+replace\s+)?"
    r"(?:\w+\s+){0,3}?(table|view|index|database|schema|function|procedure)\b)?",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What patterns found; ``tables`` holds at most one definition."""

    kind: str
    tables: tuple[TableFact, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


def kind_of(text: str) -> str:
    """The kind of a statement from its first words, such as ``create_table``; ``other`` where they say nothing."""
    match = _KINDS.match(text[:500])
    if match is None:
        return "other"
    verb = match[1].lower()
    if verb == "from":
        return "insert" if re.search(r"\binsert\b", text[:5_000], re.IGNORECASE) else "select"
    return f"{verb}_{match[2].lower()}" if match[2] and verb in {"create", "alter", "drop"} else verb


def recover(text: str, dialect: SqlDialect, line: int | None = None, database: str = "") -> Recovered:
    """Search a statement for the tables it defines, reads and writes.

    >>> recover("INSERT INTO a.b SELEKT ;; FROM c JOIN d", SqlDialect("hive", "hive"))
    Recovered(kind='insert', tables=(), reads=('c', 'd'), writes=('a.b',))
    """
    shown = _NOISE.sub(_without_noise, text[:MAX_CHARACTERS])
    spell = _Speller(dialect, database)
    common = {spell.short(match[1]) for match in _COMMON.finditer(shown)}
    reads = _names(_READS, shown, spell, common)
    writes = _names(_WRITES, shown, spell, frozenset())
    tables = _definition(shown, text, spell, line)
    return Recovered(kind_of(text), tables, tuple(sorted(set(reads))), tuple(sorted(set(writes))))


def spell(name: str, dialect: SqlDialect, database: str = "") -> str:
    """A name as written, folded, with the database where it has none of its own.

    >>> spell("`Crm`.Customer", SqlDialect("hive", "hive", quoted_keeps_case=False))
    'crm.customer'
    """
    return _Speller(dialect, database).qualified(name)


@dataclass(frozen=True, slots=True)
class _Speller:
    dialect: SqlDialect
    database: str

    def short(self, part: str) -> str:
        quoted = part[0] in '`"['
        return fold(part[1:-1] if quoted else part, quoted, self.dialect)

    def qualified(self, name: str) -> str:
        parts = [self.short(part) for part in re.findall(_PART, name)]
        return ".".join(parts if len(parts) > 1 or not self.database else [self.database, *parts])


def _without_noise(match: re.Match[str]) -> str:
    """A string becomes an empty one, a comment a blank; of a string that is never closed, the text stays."""
    found = match[0]
    if found[0] != "'":
        return " "
    return "''" if len(found) > 1 and found[-1] == "'" else f" {found[1:]}"


def _names(pattern: re.Pattern[str], text: str, spell: _Speller, without: set[str] | frozenset[str]) -> list[str]:
    found: list[str] = []
    for match in pattern.finditer(text):
        name = next(group for group in match.groups() if group)
        if name.lower() not in _KEYWORDS and spell.short(name.strip()) not in without:
            found.append(spell.qualified(name))
        if len(found) >= _MAX_NAMES:
            break
    return found


def _definition(shown: str, text: str, spell: _Speller, line: int | None) -> tuple[TableFact, ...]:
    match = _DEFINES.match(shown.lstrip())
    if match is None:
        return ()
    shown = shown.lstrip()
    how = match["how"].lower().split()
    columns: tuple[ColumnFact, ...] = ()
    if match["open"] and (end := closing(shown, match.end())) is not None:
        columns = _columns(shown[match.end() + 1 : end - 1], spell)
    kind = NodeKind.VIEW if match["kind"].lower() == "view" else NodeKind.TABLE
    properties = {word: True for word in ("external", "temporary") if word in how}
    fact = TableFact(spell.qualified(match["name"]), kind, columns, (), line, "pattern", CONFIDENCE, properties)
    return (fact,)


def _columns(body: str, spell: _Speller) -> tuple[ColumnFact, ...]:
    found: list[ColumnFact] = []
    keys: set[str] = set()
    for item in _items(body):
        match = _COLUMN.match(item)
        if match is None or match[1].lower() in _NOT_COLUMNS:
            if key := re.search(r"primary\s+key[^(]*\(([^()]*)\)", item, re.IGNORECASE):
                keys |= {spell.short(part.strip()) for part in key[1].split(",") if part.strip()}
            continue
        rest = item[len(match[1]) :].strip()
        end = _TYPE_END.search(rest)
        declared = rest[: end.start()] if end else rest
        after = rest[end.start() :].lower() if end else ""
        found.append(
            ColumnFact(
                spell.short(match[1]),
                " ".join(declared.lower().split()) or None,
                nullable=False if "not null" in after else None,
                primary_key="primary key" in after,
                ordinal=len(found),
            )
        )
    return tuple(
        ColumnFact(c.name, c.type, c.nullable, primary_key=c.primary_key or c.name in keys, ordinal=c.ordinal)
        for c in found
    )


def _items(body: str) -> list[str]:
    """The parts of a list that commas separate outside of all brackets."""
    items: list[list[str]] = [[]]
    depth = 0
    for piece in re.split(r"([(),<>])", body):
        depth += (piece in {"(", "<"}) - (piece in {")", ">"})
        if piece == "," and depth <= 0:
            items.append([])
        else:
            items[-1].append(piece)
    return [item for parts in items if (item := "".join(parts).strip())]
