"""The real corpora: TPC-DS inserts, Hive fixtures, Db2 DDL."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bailiwick.extraction.model import FileFacts, ForeignKey, Outcome, Schema
from bailiwick.extraction.sql import read_definitions, read_statements

pytestmark = pytest.mark.corpora

# Read off the Hive fixtures by hand: the tables that a file's statements name, and the columns of what they define.
TABLES = {
    "alter_table": "schema.table1 schema.table2 table1 table2",
    "alter_view": "db.foo db.bar foo",
    "array_types": "sch.tbl",
    "create_table_as_select": "new_foo foo",
    "create_table_clustered_by": "foo",
    "create_table_constraints": "foo product vendor",
    "create_table_datatypes": "db.foo",
    "create_table_external_partitioned": "foo",
    "create_table_like": "db.new_foo",
    "create_table_row_format_delimited": "foo",
    "create_table_row_format_serde": "foo",
    "create_table_skewed_by": "foo",
    "create_table_temporary_external": "foo",
    "create_table_temporary_properties": "foo",
    "create_table_with": "masonboro_sandbox.test masonboro_sales.us_2021",
    "double_equals": "t",
    "drop_table": "foo bar",
    "from_insert_statement": "tab1 tab2 tab3 src1 src2",
    "grouping_sets_trailing": "t",
    "insert_into_table": "foo bar",
    "insert_into_table_column_list": "tab1 tab2",
    "insert_into_table_partition": "foo bar",
    "insert_into_table_values": "foo",
    "insert_overwrite_directory": "foo",
    "insert_overwrite_table": "foo bar",
    "insert_overwrite_table_dynamic_partition": "foo bar",
    "insert_overwrite_table_partition": "foo bar",
    "msck_repair_table": "table_identifier t1 emp_part",
    "msck_table": "table_identifier t1 emp_part",
    "quoted_literal": "student",
    "select_cast": "sch.tbl",
    "select_cluster_distribute_sort_by": "t1 src",
    "select_lateral_view": "pageads exampletable basetable src",
    "select_left_semi_join": "a b",
    "select_regexp": "example",
    "select_sampling_table": "source",
    "set": "schema_test.tbl_test",
    "truncate_table": "foo bar",
}
COLUMNS = {
    "alter_view": {"db.foo": "col1"},
    "create_table_as_select": {"new_foo": "col col12"},
    "create_table_clustered_by": {"foo": "col1 col2"},
    "create_table_constraints": {
        "foo": "col1 col2 col3 col4 col5",
        "product": "product_id product_vendor_id",
        "vendor": "vendor_id",
    },
    "create_table_datatypes": {"db.foo": "col1 col2 col3 col4 col5 col6 col7 col8"},
    "create_table_external_partitioned": {"foo": "col1 col2 col3 col4"},
    "create_table_row_format_delimited": {"foo": "col1 col2 col3 col4"},
    "create_table_row_format_serde": {"foo": "col1 col2 col3 col4"},
    "create_table_skewed_by": {"foo": "col1 col2 col3"},
    "create_table_temporary_external": {"foo": "col1 col2 col3 col4"},
    "create_table_temporary_properties": {"foo": "col1 col2"},
    "create_table_with": {"masonboro_sandbox.test": "rev"},
}


def statements(sql: str) -> int:
    """Counted another way: what lies between semicolons once strings and comments are gone."""
    bare = re.sub(r"--[^\n]*|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", "", sql)
    return sum(bool(part.strip()) for part in bare.split(";"))


def read(path: Path, schema: Schema | None = None) -> FileFacts:
    return read_statements(path.read_text(), path.name, "hive", schema or Schema())


def short(name: str) -> str:
    """Temporary tables carry their file behind an @."""
    return name.partition("@")[0]


def test_tpcds_inserts__with_schema__every_edge_and_no_failure(corpora: Path) -> None:
    folder = corpora / "tpcds-inserts"
    schema = Schema(json.loads((folder / "schema.json").read_text()))
    files = [read(path, schema) for path in sorted(folder.glob("*.sql"))]
    outcomes = [outcome for facts in files for outcome in facts.outcomes]
    assert len(files) == 99
    assert {outcome.outcome for outcome in outcomes} == {Outcome.PARSED}
    assert sum(fact.target_column is not None for facts in files for fact in facts.lineage) >= 972
    resolved, total = (sum(getattr(o, name) for o in outcomes) for name in ("columns_resolved", "columns_total"))
    assert resolved / total > 0.99  # c_last_review_date is not in schema.json


def test_tpcds_inserts__a_query_by_hand__its_edges(corpora: Path) -> None:
    folder = corpora / "tpcds-inserts"
    schema = Schema(json.loads((folder / "schema.json").read_text()))
    facts = read(folder / "query01.sql", schema)
    (column,) = (fact for fact in facts.lineage if fact.target_column)
    assert (column.target_table, column.target_column) == ("query01", "c_customer_id")
    assert (column.source_table, column.source_column) == ("customer", "c_customer_id")
    assert facts.outcomes[0].reads == ("customer", "date_dim", "store", "store_returns")


def test_hive_fixtures__read__every_statement_has_an_outcome(corpora: Path) -> None:
    outcomes = []
    for path in sorted((corpora / "hive-sql").glob("*.sql")):
        found = read(path).outcomes
        assert len(found) == statements(path.read_text()), path.name
        outcomes += found
    assert sum(outcome.outcome is Outcome.PARSED for outcome in outcomes) >= 0.9 * len(outcomes)
    assert not any(outcome.outcome is Outcome.ERROR for outcome in outcomes)


def test_hive_fixtures__tables_and_columns__at_least_nine_in_ten_recovered(corpora: Path) -> None:
    wanted, found = set(), set()
    for path in sorted((corpora / "hive-sql").glob("*.sql")):
        facts = read(path)
        named = {short(name) for outcome in facts.outcomes for name in (*outcome.reads, *outcome.writes)}
        wanted |= {(path.stem, name) for name in TABLES.get(path.stem, "").split()}
        found |= {(path.stem, name) for name in named}
        wanted |= {
            (path.stem, table, column)
            for table, columns in COLUMNS.get(path.stem, {}).items()
            for column in columns.split()
        }
        found |= {(path.stem, short(table.name), column.name) for table in facts.tables for column in table.columns}
    assert len(wanted & found) >= 0.9 * len(wanted)
    assert len(found - wanted) <= 0.1 * len(found)  # nothing made up either


def test_carddemo__db2_ddl__keys_and_references(corpora: Path) -> None:
    facts = [read_definitions(p.read_text(), p.name, "db2") for p in sorted((corpora / "carddemo").glob("*.ddl.sql"))]
    tables = {table.name: table for part in facts for table in part.tables}
    keys = {name: [c.name for c in table.columns if c.primary_key] for name, table in tables.items()}
    assert keys == {
        "carddemo.authfrds": ["card_num", "auth_ts"],
        "carddemo.transaction_type": ["tr_type"],
        "carddemo.transaction_type_category": ["trc_type_code", "trc_type_category"],
    }
    assert [len(table.columns) for table in tables.values()] == [26, 3, 2]
    assert tables["carddemo.transaction_type_category"].foreign_keys == (
        ForeignKey(("trc_type_code",), "carddemo.transaction_type", ("tr_type",), "trc_type_code"),
    )
