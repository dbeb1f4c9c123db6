"""Which columns every output derives from."""

from __future__ import annotations

import pytest

from bailiwick.extraction.model import FileFacts, Outcome, Schema
from bailiwick.extraction.sql import read_statements

SCHEMA = Schema(
    {
        "s": {"k": "int", "a": "int", "st": "struct<f: int>"},
        "u": {"k": "int", "b": "int"},
        "t": {"x": "int", "y": "int", "z": "int"},
        "p": {"x": "int", "ds": "string", "hr": "string"},
        "emp": {"id": "int", "boss": "int"},
    }
)


def read(sql: str, dialect: str = "hive", schema: Schema = SCHEMA) -> FileFacts:
    return read_statements(sql, "f.sql", dialect, schema)


def edges(sql: str, dialect: str = "hive", schema: Schema = SCHEMA) -> set[tuple[str, str, str]]:
    """(target column, source column, step) of every column edge."""
    return {
        (f"{f.target_table}.{f.target_column}", f"{f.source_table}.{f.source_column}", f.transformation)
        for f in read(sql, dialect, schema).lineage
        if f.target_column is not None
    }


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        # by position in the target, by its columns, by name where the target is unknown
        ("INSERT INTO t SELECT a, k FROM s", {("t.x", "s.a", "identity"), ("t.y", "s.k", "identity")}),
        ("INSERT INTO t (z, x) SELECT a, k FROM s", {("t.z", "s.a", "identity"), ("t.x", "s.k", "identity")}),
        ("INSERT INTO new SELECT a AS n FROM s", {("new.n", "s.a", "identity")}),
        # partitions: a fixed value takes no output, a dynamic one takes the last
        (
            "INSERT INTO p PARTITION (ds='1', hr) SELECT k, b FROM u",
            {("p.x", "u.k", "identity"), ("p.hr", "u.b", "identity")},
        ),
        # stars
        ("INSERT INTO t SELECT * FROM u", {("t.x", "u.k", "identity"), ("t.y", "u.b", "identity")}),
        (
            "INSERT INTO n SELECT u.* FROM s JOIN u ON s.k = u.k",
            {("n.k", "u.k", "identity"), ("n.b", "u.b", "identity")},
        ),
        # steps
        ("INSERT INTO n SELECT a + 1 AS e FROM s", {("n.e", "s.a", "expression")}),
        ("INSERT INTO n SELECT SUM(a) AS e FROM s", {("n.e", "s.a", "aggregate")}),
        (
            "INSERT INTO n SELECT SUM(a) OVER (PARTITION BY k) AS e FROM s",
            {("n.e", "s.a", "window"), ("n.e", "s.k", "window")},
        ),
        ("INSERT INTO n SELECT e FROM (SELECT MAX(a) AS e FROM s) q", {("n.e", "s.a", "aggregate")}),
        ("INSERT INTO n SELECT st.f FROM s", {("n.f", "s.st", "expression")}),
        ("INSERT INTO n SELECT s.st.f FROM s", {("n.f", "s.st", "expression")}),
        ("INSERT INTO n SELECT (SELECT MAX(b) FROM u WHERE u.k = s.k) AS m FROM s", {("n.m", "u.b", "aggregate")}),
        # scopes
        ("WITH c AS (SELECT a AS n FROM s) INSERT INTO w SELECT n FROM c", {("w.n", "s.a", "identity")}),
        ("WITH c (m) AS (SELECT a FROM s) INSERT INTO w SELECT m FROM c", {("w.m", "s.a", "identity")}),
        ("WITH s AS (SELECT b AS a FROM u) INSERT INTO w SELECT a FROM s", {("w.a", "u.b", "identity")}),
        (
            "INSERT INTO w SELECT a FROM s UNION ALL SELECT b FROM u",
            {("w.a", "s.a", "identity"), ("w.a", "u.b", "identity")},
        ),
        ("INSERT INTO w SELECT tag FROM s LATERAL VIEW explode(st) e AS tag", {("w.tag", "s.st", "expression")}),
        (
            "WITH RECURSIVE r AS (SELECT id, boss FROM emp UNION ALL"
            " SELECT e.id, r.boss FROM emp e JOIN r ON e.boss = r.id) INSERT INTO w SELECT * FROM r",
            {("w.id", "emp.id", "identity"), ("w.boss", "emp.boss", "identity")},
        ),
        # other statements
        ("CREATE TABLE w AS SELECT a AS n FROM s", {("w.n", "s.a", "identity")}),
        ("CREATE VIEW w (m) AS SELECT a FROM s", {("w.m", "s.a", "identity")}),
        ("UPDATE t SET x = y + 1", {("t.x", "t.y", "expression")}),
        (
            "MERGE INTO t USING (SELECT k, b * 2 AS d FROM u) q ON t.x = q.k WHEN MATCHED THEN UPDATE SET y = q.d"
            " WHEN NOT MATCHED THEN INSERT VALUES (q.k, q.d, 0)",
            {("t.y", "u.b", "expression"), ("t.x", "u.k", "identity")},
        ),
        (
            "FROM s JOIN u ON s.k = u.k INSERT INTO n SELECT s.a WHERE b > 1 INSERT INTO m SELECT u.b",
            {("n.a", "s.a", "identity"), ("m.b", "u.b", "identity")},
        ),
        # case and quotes
        ("INSERT INTO W SELECT S.`A` AS N FROM S", {("w.n", "s.a", "identity")}),
        # filters move no data
        ("INSERT INTO n SELECT a FROM s WHERE k IN (SELECT k FROM u)", {("n.a", "s.a", "identity")}),
    ],
)
def test_lineage__statement__edges(sql: str, expected: set[tuple[str, str, str]]) -> None:
    assert edges(sql) == expected


