from __future__ import annotations

from dataclasses import replace

from bailiwick.extraction.assemble import Assembled, FileEntry, assemble
from bailiwick.extraction.control_m import read_control_m
from bailiwick.extraction.model import (
    ColumnFact,
    FileFacts,
    ForeignKey,
    LineageFact,
    Outcome,
    StatementOutcome,
    TableFact,
)
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind


def entry(name: str, facts: FileFacts | None = None, kind: str = "sql") -> FileEntry:
    return FileEntry(name, kind, 10, "abc", facts)


def table(name: str, *columns: str, **more: object) -> TableFact:
    facts = tuple(ColumnFact(column, "int", ordinal=i) for i, column in enumerate(columns))
    return TableFact(name, NodeKind.TABLE, facts, **{"line": 1, "parser": "sqlglot:hive", **more})  # type: ignore[arg-type]


def statement(file: str, reads: tuple[str, ...] = (), writes: tuple[str, ...] = (), **more: object) -> StatementOutcome:
    told = {"line": 3, "index": 0, "kind": "insert", "outcome": Outcome.PARSED, "parser": "sqlglot:hive", "text": "x"}
    return StatementOutcome(file=file, reads=reads, writes=writes, **{**told, **more})  # type: ignore[arg-type]


def build(*entries: FileEntry) -> Assembled:
    return assemble(sorted(entries, key=lambda e: e.name), source="test", run="run-1")


def named(graph: Assembled, kind: NodeKind) -> dict[str, Node]:
    return {node.qualified_name: node for node in graph.nodes if node.kind is kind}


def relations(graph: Assembled, kind: EdgeKind) -> set[tuple[str, str]]:
    names = {node.id: node.qualified_name for node in graph.nodes}
    return {(names[edge.start], names[edge.end]) for edge in graph.edges if edge.kind is kind}


def one_edge(graph: Assembled, kind: EdgeKind) -> Edge:
    (found,) = [edge for edge in graph.edges if edge.kind is kind]
    return found


DDL = entry("estate/crm/ddl.sql", FileFacts("x", tables=(table("customer", "id", "name"),)))
LOAD = entry(
    "estate/crm/load.sql",
    FileFacts(
        "x",
        outcomes=(statement("x", ("customer",), ("report",)),),
        lineage=(LineageFact("report", "n", "customer", "name", "aggregate", 0),),
    ),
)


def test_files_and_folders__form_a_tree_from_the_root() -> None:
    graph = build(DDL, LOAD, entry("estate/readme.md", None, "other"))
    assert set(named(graph, NodeKind.FOLDER)) == {"estate", "estate/crm"}
    tree = {("estate", "estate/crm"), ("estate/crm", "estate/crm/ddl.sql"), ("estate", "estate/readme.md")}
    assert tree <= relations(graph, EdgeKind.HAS)


def test_every_edge__has_both_ends_and_every_element_its_source_and_run() -> None:
    graph = build(DDL, LOAD)
    ids = {node.id for node in graph.nodes}
    assert all(edge.start in ids and edge.end in ids for edge in graph.edges)
    assert {element.source for element in (*graph.nodes, *graph.edges)} == {"test"}
    assert {element.provenance.run for element in (*graph.nodes, *graph.edges)} == {"run-1"}


def test_table_without_database__takes_the_folders() -> None:
    graph = build(DDL)
    assert set(named(graph, NodeKind.TABLE)) == {"crm.customer"}
    assert set(named(graph, NodeKind.DATABASE)) == {"crm"}
    assert set(named(graph, NodeKind.COLUMN)) == {"crm.customer.id", "crm.customer.name"}
    node = named(graph, NodeKind.TABLE)["crm.customer"]
    assert (node.provenance.file, node.provenance.line, node.provenance.confidence) == ("estate/crm/ddl.sql", 1, 1.0)


def test_lineage__columns_and_tables__flow_from_source_to_target() -> None:
    graph = build(DDL, LOAD)
    assert relations(graph, EdgeKind.DERIVES) == {("crm.customer", "crm.report"), ("crm.customer.name", "crm.report.n")}
    assert {edge.role for edge in graph.edges if edge.kind is EdgeKind.DERIVES} == {"table", "aggregate"}
    (said,) = named(graph, NodeKind.STATEMENT).values()
    assert all(e.properties["statement"] == said.id for e in graph.edges if e.kind is EdgeKind.DERIVES)


