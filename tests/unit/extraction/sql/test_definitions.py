"""CREATE, ALTER, DROP: tables, columns, keys, and each known gap of the parser."""

from __future__ import annotations

import pytest

from bailiwick.extraction.model import FileFacts, ForeignKey, Outcome, Schema, TableFact, merge_tables
from bailiwick.extraction.sql import read_definitions, read_statements
from bailiwick.graph.model import NodeKind


def read(sql: str, dialect: str = "hive") -> FileFacts:
    return read_statements(sql, "f.sql", dialect, Schema())


def table(sql: str, name: str, dialect: str = "hive") -> TableFact:
    return {fact.name: fact for fact in read(sql, dialect).tables}[name]


def names(fact: TableFact) -> list[str]:
    return [column.name for column in fact.columns]


FULL = """
CREATE EXTERNAL TABLE IF NOT EXISTS Crm.Customer (
  Id BIGINT COMMENT 'the key', name STRING NOT NULL, tags ARRAY<STRUCT<k: STRING, v: INT>>,
  balance DECIMAL(12,2) DEFAULT 0, PRIMARY KEY (id) DISABLE NOVALIDATE)
COMMENT 'who buys' PARTITIONED BY (ds STRING COMMENT 'day', region STRING)
CLUSTERED BY (id) SORTED BY (name) INTO 8 BUCKETS
ROW FORMAT SERDE 'org.x.Serde' WITH SERDEPROPERTIES ('a'='b') STORED AS ORC
LOCATION 'hdfs://lake/crm' TBLPROPERTIES ('owner'='crm')
"""


def test_create_table__every_hive_clause__all_recorded() -> None:
    fact = table(FULL, "crm.customer")
    assert names(fact) == ["id", "name", "tags", "balance", "ds", "region"]
    assert [column.partition for column in fact.columns] == [False] * 4 + [True] * 2
    key, name, tags, balance = fact.columns[:4]
    assert (key.primary_key, key.nullable, key.comment, key.type) == (True, False, "the key", "bigint")
    assert (name.nullable, tags.type, balance.type, balance.default) == (
        False,
        "array<struct<k: string, v: int>>",
        "decimal(12, 2)",
        "0",
    )
    assert fact.properties == {
        "external": True,
        "comment": "who buys",
        "partitioned_by": ["ds", "region"],
        "buckets": {"columns": ["id"], "sorted_by": ["name"], "count": 8},
        "serde": "org.x.Serde",
        "serde_properties": {"a": "b"},
        "format": "orc",
        "location": "hdfs://lake/crm",
        "tblproperties": {"owner": "crm"},
    }
    assert (fact.line, fact.kind, fact.confidence) == (2, NodeKind.TABLE, 1.0)


@pytest.mark.parametrize("state", ["DISABLE NOVALIDATE", "DISABLE NOVALIDATE RELY", "ENABLE VALIDATE NORELY", ""])
def test_alter_add_constraint__hive_states__keys_survive(state: str) -> None:
    fact = table(
        "CREATE TABLE o (id INT, c INT);"
        f"ALTER TABLE o ADD CONSTRAINT pk PRIMARY KEY (id) {state};"
        f"ALTER TABLE o ADD CONSTRAINT fk FOREIGN KEY (c) REFERENCES crm.customer (id) {state}",
        "o",
    )
    assert [column.name for column in fact.columns if column.primary_key] == ["id"]
    assert fact.foreign_keys == (ForeignKey(("c",), "crm.customer", ("id",), "fk"),)