def test_lineage__using__the_shared_column_once() -> None:
    assert edges("INSERT INTO n SELECT * FROM u JOIN s USING (k)") == {
        ("n.k", "u.k", "identity"),
        ("n.b", "u.b", "identity"),
        ("n.a", "s.a", "identity"),
        ("n.st", "s.st", "identity"),
    }


def test_lineage__update_from__both_tables_seen() -> None:
    assert edges("UPDATE t SET x = u.b FROM u WHERE u.k = t.y", "postgres") == {("t.x", "u.b", "identity")}


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO n SELECT a FROM s JOIN t ON s.a = (SELECT MAX(b) FROM u)",
        "INSERT INTO n SELECT q.a FROM (s JOIN t ON s.a IN (SELECT b FROM u)) q",
        "FROM s JOIN t ON s.a IN (SELECT b FROM u) INSERT INTO n SELECT a",
        "MERGE INTO n USING (SELECT a FROM s JOIN t ON s.a IN (SELECT b FROM u)) q ON n.a = q.a"
        " WHEN MATCHED THEN UPDATE SET a = q.a",
        "INSERT INTO n SELECT a FROM s, t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = s.k)",
    ],
)
def test_lineage__query_in_a_join_condition__its_table_is_read(sql: str) -> None:
    assert {"s", "t", "u"} <= set(read(sql).outcomes[0].reads)


def test_lineage__table_in_a_filter__read_and_table_flow_only() -> None:
    (outcome,) = read("INSERT INTO n SELECT a FROM s WHERE k IN (SELECT k FROM u)").outcomes
    assert (outcome.reads, outcome.writes) == (("s", "u"), ("n",))


def test_lineage__chain_through_temporary_table__each_step_named() -> None:
    facts = read("CREATE TEMPORARY TABLE q AS SELECT * FROM s; INSERT INTO t (x) SELECT a FROM q")
    assert [outcome.columns_resolved for outcome in facts.outcomes] == [3, 1]
    assert [f.source_table for f in facts.lineage if f.target_table == "t" and f.target_column] == ["q@f_sql"]


def test_lineage__unknown_tables__guessed_only_where_one_table_can_be_meant() -> None:
    one = read("INSERT INTO n SELECT a FROM nowhere", schema=Schema()).outcomes[0]
    two = read("INSERT INTO n SELECT a, x.b FROM x JOIN y ON x.i = y.i", schema=Schema()).outcomes[0]
    star = read("INSERT INTO n SELECT * FROM nowhere", schema=Schema()).outcomes[0]
    assert [(o.columns_resolved, o.columns_total) for o in (one, two, star)] == [(1, 1), (1, 2), (0, 1)]


def test_variables__set_before__substituted_and_unknown_named() -> None:
    facts = read(
        "SET hivevar:db = crm; SET d=2026;"
        "INSERT INTO ${hivevar:db}.out SELECT a FROM ${db}.src WHERE y = '${hiveconf:d}';"
        "SELECT a FROM ${nobody}.t"
    )
    insert, select = facts.outcomes[2:]
    assert (insert.reads, insert.writes, insert.message) == (("crm.src",), ("crm.out",), None)
    assert (select.outcome, select.reads, select.message) == (Outcome.PARSED, ("${nobody}.t",), "no value for nobody")


def test_variables__value_that_doubles_itself__bounded() -> None:
    facts = read("SET x=12345678;" + "SET x=${x}${x};" * 60 + "SELECT ${x}")
    assert len(facts.outcomes) == 62


def test_bare_query__result_columns__lineage_without_a_target() -> None:
    assert edges("SELECT a AS n FROM s") == {(".n", "s.a", "identity")}
