"""A file of SQL into statements with their lines, in one pass whose cost is proportional to the length of the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class RawStatement:
    """A statement as it stands in the file, without leading comments and its closing semicolon.

    Args:
        line: of the first word, from 1.
        index: position among the statements of the file, from 0.
        problem: why the text cannot be a whole statement (an unterminated string), else None.
    """

    text: str
    line: int
    index: int
    problem: str | None = None


@cache
def _scanner(backslash: bool) -> re.Pattern[str]:
    """From a position over all that cannot end a statement, to what may: ``lastgroup`` tells which.

    Literals match to the end of the text where they are not closed. Quantifiers are possessive, so that no input makes
    the scan go back.
    """
    single = r"'(?:[^'\\]++|\\.)*+" if backslash else r"'[^']*+"
    double = r'"(?:[^"\\]++|\\.)*+' if backslash else r'"[^"]*+'
    # Hive has neither dollar quotes nor batch separators
    more, plain = ("", r"[^;'\"`/-]++") if backslash else (_MORE, r"[^;'\"`$/\n-]++")
    skipped = rf"(?:{plain}|-(?!-)|/(?!\*(?!\+))|{single}'|{double}\"|`[^`]*+`)*+"
    return re.compile(
        rf"{skipped}(?:(?P<end>;)|(?P<comment>--[^\n]*+|/\*(?:[^*]++|\*(?!/))*+(?:\*/|\Z))"
        rf"{more}|(?P<open>['\"`])|(?P<other>[$\n]))",
        re.DOTALL,
    )


_MORE = r"|(?P<dollar>\$(?:[A-Za-z_]\w{0,30})?\$)|(?P<batch>\n[ \t]*+(?:go|GO|Go|/)[ \t\r]*+(?=\n|\Z))"
_SPACE = re.compile(r"\s*+")
_SHELL = re.compile(r"![^\n;]*+")
_ROUTINE = re.compile(
    r"create\s+(?:or\s+(?:replace|alter)\s+)?(?:procedure|function|trigger|package)\b[^;]*?\b(?:as\s+|is\s+)?begin\b(?!\s*;)",
    re.IGNORECASE,
)
_ROUTINE_WINDOW = 10_000


def split(text: str, *, backslash: bool = True) -> Iterator[RawStatement]:
    r"""Yield the statements of a text. Nothing is lost: whatever is neither blank nor comment belongs to a statement.

    A semicolon ends a statement, except in strings, quoted names, comments and dollar quotes. Except in Hive and its
    like, ``GO`` or ``/`` alone on a line end one too; a line that starts with ``!`` is one. The header of a procedure,
    up to its BEGIN, is one, so that the statements in the body are read by themselves.

    >>> [(s.line, s.text) for s in split("-- x;\nselect ';' ;\n\nuse a; !ls\nselect 1")]
    [(2, "select ';'"), (4, 'use a'), (4, '!ls'), (5, 'select 1')]

    Args:
        text: the whole file.
        backslash: whether a backslash escapes inside strings, as it does in Hive.
    """
    scanner = _scanner(backslash)
    cursor = _Cursor(text)
    position = start = _skip(text, 0)
    while True:
        if position == start and (header := _header(text, start)) is not None:
            yield cursor.statement(start, header)
            position = start = _skip(text, header)
            continue
        match = scanner.match(text, position)
        if match is None:
            break
        position = match.end()
        kind = match.lastgroup or ""
        boundary = match.start(kind)
        if kind == "comment":
            if boundary == start:
                start = position = _skip(text, position)
        elif kind == "open":
            cursor.problem = f"unterminated {match[kind]}"
            break
        elif kind == "dollar":
            closing = text.find(match[kind], position)
            if closing < 0:
                cursor.problem = f"unterminated {match[kind]} string"
                break
            position = closing + len(match[kind])
        elif kind in {"end", "batch"}:
            yield from cursor.unless_blank(start, boundary)
            start = position = _skip(text, position)
    yield from cursor.unless_blank(start, len(text))


class _Cursor:
    """Counts lines and statements as the scan moves on."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._line, self._seen, self._index = 1, 0, 0
        self.problem: str | None = None

    def statement(self, start: int, end: int) -> RawStatement:
        self._line += self._text.count("\n", self._seen, start)
        self._seen = start
        found = RawStatement(self._text[start:end].rstrip(), self._line, self._index, self.problem)
        self._index += 1
        self.problem = None
        return found

    def unless_blank(self, start: int, end: int) -> Iterator[RawStatement]:
        if start < end:
            yield self.statement(start, end)


def _skip(text: str, position: int) -> int:
    return _end(_SPACE, text, position)


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _header(text: str, start: int) -> int | None:
    """The end of what is a statement by itself without a semicolon: a shell line, or a routine up to its BEGIN."""
    if text.startswith("!", start):
        return _end(_SHELL, text, start)
    if text[start : start + 6].lower() != "create":
        return None
    match = _ROUTINE.match(text, start, min(len(text), start + _ROUTINE_WINDOW))
    return match.end() if match else None