def test_lineage__said_by_two_statements__keeps_the_place_of_each() -> None:
    graph = build(DDL, LOAD, replace(LOAD, name="estate/crm/load2.sql"))
    edges = [e for e in graph.edges if e.kind is EdgeKind.DERIVES and e.properties["transformation"] == "aggregate"]
    assert {(e.role, e.provenance.file) for e in edges} == {
        ("aggregate", "estate/crm/load.sql"),
        ("aggregate#2", "estate/crm/load2.sql"),
    }


def test_queries__whose_results_go_to_their_callers__share_nothing_but_what_they_read() -> None:
    def asking(name: str, column: str) -> FileEntry:
        lineage = (
            LineageFact("", None, "customer", None, "table", 0),
            LineageFact("", "answer", "customer", column, "identity", 0),
        )
        return entry(name, FileFacts("x", outcomes=(statement("x", ("customer",), kind="select"),), lineage=lineage))

    graph = build(DDL, asking("estate/crm/a.sql", "id"), asking("estate/crm/b.sql", "name"))
    assert set(named(graph, NodeKind.TABLE)) == {"crm.customer"}
    first, second = sorted(named(graph, NodeKind.STATEMENT))
    assert relations(graph, EdgeKind.DERIVES) == {
        ("crm.customer.id", first),
        ("crm.customer.name", second),
    }


def test_mentioned_table__nobody_defines__is_there_with_less_confidence() -> None:
    report = named(build(DDL, LOAD), NodeKind.TABLE)["crm.report"]
    assert report.properties["defined"] is False
    assert report.provenance.confidence == 0.5


def test_mention_in_another_folder__of_a_table_defined_once__means_that_table() -> None:
    elsewhere = replace(LOAD, name="estate/nightly/load.sql")
    graph = build(DDL, elsewhere)
    assert ("crm.customer", "nightly.report") in relations(graph, EdgeKind.DERIVES)
    (reads,) = [edge for edge in graph.edges if edge.kind is EdgeKind.READS]
    assert reads.provenance.confidence == 0.7


def test_mention__of_a_name_defined_in_two_folders__stays_at_home() -> None:
    other = replace(DDL, name="estate/erp/ddl.sql")
    graph = build(DDL, other, replace(LOAD, name="estate/nightly/load.sql"))
    assert "nightly.customer" in named(graph, NodeKind.TABLE)


def test_pieces_of_a_table__are_merged_whatever_the_order_of_files() -> None:
    alter = TableFact(
        "customer",
        NodeKind.TABLE,
        (ColumnFact("added", "string"),),
        (ForeignKey(("id",), "account", ("customer_id",), name="fk_1"),),
        line=9,
        defines=False,
    )
    account = entry("estate/crm/account.sql", FileFacts("x", tables=(table("account", "customer_id"),)))
    graph = build(entry("estate/crm/a_alter.sql", FileFacts("x", tables=(alter,))), DDL, account)
    assert set(named(graph, NodeKind.COLUMN)) >= {"crm.customer.id", "crm.customer.name", "crm.customer.added"}
    assert named(graph, NodeKind.TABLE)["crm.customer"].provenance.file == "estate/crm/ddl.sql"
    key = next(e for e in graph.edges if e.kind is EdgeKind.REFERENCES and not e.properties["inferred"])
    assert (key.properties["constraint"], key.provenance.file) == ("fk_1", "estate/crm/a_alter.sql")


def test_declared_key__without_columns__leads_to_the_primary_key() -> None:
    parent = TableFact("p", NodeKind.TABLE, (ColumnFact("code", "int", primary_key=True),))
    child = table("c", "x", foreign_keys=(ForeignKey(("x",), "p", ()),))
    graph = build(entry("e/db/a.sql", FileFacts("x", tables=(parent, child))))
    assert relations(graph, EdgeKind.REFERENCES) == {("db.c.x", "db.p.code")}


