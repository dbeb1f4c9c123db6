"""The one door to the SQL parser: guards, retries and the time limit of a single statement."""

from __future__ import annotations

import gc
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sqlglot import Dialect, exp
from sqlglot.errors import SqlglotError

from bailiwick.extraction.model import Outcome
from bailiwick.extraction.sql.dialect import SqlDialect
from bailiwick.extraction.sql.normalise import normalise

MAX_STATEMENT_CHARACTERS: Final = 1_000_000
"""Longer statements are not parsed: names are recovered by patterns instead."""
MAX_NESTING: Final = 200
"""Deepest bracket nesting that is parsed. sqlglot's compiled parser recurses in C: far deeper text ends the process."""
MAX_BARE_JOINS: Final = 14
"""Most joins in a row without ON or USING. The parser tries 2 to the power of them: 20 take seconds, 40 take years."""
MAX_REPEATS: Final = 100
"""Most times that one word may follow itself, such as NOT NOT NOT."""
TIME_LIMIT_SECONDS: Final = 10.0
"""CPU seconds of this process for one statement, over all attempts."""

_BRACKETS = re.compile(
    r"(?P<type>\b(?:array|map|struct|uniontype|row|list|object)\s*+<)|(?P<typed>>)"
    r"|(?P<open>[(\[{]|\bcase\b)|(?P<close>[)\]}]|\bend\b)",
    re.IGNORECASE,
)
_REPEATED = re.compile(rf"(?<![\w'\"`])(\w{{1,30}}+|[-+~!(])(?:\s*+(?<!\w)\1|\s++\1\b){{{MAX_REPEATS}}}", re.IGNORECASE)
_JOIN_WORDS = re.compile(r"\b(?:(cross\s+)?(join)|on|using)\b", re.IGNORECASE)
_SHORT = 2 * MAX_REPEATS
_LONG = 20_000  # characters: 10,000 words in a row raise RecursionError, which is caught; 20,000 end the process

logging.getLogger("sqlglot").setLevel(logging.ERROR)  # its "falling back to Command" is an outcome here, not a log line


@dataclass(frozen=True, slots=True)
class Parsed:
    """A syntax tree, or why there is none.

    Args:
        tree: None unless ``outcome`` is ``PARSED``.
        parser: ``sqlglot:`` and the dialect that read it, with ``+normalised`` where a rewrite was needed.
    """

    tree: exp.Expr | None
    outcome: Outcome
    parser: str
    message: str | None = None


class _OutOfTime(Exception):
    """Raised inside the parser when the statement's time is over."""


@cache
def _dialect(grammar: str) -> Any:
    """The sqlglot dialect with a clock in it.

    The compiled parser can neither be subclassed nor interrupted by a signal, but it asks its dialect for settings as
    it goes: these are asked for at operands, tables and columns, and look at the clock first. Chains of bare joins ask
    for none; `MAX_BARE_JOINS` bounds them.
    """
    base: Any = type(Dialect.get_or_raise(grammar or None))
    timed: Any = type(f"Timed{base.__name__}", (base,), {"deadline": float("inf"), "asked": 0})
    for setting in _ASKED:
        setattr(timed, setting, _timed(getattr(base, setting)))  # after the metaclass, which sets some of them itself
    return timed()


_ASKED = ("SUPPORTS_COLUMN_JOIN_MARKS", "SUPPORTS_VALUES_DEFAULT", "ALIAS_POST_VERSION")
_ASKED_PER_LOOK = 31  # one question in 32 looks at the clock, the first one among them


def _timed(value: bool) -> property:
    def ask(self: Any) -> bool:
        self.asked += 1
        if not self.asked & _ASKED_PER_LOOK and time.process_time() > self.deadline:
            raise _OutOfTime
        return value

    return property(ask)


