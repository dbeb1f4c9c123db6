"""Input made to hurt: every statement gets an outcome, nothing crashes, and work grows with the length only."""

from __future__ import annotations

import time

import pytest

from bailiwick.extraction.model import Outcome, Schema, StatementOutcome
from bailiwick.extraction.sql import read_statements
from bailiwick.extraction.sql.dialect import dialect_named
from bailiwick.extraction.sql.parse import parse


def outcomes(sql: str) -> tuple[StatementOutcome, ...]:
    return read_statements(sql, "f.sql", "hive", Schema()).outcomes


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT " + "(" * 10_000 + "1" + ")" * 10_000, "nested deeper"),
        ("SELECT * FROM " + "(SELECT * FROM " * 20_000 + "t" + ")" * 20_000, "nested deeper"),
        ("SELECT CAST(a AS " + "STRUCT<a:" * 20_000 + "INT" + ">" * 20_000 + ")", "nested deeper"),
        ("SELECT " + "CASE WHEN a THEN " * 5_000 + "1" + " END" * 5_000, "in a row"),
        ("FROM " * 20_000, "in a row"),
        ("SELECT " + "NOT " * 20_000 + "1", "in a row"),
        ("SELECT " + "- " * 20_000 + "1", "in a row"),
        ("SELECT * FROM t " + "JOIN u " * 60, "without ON"),
        ("SELECT a FROM t WHERE b = '\0'", "NUL"),
        ("INSERT INTO x SELECT 'a FROM y", "unterminated"),
        ("SELECT `a FROM y", "unterminated"),
        ("SELECT '" + "x" * 2_000_000 + "' FROM t", "2,000,0"),
    ],
)
def test_hostile_statement__read__refused_with_a_reason_and_the_next_one_read(sql: str, message: str) -> None:
    found = outcomes(f"USE a;\n{sql}")
    assert len(found) == 2
    assert found[1].outcome in {Outcome.FALLBACK, Outcome.ERROR}
    assert found[1].line == 2
    assert message in (found[1].message or "")


def test_hostile_statement__names_in_reach__recovered_with_lower_confidence() -> None:
    facts = read_statements(
        "INSERT INTO a.x SELEKT b c FROM y JOIN z; CREATE TABLE t (a INT, b STRING ???)", "f", "hive", Schema()
    )
    assert [outcome.outcome for outcome in facts.outcomes] == [Outcome.FALLBACK] * 2
    assert (facts.outcomes[0].reads, facts.outcomes[0].writes) == (("y", "z"), ("a.x",))
    assert {fact.source_table for fact in facts.lineage} == {"y", "z"}
    assert all(fact.confidence < 1 for fact in facts.lineage)
    (table,) = facts.tables
    assert ([column.name for column in table.columns], table.confidence < 1) == (["a", "b"], True)


def test_parse__no_time__timeout() -> None:
    found = parse("SELECT a FROM t WHERE b = c", dialect_named("hive"), time_limit=-1.0)
    assert (found.outcome, found.tree) == (Outcome.TIMEOUT, None)


def test_parse__long_but_sound__read() -> None:
    sql = "SELECT a FROM t WHERE b IN (" + ",".join(map(str, range(5_000))) + ")" + " OR c = 1" * 1_000
    assert outcomes(sql)[0].outcome is Outcome.PARSED
    union = " UNION ALL ".join(["SELECT a FROM t"] * 2_000)
    assert outcomes(f"INSERT INTO x {union}")[0].columns_resolved == 1


UNITS = [
    "'",
    "\\'",
    '"',
    "`",
    "(",
    "/*",
    "a,",
    "${x}",
    "\n",
    "create ",
    "$a$",
    "change a b ",
    "uniontype<",
    "partition (a",
]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("head", ["", "select '", "create table t ("])
def test_repeated_text__eight_times_longer__work_not_squared(unit: str, head: str) -> None:
    def cost(length: int) -> float:
        sql = head + unit * (length // len(unit))
        started = time.process_time()
        outcomes(sql)
        return time.process_time() - started

    # A square would be 64 times; the bound leaves room for noise, and for caps that only long text reaches.
    small, large = cost(25_000), cost(200_000)
    assert large < 40 * small + 0.5


def test_line_of_20_megabytes__read__one_outcome() -> None:
    (outcome,) = outcomes("INSERT INTO t SELECT '" + "x" * 20_000_000 + "'")
    assert (outcome.outcome, outcome.writes, len(outcome.text)) == (Outcome.FALLBACK, ("t",), 4_000)
