from __future__ import annotations

from itertools import pairwise

import pytest

from bailiwick.detection.propagate import FLOOR, agreed, propagate
from bailiwick.graph.model import Edge, EdgeKind, NodeKind, Provenance, edge_id

T, C, S, D = NodeKind.TABLE, NodeKind.COLUMN, NodeKind.STATEMENT, NodeKind.DATABASE


def edge(kind: EdgeKind, start: str, end: str, confidence: float = 1.0) -> Edge:
    return Edge(edge_id(kind, start, end), kind, start, end, "files", Provenance("f", 1, "p", "r", confidence))


def test_propagate__downstream__decays_with_each_step() -> None:
    edges = [edge(EdgeKind.DERIVES, "a", "b"), edge(EdgeKind.DERIVES, "b", "c")]
    found = propagate({"a": {"cards": 1.0}}, edges, {"a": T, "b": T, "c": T})
    assert found["b"]["cards"].score == pytest.approx(0.8)
    assert found["c"]["cards"].score == pytest.approx(0.64)
    assert found["c"]["cards"].cause == "a"
    assert "a" not in found


def test_propagate__hops__are_bounded() -> None:
    names = [f"t{n}" for n in range(9)]
    edges = [edge(EdgeKind.DERIVES, a, b) for a, b in pairwise(names)]
    found = propagate({"t0": {"cards": 1.0}}, edges, dict.fromkeys(names, T), hops=3)
    assert sorted(found) == ["t1", "t2", "t3"]


def test_propagate__statement__between_what_it_reads_and_writes() -> None:
    edges = [edge(EdgeKind.READS, "s", "source"), edge(EdgeKind.WRITES, "s", "target")]
    found = propagate({"source": {"cards": 1.0}}, edges, {"s": S, "source": T, "target": T})
    assert found["s"]["cards"].score > found["target"]["cards"].score > FLOOR


def test_propagate__two_readers_of_a_shared_table__stay_apart() -> None:
    edges = [edge(EdgeKind.READS, "cards_report", "calendar"), edge(EdgeKind.READS, "loans_report", "calendar")]
    kinds = {"cards_report": S, "loans_report": S, "calendar": T}
    found = propagate({"cards_report": {"cards": 1.0}}, edges, kinds)
    assert "calendar" in found
    assert "loans_report" not in found


def test_propagate__table_to_columns_and_column_to_table__but_not_to_sisters() -> None:
    edges = [edge(EdgeKind.HAS, "t", "c1"), edge(EdgeKind.HAS, "t", "c2")]
    kinds = {"t": T, "c1": C, "c2": C}
    from_table = propagate({"t": {"cards": 1.0}}, edges, kinds)
    assert from_table["c1"]["cards"].score == pytest.approx(0.9)
    from_column = propagate({"c1": {"cards": 1.0}}, edges, kinds)
    assert from_column["t"]["cards"].score == pytest.approx(0.6)
    assert "c2" not in from_column


def test_propagate__database__passes_nothing_to_its_tables() -> None:
    edges = [edge(EdgeKind.HAS, "db", "t")]
    assert propagate({"db": {"cards": 1.0}}, edges, {"db": D, "t": T}) == {}


def test_propagate__uncertain_edge__carries_less() -> None:
    kinds = {"a": T, "b": T}
    found = propagate({"a": {"cards": 1.0}}, [edge(EdgeKind.DERIVES, "a", "b", 0.5)], kinds)
    assert found["b"]["cards"].score == pytest.approx(0.4)


def test_propagate__several_ways__strongest_counts() -> None:
    edges = [edge(EdgeKind.DERIVES, "a", "c"), edge(EdgeKind.DERIVES, "b", "c")]
    found = propagate({"a": {"x": 0.5}, "b": {"x": 1.0}}, edges, {"a": T, "b": T, "c": T})
    assert (found["c"]["x"].score, found["c"]["x"].cause) == (pytest.approx(0.8), "b")


def test_propagate__closed_node__takes_nothing_and_passes_its_own_on() -> None:
    edges = [edge(EdgeKind.DERIVES, "a", "b"), edge(EdgeKind.DERIVES, "b", "c")]
    own = {"a": {"cards": 1.0}, "b": {"loans": 1.0}}
    found = propagate(own, edges, {"a": T, "b": T, "c": T}, closed={"b"})
    assert "b" not in found
    assert set(found["c"]) == {"loans"}


def test_propagate__node_with_a_stronger_own_tag__neither_takes_nor_passes_on() -> None:
    edges = [edge(EdgeKind.DERIVES, "account", "card"), edge(EdgeKind.DERIVES, "card", "report")]
    kinds = {"account": T, "card": T, "report": T}
    found = propagate({"account": {"accounts": 1.0}, "card": {"cards": 0.9}}, edges, kinds)
    assert "card" not in found
    assert set(found["report"]) == {"cards"}
    weak = propagate({"account": {"accounts": 1.0}, "card": {"cards": 0.55}}, edges, kinds)
    assert set(weak["card"]) == {"accounts"}


def test_propagate__many_domains__keeps_the_strongest() -> None:
    own = {f"t{n}": {f"d{n}": 0.5 + n / 20} for n in range(6)}
    edges = [edge(EdgeKind.DERIVES, name, "shared") for name in own]
    found = propagate(own, edges, {**dict.fromkeys(own, T), "shared": T})
    assert sorted(found["shared"]) == ["d3", "d4", "d5"]


def test_propagate__edges_to_nowhere_and_loops__are_passed_over() -> None:
    edges = [edge(EdgeKind.DERIVES, "a", "gone"), edge(EdgeKind.DERIVES, "a", "a"), edge(EdgeKind.PRECEDES, "a", "b")]
    assert propagate({"a": {"x": 1.0}, "gone": {"x": 1.0}}, edges, {"a": T, "b": T}) == {}


def test_agreed__nothing_in_common__empty() -> None:
    assert agreed({"a": 1.0}, {"b": 1.0}) == {}
    assert agreed({}, {"b": 1.0}) == {}


def test_propagate__more_domains_than_an_element_may_have__only_those_that_stand_out() -> None:
    edges = [edge(EdgeKind.HAS, "f", f"s{n}") for n in range(5)]
    kinds = {"f": NodeKind.FILE, **{f"s{n}": S for n in range(5)}}
    alike = {f"s{n}": {f"d{n}": 0.9 + n / 100} for n in range(5)}
    assert propagate(alike, edges, kinds)["f"] == {}
    two_stand_out = {**alike, "s2": {"d2": 0.6}, "s3": {"d3": 0.61}, "s4": {"d4": 0.62}}
    assert set(propagate(two_stand_out, edges, kinds)["f"]) == {"d0", "d1"}
    three = {node: alike[node] for node in ("s0", "s1", "s2")}
    assert set(propagate(three, edges, kinds)["f"]) == {"d0", "d1", "d2"}
