"""What every graph store must do, run over every adapter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import servers

from bailiwick.clock import VirtualClock
from bailiwick.errors import InvalidInput, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.graph.bolt import BoltServer
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Provenance, Tag, edge_id, node_id
from bailiwick.graph.neo4j import Neo4jGraphStore
from bailiwick.graph.ports import GraphStore, SyncReport
from bailiwick.graph.sql import SqlGraphStore
from bailiwick.storage.database import Database

ADA = Actor("cli:ada", reason="checked by hand")


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("bolt", marks=pytest.mark.bolt),
    ]
)
def engine(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def main_database(request: pytest.FixtureRequest, engine: str) -> Database:
    found: Database = request.getfixturevalue("postgres_database" if engine == "postgres" else "sqlite_database")
    return found


@pytest.fixture
def audit(main_database: Database, clock: VirtualClock) -> AuditTrail:
    return AuditTrail(main_database, clock)


@pytest.fixture
def store(
    request: pytest.FixtureRequest, engine: str, main_database: Database, audit: AuditTrail, clock: VirtualClock
) -> Iterator[GraphStore]:
    if engine == "bolt":
        server = BoltServer(request.getfixturevalue("bolt_url"), servers.BOLT_USER, servers.BOLT_PASSWORD, clock)
        opened: GraphStore = Neo4jGraphStore(server, main_database, audit, clock)
    else:
        opened = SqlGraphStore(main_database, audit, clock)
    yield opened
    opened.close()


def node(name: str, /, *, kind: NodeKind = NodeKind.TABLE, run: str = "run-1", sure: float = 1.0, **given: Any) -> Node:
    return Node(
        id=node_id(kind, name),
        kind=kind,
        name=name.rsplit(".", 1)[-1],
        qualified_name=name,
        source="files",
        provenance=Provenance("a.sql", 3, "sql", run, sure),
        properties=given,
    )


def edge(
    start: Node, end: Node, kind: EdgeKind = EdgeKind.DERIVES, *, role: str = "", run: str = "run-1", sure: float = 1.0
) -> Edge:
    return Edge(
        id=edge_id(kind, start.id, end.id, role),
        kind=kind,
        start=start.id,
        end=end.id,
        source="files",
        provenance=Provenance("a.sql", None, "sql", run, sure),
        role=role,
        properties={"transformation": "sum(x)"},
    )


def tag(element: Node | Edge, domain: str, score: float = 0.9, method: str = "keyword", **given: Any) -> Tag:
    return Tag(element.id, domain, f"{domain}-agent", score, method, "detect-1", **given)


def put(store: GraphStore, *elements: Node | Edge, source: str = "files", complete: bool = True) -> SyncReport:
    nodes = [element for element in elements if isinstance(element, Node)]
    edges = [element for element in elements if isinstance(element, Edge)]
    return store.sync_source(source, nodes, edges, complete=complete, max_removed_fraction=1.0)


def names(nodes: Sequence[Node]) -> set[str]:
    return {found.qualified_name for found in nodes}


A, B, C, D = (node(f"bank.{letter}") for letter in "abcd")
AB, BC, CD = edge(A, B), edge(B, C), edge(C, D)


# ---- syncing one source


def test_sync__new_elements__come_back_equal(store: GraphStore) -> None:
    table = node(
        "bank.Kunde_ß",
        comment="x\0y ✓",
        ratio=0.25,
        rows=12,
        big=2**53 + 1,
        whole=2.0,
        nullable=True,
        nothing=None,
        types=["int", "str"],
        mixed=[1, "a", None],
        empty=[],
        nested={"partition": [{"name": "day", "type": "date"}]},
        name="clashes with a field",
    )
    column = node("bank.Kunde_ß.id", kind=NodeKind.COLUMN)
    has = edge(table, column, EdgeKind.HAS, role="key")

    report = put(store, table, column, has)

    assert report == SyncReport(added=3, changed=0, unchanged=0, tombstoned=0)
    assert {found.id: found for found in store.get([table.id, column.id, "unknown"])} == {
        table.id: table,
        column.id: column,
    }
    assert list(store.edges()) == [has]
    assert isinstance(store.get([table.id])[0].properties["whole"], float)


def test_sync__same_content_from_another_run__nothing_is_written(store: GraphStore) -> None:
    put(store, A, B, AB)
    again = [replace(e, provenance=replace(e.provenance, run="run-2")) for e in (A, B, AB)]

    report = put(store, *again)

    assert report == SyncReport(added=0, changed=0, unchanged=3, tombstoned=0)
    assert {found.provenance.run for found in store.get([A.id, B.id])} == {"run-1"}


def test_sync__changed_content__is_overwritten(store: GraphStore) -> None:
    put(store, node("bank.a", rows=1, old="x"), B, AB)

    report = put(store, node("bank.a", rows=2), B, replace(AB, properties={"transformation": "max(x)"}))

    assert report == SyncReport(added=0, changed=2, unchanged=1, tombstoned=0)
    assert store.get([A.id])[0].properties == {"rows": 2}
    assert next(store.edges()).properties == {"transformation": "max(x)"}


def test_sync__the_source_named_by_the_call__owns_the_elements(store: GraphStore) -> None:
    put(store, A, source="elsewhere")

    assert store.get([A.id])[0].source == "elsewhere"


def test_sync__one_element_twice__the_surest_stays(store: GraphStore) -> None:
    report = put(store, node("bank.a", sure=0.5, by=1), node("bank.a", sure=1.0, by=2), node("bank.a", sure=1.0, by=3))

    assert report.added == 1
    assert store.get([A.id])[0].properties == {"by": 2}


def test_sync__parallel_edges_with_other_roles_or_kinds__are_all_kept(store: GraphStore) -> None:
    parallel = [AB, edge(A, B, role="x"), edge(A, B, role="y"), edge(A, B, EdgeKind.REFERENCES), edge(A, A)]

    put(store, A, B, *parallel)

    assert {found.id for found in store.edges()} == {one.id for one in parallel}


def test_sync__edge_to_an_unknown_node__is_refused_and_nothing_is_written(store: GraphStore) -> None:
    put(store, A)

    with pytest.raises(InvalidInput, match=B.id) as caught:
        put(store, C, edge(A, B))

    assert caught.value.where == "a.sql"
    assert names(list(store.nodes())) == {"bank.a"}


def test_sync__edge_to_a_node_of_another_source__is_taken(store: GraphStore) -> None:
    put(store, A, source="one")

    put(store, B, AB, source="two")

    assert list(store.edges()) == [replace(AB, source="two")]


@pytest.mark.parametrize(
    "bad",
    [
        node("bank.bad", value=object()),
        node("bank.bad", value=2**70),
        node("bank.b\0d"),
        replace(node("bank.bad"), name="\ud800"),
    ],
    ids=["object", "huge integer", "NUL", "half a surrogate pair"],
)
def test_sync__element_that_cannot_be_stored__is_refused_and_nothing_is_written(store: GraphStore, bad: Node) -> None:
    with pytest.raises(InvalidInput):
        put(store, A, bad)

    assert list(store.nodes()) == []


# ---- removal


def test_sync__complete_and_not_given__is_tombstoned_with_its_edges(store: GraphStore) -> None:
    put(store, A, B, C, AB, BC)

    report = put(store, A, B, AB)

    assert report == SyncReport(added=0, changed=0, unchanged=3, tombstoned=2)
    assert names(list(store.nodes())) == {"bank.a", "bank.b"}
    assert list(store.edges()) == [AB]
    assert store.get([C.id]) == []
    assert store.stats().nodes == {"table": 2}


def test_sync__incomplete__removes_nothing(store: GraphStore) -> None:
    put(store, A, B, C)

    report = put(store, A, complete=False)

    assert report == SyncReport(added=0, changed=0, unchanged=1, tombstoned=0, held_back=2)
    assert len(list(store.nodes())) == 3


def test_sync__more_missing_than_believed__everything_is_held_back(store: GraphStore) -> None:
    put(store, A, B, C, D)

    report = store.sync_source("files", [A], [], complete=True, max_removed_fraction=0.5)
    believed = store.sync_source("files", [A, B], [], complete=True, max_removed_fraction=0.5)

    assert (report.tombstoned, report.held_back) == (0, 3)
    assert (believed.tombstoned, believed.held_back) == (2, 0)


def test_sync__tombstoned_element_given_again__lives_again(store: GraphStore) -> None:
    put(store, A, B, AB)
    put(store, A)

    report = put(store, A, B, AB)

    assert report == SyncReport(added=2, changed=0, unchanged=1, tombstoned=0)
    assert names(list(store.nodes())) == {"bank.a", "bank.b"}
    assert list(store.edges()) == [AB]


def test_sync__other_source__is_left_alone(store: GraphStore) -> None:
    put(store, A, B, source="one")

    report = put(store, C, source="two")

    assert report == SyncReport(added=1, changed=0, unchanged=0, tombstoned=0)
    assert names(store.find(source="one")) == {"bank.a", "bank.b"}


def test_sync__node_not_given_but_an_edge_ends_in_it__stays(store: GraphStore) -> None:
    put(store, A, B)

    report = put(store, A, AB)

    assert report.tombstoned == 0
    assert list(store.edges()) == [AB]


def test_sync__node_goes__edges_of_other_sources_go_with_it(store: GraphStore) -> None:
    put(store, A, B, source="one")
    put(store, C, BC, source="two")

    put(store, A, source="one")

    assert list(store.edges()) == []
    assert put(store, B, C, BC, source="two").added == 2


# ---- more than one source sees an element


def test_sync__mention_of_what_another_source_defines__changes_nothing(store: GraphStore) -> None:
    defined = node("bank.a", rows=5)
    put(store, defined, source="ddl")

    report = put(store, node("bank.a", sure=0.5), source="queries")

    assert report == SyncReport(added=0, changed=0, unchanged=1, tombstoned=0)
    assert list(store.get([A.id])) == [replace(defined, source="ddl")]


def test_sync__definition_of_what_another_source_mentions__takes_it_over(store: GraphStore) -> None:
    put(store, node("bank.a", sure=0.5), source="queries")

    report = put(store, node("bank.a", rows=5), source="ddl")

    assert report.changed == 1
    assert (store.get([A.id])[0].source, store.get([A.id])[0].properties) == ("ddl", {"rows": 5})
    assert put(store, node("bank.a", sure=0.5), source="queries").unchanged == 1
    assert store.get([A.id])[0].source == "ddl"


def test_sync__owner_no_longer_has_it__ownership_passes_to_the_surest_witness(store: GraphStore) -> None:
    mentioned = node("bank.a", sure=0.5)
    put(store, node("bank.a", rows=5), B, source="ddl")
    put(store, mentioned, source="queries")
    put(store, node("bank.a", sure=0.3), source="jobs")

    report = put(store, B, source="ddl")

    assert report.tombstoned == 0
    assert store.get([A.id])[0].source == "queries"
    assert put(store, mentioned, source="queries").changed == 1
    assert list(store.get([A.id])) == [replace(mentioned, source="queries")]


def test_sync__last_witness_goes__element_is_tombstoned(store: GraphStore) -> None:
    put(store, A, B, source="ddl")
    put(store, node("bank.a", sure=0.5), source="queries")
    put(store, B, source="ddl")

    report = put(store, source="queries")

    assert report.tombstoned == 1
    assert names(list(store.nodes())) == {"bank.b"}


def test_sync__former_owner_after_a_takeover__is_remembered_as_witness(store: GraphStore) -> None:
    put(store, node("bank.a", sure=0.5), source="queries")
    put(store, A, source="ddl")

    put(store, source="ddl")

    assert store.get([A.id])[0].source == "queries"


def test_sync__witness_no_longer_sees_it__owner_alone_decides(store: GraphStore) -> None:
    put(store, A, source="ddl")
    put(store, node("bank.a", sure=0.5), C, source="queries")
    put(store, C, source="queries")

    assert put(store, source="ddl").tombstoned == 1


def test_sync__four_sources_at_once__nothing_is_doubled_or_lost(store: GraphStore) -> None:
    def sync(number: int) -> None:
        put(store, A, B, AB, node(f"bank.own{number}"), source=f"source{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(sync, range(4)))

    assert names(list(store.nodes())) == {"bank.a", "bank.b", *(f"bank.own{number}" for number in range(4))}
    assert len(list(store.nodes())) == 6
    assert len(list(store.edges())) == 1
    for number in range(3):
        put(store, source=f"source{number}")
    assert names(list(store.nodes())) == {"bank.a", "bank.b", "bank.own3"}


# ---- reading


def test_find__filters__are_combined_and_ordered_by_name(store: GraphStore) -> None:
    column = node("bank.a.Amount_EUR", kind=NodeKind.COLUMN)
    shouting = node("bank.Z")
    put(store, A, B, shouting, column)
    put(store, C, source="other")
    store.set_tags([tag(B, "cards"), tag(column, "cards")])

    assert [n.qualified_name for n in store.find()] == ["bank.Z", "bank.a", "bank.a.Amount_EUR", "bank.b", "bank.c"]
    assert [n.qualified_name for n in store.find(limit=2, offset=1)] == ["bank.a", "bank.a.Amount_EUR"]
    assert names(store.find(text="AMOUNT_eur")) == {"bank.a.Amount_EUR"}
    assert names(store.find(text="nk.")) == {"bank.Z", "bank.a", "bank.a.Amount_EUR", "bank.b", "bank.c"}
    assert names(store.find(kind=NodeKind.TABLE, domain="cards")) == {"bank.b"}
    assert names(store.find(source="other")) == {"bank.c"}
    assert store.find(text="nothing like it") == []


@pytest.mark.parametrize("text", ["%", "_", "\\", "'", '"', "ünï"])
def test_find__special_characters__are_taken_literally(store: GraphStore, text: str) -> None:
    put(store, A, node(f"odd.{text}.name"))

    assert names(store.find(text=text.upper())) == {f"odd.{text}.name"}


def test_neighbours__depth_and_direction__bound_what_is_reached(store: GraphStore) -> None:
    put(store, A, B, C, D, AB, BC, CD)

    assert names(store.neighbours([B.id]).nodes) == {"bank.a", "bank.b", "bank.c"}
    assert names(store.neighbours([B.id], direction="out").nodes) == {"bank.b", "bank.c"}
    assert names(store.neighbours([B.id], direction="in").nodes) == {"bank.a", "bank.b"}
    assert names(store.neighbours([A.id], direction="out", depth=2).nodes) == {"bank.a", "bank.b", "bank.c"}
    reached = store.neighbours([A.id], direction="out", depth=3)
    assert names(reached.nodes) == {"bank.a", "bank.b", "bank.c", "bank.d"}
    assert {found.id for found in reached.edges} == {AB.id, BC.id, CD.id}


def test_neighbours__kinds_and_domain__filter_the_walk(store: GraphStore) -> None:
    put(store, A, B, C, D, AB, edge(A, C, EdgeKind.REFERENCES), edge(B, D))
    store.set_tags([tag(B, "cards"), tag(D, "loans")])

    assert names(store.neighbours([A.id], kinds=[EdgeKind.REFERENCES]).nodes) == {"bank.a", "bank.c"}
    assert names(store.neighbours([A.id], depth=3, domain="cards").nodes) == {"bank.a", "bank.b"}


def test_neighbours__limit__keeps_the_nearest_and_no_dangling_edge(store: GraphStore) -> None:
    put(store, A, B, C, D, AB, BC, CD)

    reached = store.neighbours([A.id], depth=3, limit=2)

    assert names(reached.nodes) == {"bank.a", "bank.b"}
    assert [found.id for found in reached.edges] == [AB.id]


def test_neighbours__cycle_and_unknown_ids__end(store: GraphStore) -> None:
    put(store, A, B, AB, edge(B, A), edge(A, A))

    reached = store.neighbours([A.id, "unknown"], depth=3)

    assert names(reached.nodes) == {"bank.a", "bank.b"}
    assert len(reached.edges) == 3
    assert store.neighbours(["unknown"]).nodes == []


@pytest.mark.parametrize("depth", [0, 4, -1])
def test_neighbours__depth_out_of_bounds__is_refused(store: GraphStore, depth: int) -> None:
    with pytest.raises(InvalidInput, match="steps"):
        store.neighbours([A.id], depth=depth)


def test_subgraph__edges_with_both_ends_in_the_domain__only_those(store: GraphStore) -> None:
    put(store, A, B, C, AB, BC)
    store.set_tags([tag(A, "cards", 0.9), tag(B, "cards", 0.6), tag(B, "cards", 0.7, "lineage"), tag(C, "loans")])

    found = store.subgraph("cards")

    assert sorted(n.qualified_name for n in found.nodes) == ["bank.a", "bank.b"]
    assert list(found.edges) == [AB]
    assert names(store.subgraph("cards", min_score=0.8).nodes) == {"bank.a"}
    assert store.subgraph("unknown").nodes == []


def test_streams__kinds__filter(store: GraphStore) -> None:
    column = node("bank.a.x", kind=NodeKind.COLUMN)
    put(store, A, B, column, AB, edge(A, column, EdgeKind.HAS))

    assert names(list(store.nodes(kinds=[NodeKind.COLUMN]))) == {"bank.a.x"}
    assert [found.kind for found in store.edges(kinds=[EdgeKind.HAS])] == [EdgeKind.HAS]
    assert len(list(store.nodes())) == 3
    assert len(list(store.edges())) == 2


def test_streams__more_than_one_batch__all_come_once(store: GraphStore) -> None:
    many = [node(f"bank.t{number}") for number in range(6_001)]
    put(store, *many)

    assert len({found.id for found in store.nodes()}) == 6_001


# ---- tags


def test_set_tags__again__replaces_all_but_the_manual_ones(store: GraphStore) -> None:
    put(store, A, B, AB)
    by_hand = tag(A, "treasury", 1.0, "manual")
    store.set_tags([tag(A, "cards", 0.9), tag(A, "cards", 0.4, "classifier"), tag(AB, "cards", 0.5)])
    store.set_manual_tag(by_hand, actor=ADA)
    carried = tag(B, "loans", 0.7, "lineage", cause=A.id)

    store.set_tags([carried, tag(B, "other", 1.0, "manual")])

    assert store.tags() == [by_hand, carried]
    assert store.tags([B.id]) == [carried]
    assert store.tags(domain="treasury") == [by_hand]


def test_tags__several__best_score_first(store: GraphStore) -> None:
    put(store, A, B, AB)
    tags = [tag(A, "cards", 0.2), tag(B, "cards", 0.8), tag(AB, "loans", 0.5)]
    store.set_tags(tags)

    assert [found.score for found in store.tags()] == [0.8, 0.5, 0.2]
    assert store.tags([]) == []
    assert store.stats().domains == {"cards": 2, "loans": 1}


def test_tags__of_a_tombstoned_element__are_not_shown(store: GraphStore) -> None:
    put(store, A, B)
    store.set_tags([tag(A, "cards"), tag(B, "cards")])
    put(store, A)

    assert [found.element_id for found in store.tags()] == [A.id]
    assert names(store.find(domain="cards")) == {"bank.a"}
    assert store.stats().domains == {"cards": 1}


def test_manual_tag__set_overwritten_and_removed__audited_each_time(store: GraphStore, audit: AuditTrail) -> None:
    put(store, A)
    store.set_manual_tag(tag(A, "cards", 0.5, "manual"), actor=ADA)
    store.set_manual_tag(tag(A, "cards", 1.0, "manual"), actor=ADA)
    store.remove_manual_tag(A.id, "cards", actor=ADA)
    store.remove_manual_tag(A.id, "cards", actor=ADA)

    assert store.tags() == []
    entries = audit.entries(subject=f"element:{A.id}")
    assert [entry.action for entry in entries] == ["tag.remove", "tag.set", "tag.set"]
    assert (entries[1].before["score"], entries[1].after["score"]) == (0.5, 1.0)
    assert (entries[0].actor, entries[0].reason) == ("cli:ada", "checked by hand")


def test_manual_tag__on_nothing_that_lives__is_refused(store: GraphStore, audit: AuditTrail) -> None:
    put(store, A, B)
    put(store, A)

    for missing in (B, C):
        with pytest.raises(NotFound, match=missing.id):
            store.set_manual_tag(tag(missing, "cards", 1.0, "manual"))

    assert audit.entries() == []


@pytest.mark.parametrize("wrong", [tag(A, "cards", 1.0, "keyword"), tag(A, "cards", 1.5, "manual")])
def test_manual_tag__not_manual_or_out_of_bounds__is_refused(store: GraphStore, wrong: Tag) -> None:
    put(store, A)

    with pytest.raises(InvalidInput):
        store.set_manual_tag(wrong)

    assert store.tags() == []


def test_stats__empty_store__counts_nothing(store: GraphStore) -> None:
    found = store.stats()

    assert (found.nodes, found.edges, found.domains) == ({}, {}, {})