def test_alter_in_another_file__merged__keys_join_the_definition() -> None:
    first = read_definitions("CREATE TABLE o (id INT, c INT)", "a.sql", "hive")
    second = read_definitions(
        "ALTER TABLE o ADD CONSTRAINT fk FOREIGN KEY (c) REFERENCES k (id) DISABLE NOVALIDATE", "b.sql", "hive"
    )
    assert second.tables[0].defines is False
    merged = merge_tables([*second.tables, *first.tables])["o"]
    assert (names(merged), len(merged.foreign_keys), merged.defines) == (["id", "c"], 1, True)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("CREATE TABLE t (a INT CHECK (a > 1) ENABLE, b INT NOT NULL DISABLE NOVALIDATE RELY)", {"t": ["a", "b"]}),
        ("CREATE TABLE t (a UNIONTYPE<INT, STRUCT<x: INT, y: UNIONTYPE<INT, STRING>>>, b INT)", {"t": ["a", "b"]}),
        ("CREATE TABLE t (a INT) SKEWED BY (a) ON (1, 5) STORED AS DIRECTORIES", {"t": ["a"]}),
        ("CREATE TABLE t (a STRING, b INT) SKEWED BY (a, b) ON (('s(1',1), ('s3',3))", {"t": ["a", "b"]}),
        ("CREATE TRANSACTIONAL TABLE t (a INT) STORED AS ORC", {"t": ["a"]}),
        ("CREATE MATERIALIZED VIEW v DISABLE REWRITE AS SELECT a FROM t", {"v": ["a"]}),
        ("CREATE MATERIALIZED VIEW v PARTITIONED ON (a) STORED AS ORC AS SELECT a, b FROM t", {"v": ["a", "b"]}),
        ("ALTER TABLE t CHANGE COLUMN a b INT CONSTRAINT nn NOT NULL DISABLE NOVALIDATE", {"t": ["b"]}),
        ("ALTER TABLE t CHANGE a b INT COMMENT 'x'", {"t": ["b"]}),
    ],
)
def test_known_gap_of_the_parser__definition__parsed_after_rewriting(sql: str, expected: dict[str, list[str]]) -> None:
    facts = read(sql)
    assert [outcome.outcome for outcome in facts.outcomes] == [Outcome.PARSED]
    assert {fact.name: names(fact) for fact in facts.tables} == expected


def test_union_type__rewritten_for_the_parser__comes_back_as_written() -> None:
    fact = table("CREATE TABLE t (a UNIONTYPE<INT, ARRAY<STRING>>)", "t")
    assert fact.columns[0].type == "uniontype<int, array<string>>"


@pytest.mark.parametrize(
    ("sql", "kind", "writes"),
    [
        ("MSCK REPAIR TABLE crm.t SYNC PARTITIONS", "repair", ("crm.t",)),
        ("MSCK TABLE t", "repair", ("t",)),
        ("ALTER DATABASE d SET DBPROPERTIES ('a'='b')", "alter_database", ()),
        ("CREATE DATABASE d LOCATION 'x' WITH DBPROPERTIES ('a'='b')", "create_database", ()),
        ("CREATE INDEX i ON TABLE t (a) AS 'COMPACT' WITH DEFERRED REBUILD", "create_index", ("t",)),
        ("ALTER TABLE b EXCHANGE PARTITION (ds='1') WITH TABLE a", "exchange_partition", ("b",)),
        ("SET hive.exec.dynamic.partition.mode=nonstrict", "set", ()),
        ("LOAD DATA INPATH '/x' OVERWRITE INTO TABLE t PARTITION (ds='1')", "load", ("t",)),
        ("TRUNCATE TABLE t", "truncate", ("t",)),
        ("ADD JAR /x.jar", "resource", ()),
    ],
)
def test_known_gap_of_the_parser__command__recognised(sql: str, kind: str, writes: tuple[str, ...]) -> None:
    (outcome,) = read(sql).outcomes
    assert (outcome.outcome, outcome.kind, outcome.writes) == (Outcome.PARSED, kind, writes)


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("INSERT OVERWRITE TABLE t PARTITION (a='1', b) IF NOT EXISTS SELECT x, y FROM s", ("s",)),
        ("SELECT * FROM s TABLESAMPLE(100M) z", ("s",)),
        ("SELECT x FROM s WHERE u IREGEXP 'a'", ("s",)),
        ("SELECT CAST(ROW(a, b) AS ROW(a BIGINT, b DECIMAL(23, 2))) FROM s", ("s",)),
        ("SELECT '1-2' YEAR TO MONTH FROM s", ("s",)),
        (
            "FROM (FROM s MAP s.a, s.b USING 'm' AS p, q) m INSERT OVERWRITE TABLE t REDUCE m.p USING 'r' AS x, y",
            ("s",),
        ),
    ],
)
def test_known_gap_of_the_parser__query__parsed_after_rewriting(sql: str, reads: tuple[str, ...]) -> None:
    (outcome,) = read(sql).outcomes
    assert (outcome.outcome, outcome.reads) == (Outcome.PARSED, reads)