def parse(text: str, dialect: SqlDialect, *, time_limit: float = TIME_LIMIT_SECONDS) -> Parsed:
    """One statement's tree. A refused text is rewritten, then tried in related dialects. Never raises.

    Args:
        text: one statement without its semicolon.
        dialect: whose grammar comes first.
        time_limit: CPU seconds for all attempts together.
    """
    if (hazard := _hazard(text)) is not None:
        return Parsed(None, Outcome.ERROR, "none", hazard)
    deadline = time.process_time() + time_limit
    first = _attempt(text, dialect.grammar, deadline)
    if first.tree is not None or first.outcome is Outcome.TIMEOUT:
        return first
    rewritten = normalise(text)
    attempts = [(rewritten, dialect.grammar)] if rewritten != text else []
    attempts += [(rewritten, grammar) for grammar in ("hive", "spark", "trino", "") if grammar != dialect.grammar]
    for candidate, grammar in attempts:
        found = _attempt(candidate, grammar, deadline)
        if found.tree is not None:
            suffix = "+normalised" if candidate != text else ""
            return Parsed(found.tree, found.outcome, found.parser + suffix)
        if found.outcome is Outcome.TIMEOUT:
            return found
    return first


def _attempt(text: str, grammar: str, deadline: float) -> Parsed:
    name = f"sqlglot:{grammar or 'ansi'}"
    dialect = _dialect(grammar)
    dialect.deadline, dialect.asked = deadline, -1
    try:
        trees = dialect.parse(text)
    except _OutOfTime:
        return Parsed(None, Outcome.TIMEOUT, name, "took longer than its time limit")
    except RecursionError:
        return Parsed(None, Outcome.ERROR, name, "nested too deeply for the parser")
    except SqlglotError as error:
        return Parsed(None, Outcome.ERROR, name, _plain(error))
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, OverflowError, AssertionError) as error:
        return Parsed(None, Outcome.ERROR, name, f"the parser failed: {type(error).__name__}: {error}"[:300])
    whole = [tree for tree in trees if tree is not None and tree.__class__ is not exp.Semicolon]
    if len(whole) != 1:
        return Parsed(None, Outcome.ERROR, name, f"{len(whole)} statements where one was expected")
    if isinstance(whole[0], exp.Condition) and not isinstance(whole[0], exp.Query):
        return Parsed(None, Outcome.ERROR, name, "an expression, not a statement")
    if isinstance(whole[0], exp.Command):
        return Parsed(None, Outcome.ERROR, name, "the parser knows the words, not the statement")
    return Parsed(whole[0], Outcome.PARSED, name)


_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def _plain(error: SqlglotError) -> str:
    first = _ESCAPES.sub("", str(error)).strip().partition("\n")[0]
    return first[:300] or type(error).__name__


def _hazard(text: str) -> str | None:
    """Why a text must not be given to the parser, or None. Cheap for ordinary statements."""
    if len(text) > MAX_STATEMENT_CHARACTERS:
        return f"{len(text):,} characters are more than the {MAX_STATEMENT_CHARACTERS:,} that are parsed"
    if "\0" in text:
        return "holds a NUL character"
    if len(text) < _SHORT:
        return None
    lower = text.lower()
    openings = text.count("(") + text.count("<") + text.count("[") + text.count("{")
    if openings > MAX_NESTING and _nesting(text) > MAX_NESTING:
        return f"nested deeper than {MAX_NESTING}"
    if len(text) > _LONG and (repeated := _REPEATED.search(text)) is not None:
        return f"{repeated[1][:20]!r} more than {MAX_REPEATS} times in a row"
    if lower.count("join") > MAX_BARE_JOINS and _bare_joins(text) > MAX_BARE_JOINS:
        return f"more than {MAX_BARE_JOINS} joins in a row without ON or USING"
    return None


def _nesting(text: str) -> int:
    depth = types = deepest = 0
    for match in _BRACKETS.finditer(text):
        kind = match.lastgroup
        if kind == "open":
            depth += 1
        elif kind == "type":
            types += 1
        elif kind == "close":
            depth = max(0, depth - 1)
        else:
            types = max(0, types - 1)
        deepest = max(deepest, depth + types)
    return deepest


def _bare_joins(text: str) -> int:
    run = longest = 0
    for match in _JOIN_WORDS.finditer(text):
        run = run + 1 if match[2] and not match[1] else 0
        longest = max(longest, run)
    return longest


@contextmanager
def collector_paused(*, collect: bool = False) -> Iterator[None]:
    """Keep the cyclic collector from walking live trees over and over; collect the young generation at the end.

    Trees are cycles that die young. Collecting them once, when they are dead, takes a tenth of parsing; at its own pace
    the collector takes from a quarter to as much as parsing itself, depending on what else the process holds.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        if collect:
            gc.collect(0)
