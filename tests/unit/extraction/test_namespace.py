from __future__ import annotations

from bailiwick.extraction.model import ColumnFact, TableFact
from bailiwick.extraction.namespace import Namespace, database_of
from bailiwick.graph.model import NodeKind


def table(name: str, *columns: str) -> TableFact:
    return TableFact(name, NodeKind.TABLE, tuple(ColumnFact(column, "int") for column in columns))


def test_database_of__folder_names_that_only_say_the_kind__are_passed_over() -> None:
    assert database_of("estate/retail/ddl") == "retail"
    assert database_of("estate/retail/sql/queries") == "retail"
    assert database_of("ddl") == "ddl"
    assert database_of("v1.2") == "v1_2"


def test_resolve__inner_scope_wins_over_outer() -> None:
    names = Namespace([("e/a/x", table("t")), ("e/b/y", table("t")), ("e/b/z", table("u"))])
    assert names.resolve("t", "e/a/other") == ("x.t", 0.7)
    assert names.resolve("t", "e/c") == ("c.t", 1.0)
    assert names.resolve("u", "e/c") == ("z.u", 0.7)
    assert names.resolve("q.t", "e/a/x") == ("q.t", 1.0)


def test_resolve__definition_with_a_database__is_found_by_its_short_name() -> None:
    names = Namespace([("e/ddl", table("crm.customer"))])
    assert names.resolve("customer", "e/jobs") == ("crm.customer", 0.7)


def test_view__two_databases_with_one_table_name__each_folder_sees_its_own() -> None:
    names = Namespace([("e/a", table("t", "x")), ("e/b", table("t", "y")), ("e/a", table("only", "z"))])
    assert list(names.view("e/a").columns["t"]) == ["x"]
    assert list(names.view("e/b").columns["t"]) == ["y"]
    assert list(names.view("e/b").columns["a.t"]) == ["x"]
    assert list(names.view("e/b").columns["only"]) == ["z"]