def test_inferred_key__is_an_edge_with_its_confidence() -> None:
    tables = (table("customers", "id"), table("orders", "id", "customer_id"))
    edge = one_edge(build(entry("e/db/a.sql", FileFacts("x", tables=tables))), EdgeKind.REFERENCES)
    assert edge.properties["inferred"] is True
    assert 0.6 <= edge.provenance.confidence < 1.0


def test_view__mentioned_before_it_is_defined__is_one_node() -> None:
    view = TableFact("v", NodeKind.VIEW, (ColumnFact("n", "string"),), line=1)
    graph = build(
        entry("e/db/a.sql", FileFacts("x", outcomes=(statement("x", ("v",)),))),
        entry("e/db/b.sql", FileFacts("x", tables=(view,))),
    )
    assert set(named(graph, NodeKind.VIEW)) == {"db.v"}
    assert named(graph, NodeKind.TABLE) == {}
    assert ("db.v") in {end for _, end in relations(graph, EdgeKind.READS)}


def test_statement__another_put_before_it__keeps_its_identity() -> None:
    first, second = statement("x", text="insert 1", index=0), statement("x", text="insert 2", index=1, line=9)
    alone = build(entry("e/a.sql", FileFacts("x", outcomes=(replace(second, index=0, line=1),))))
    both = build(entry("e/a.sql", FileFacts("x", outcomes=(first, second))))
    assert {node.id for node in alone.nodes if node.kind is NodeKind.STATEMENT} < {node.id for node in both.nodes}


def test_statement__failed__is_kept_with_its_reason() -> None:
    broken = statement("x", outcome=Outcome.ERROR, message="line 3: what?")
    (node,) = named(build(entry("e/a.sql", FileFacts("x", outcomes=(broken,)))), NodeKind.STATEMENT).values()
    assert (node.properties["outcome"], node.properties["message"]) == ("error", "line 3: what?")


def test_same_statement_twice__is_two_nodes() -> None:
    twice = (statement("x", index=0), statement("x", index=1))
    assert len(named(build(entry("e/a.sql", FileFacts("x", outcomes=twice))), NodeKind.STATEMENT)) == 2


def test_jobs__of_two_files__meet_in_conditions_and_run_files() -> None:
    first = (
        b'<DEFTABLE><FOLDER FOLDER_NAME="A"><JOB JOBNAME="J1"><OUTCOND NAME="C" SIGN="+"/></JOB></FOLDER></DEFTABLE>'
    )
    second = (
        b'<DEFTABLE><FOLDER FOLDER_NAME="B"><JOB JOBNAME="J2" CMDLINE="hive -f crm/load.sql"><INCOND NAME="C"/>'
        b'<INCOND NAME="NEVER"/></JOB></FOLDER></DEFTABLE>'
    )
    entries = [
        entry(f"estate/{name}.xml", read_control_m(data, f"estate/{name}.xml"), "xml")
        for name, data in (("a", first), ("b", second))
    ]
    graph = build(*entries, LOAD)
    assert relations(graph, EdgeKind.PRECEDES) == {("A/J1", "B/J2")}
    assert relations(graph, EdgeKind.RUNS) == {("B/J2", "estate/crm/load.sql")}
    assert ("estate/a.xml", "A") in relations(graph, EdgeKind.HAS)
    assert named(graph, NodeKind.CONDITION)["NEVER"].properties == {"never_raised": True}
    assert named(graph, NodeKind.CONDITION)["C"].properties == {}


def test_assembling_twice__gives_the_same_graph() -> None:
    assert build(DDL, LOAD) == build(LOAD, DDL)


def test_values_no_store_takes__are_made_storable() -> None:
    column = ColumnFact("c", "int", comment="half \ud800 pair", statistics={"max": 2**70})
    graph = build(entry("e/db/a.sql", FileFacts("x", tables=(TableFact("t", NodeKind.TABLE, (column,)),))))
    properties = named(graph, NodeKind.COLUMN)["db.t.c"].properties
    assert (properties["comment"], properties["max"]) == ("half ? pair", str(2**70))
