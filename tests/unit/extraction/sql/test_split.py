"""Statements, their lines, and what hides a semicolon."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.extraction.sql.split import split


def texts(sql: str, *, backslash: bool = True) -> list[str]:
    return [statement.text for statement in split(sql, backslash=backslash)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1; select 2", ["select 1", "select 2"]),
        ("select ';' ; select \";\"; select `;`", ["select ';'", 'select ";"', "select `;`"]),
        ("-- a; b\nselect 1 -- c;\n; /* d; */ select 2", ["select 1 -- c;", "select 2"]),
        (r"select '\'; '; select 2", [r"select '\'; '", "select 2"]),
        ("set x=1;\n!sh ls -l\nselect 1", ["set x=1", "!sh ls -l", "select 1"]),
        ("select 'it''s; ok'; select 2", ["select 'it''s; ok'", "select 2"]),
        (";;; ; ", []),
        ("select /*+ mapjoin(a) */ 1", ["select /*+ mapjoin(a) */ 1"]),
        (
            "create procedure p() begin insert into t select 1; end; select 2",
            ["create procedure p() begin", "insert into t select 1", "end", "select 2"],
        ),
    ],
)
def test_split__what_may_hide_a_semicolon__statements_whole(sql: str, expected: list[str]) -> None:
    assert texts(sql) == expected


def test_split__backslash_in_ansi__does_not_escape() -> None:
    assert texts(r"select '\'; select 2", backslash=False) == [r"select '\'", "select 2"]
    batches = "select 1\nGO\nselect 2\n/\nselect 3/2\ngo\n"
    assert texts(batches, backslash=False) == ["select 1", "select 2", "select 3/2"]
    assert texts("select $$a;b$$; select $x$ ; $x$", backslash=False) == ["select $$a;b$$", "select $x$ ; $x$"]


def test_split__comments_and_blank_lines_before__line_of_first_word() -> None:
    found = list(split("-- head\n\n/* two\nlines */ select 1;\n\n  select\n2;"))
    assert [(statement.line, statement.index) for statement in found] == [(4, 0), (6, 1)]


@pytest.mark.parametrize("quote", ["'", '"', "`"])
def test_split__unterminated_quote__rest_is_one_statement_with_a_problem(quote: str) -> None:
    (first, second) = split(f"select 1; select {quote}a; b")
    assert (first.problem, second.text, second.problem) == (None, f"select {quote}a; b", f"unterminated {quote}")


@given(st.text(alphabet="ab;'\"`-/*\\\n!$ ", max_size=60))
def test_split__any_text__loses_no_word_outside_of_comments(sql: str) -> None:
    found = list(split(sql))
    assert [statement.index for statement in found] == list(range(len(found)))
    kept = "".join(statement.text for statement in found)
    for letter in "ab":
        in_comments = sum(match[0].count(letter) for match in re.finditer(r"--[^\n]*|/\*.*?(\*/|\Z)", sql, re.DOTALL))
        assert sql.count(letter) - in_comments <= kept.count(letter)
    for statement in found:
        assert sql.split("\n")[statement.line - 1].find(statement.text.split("\n")[0].strip()[:1]) >= 0