def test_rename_drop_add_replace__in_order__catalogue_follows() -> None:
    facts = read(
        "CREATE TABLE a (x INT) PARTITIONED BY (ds STRING); ALTER TABLE a ADD COLUMNS (y INT);"
        "ALTER TABLE a RENAME TO b; CREATE TABLE c (z INT); DROP TABLE c; DROP TABLE elsewhere;"
        "CREATE TABLE d LIKE b; ALTER TABLE d REPLACE COLUMNS (q INT)"
    )
    found = {fact.name: fact for fact in facts.tables}
    assert set(found) == {"b", "c", "d"}
    assert names(found["b"]) == ["x", "y", "ds"]
    assert found["b"].properties["renamed_from"] == "a"
    assert found["c"].properties["dropped"] is True
    assert names(found["d"]) == ["ds", "q"] or names(found["d"]) == ["q", "ds"]


def test_use_and_case__names__qualified_and_folded_by_dialect() -> None:
    assert table("USE Crm; CREATE TABLE `Customer` (Id INT)", "crm.customer").columns[0].name == "id"
    assert table('CREATE TABLE "Customer" ("Id" INT)', "Customer", "postgres").columns[0].name == "Id"
    assert table('CREATE TABLE "CUSTOMER" (id INT)', "customer", "db2").columns[0].name == "id"


def test_db2__clauses_of_its_own__keys_found() -> None:
    fact = table(
        "CREATE TABLE A.B (X CHAR(2) NOT NULL WITH DEFAULT, Y INT, PRIMARY KEY (X),"
        " FOREIGN KEY FK (Y) REFERENCES A.C (Z) ON DELETE RESTRICT) IN DB.TS CCSID EBCDIC",
        "a.b",
        "db2",
    )
    assert fact.columns[0].primary_key
    assert fact.foreign_keys == (ForeignKey(("y",), "a.c", ("z",), "fk"),)


def test_temporary_table__same_name_in_two_files__two_tables() -> None:
    sql = "CREATE TEMPORARY TABLE tmp AS SELECT a FROM {}; INSERT INTO {} SELECT a FROM tmp"
    one = read_statements(sql.format("x", "out1"), "one.sql", "hive", Schema())
    two = read_statements(sql.format("y", "out2"), "two.sql", "hive", Schema())
    assert {fact.name for fact in one.tables}.isdisjoint(fact.name for fact in two.tables)


def test_view_over_another_files_table__merged__star_expanded() -> None:
    view = read_definitions("CREATE VIEW v AS SELECT *, 1 AS one FROM t", "v.sql", "hive")
    nested = read_definitions("CREATE VIEW w AS SELECT v.* FROM v", "w.sql", "hive")
    base = read_definitions("CREATE TABLE t (a INT, b INT)", "t.sql", "hive")
    schema = Schema.of([*view.tables, *nested.tables, *base.tables])
    assert list(schema.columns["w"]) == ["a", "b", "one"]


def test_views_over_each_other__merged__ends() -> None:
    facts = read_definitions("CREATE VIEW v AS SELECT * FROM w; CREATE VIEW w AS SELECT *, 1 x FROM v", "v.sql", "hive")
    assert set(Schema.of(facts.tables).columns["w"]) == {"x"}


def test_facts__through_json__equal() -> None:
    import json

    facts = read(FULL + "; INSERT INTO x SELECT id FROM crm.customer")
    assert FileFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts
