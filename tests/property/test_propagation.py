"""What must hold of carried tags in every graph."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bailiwick.detection.propagate import FLOOR, Carried, propagate
from bailiwick.graph.model import Edge, EdgeKind, NodeKind, Provenance, edge_id

NAMES = [f"n{number}" for number in range(8)]
CARRYING = [EdgeKind.DERIVES, EdgeKind.READS, EdgeKind.WRITES, EdgeKind.HAS, EdgeKind.REFERENCES, EdgeKind.RUNS]
KINDS = st.fixed_dictionaries({name: st.sampled_from(list(NodeKind)) for name in NAMES})
SCORES = st.floats(0.05, 1.0)
OWN = st.dictionaries(st.sampled_from(NAMES), st.dictionaries(st.sampled_from("xyz"), SCORES, max_size=2), max_size=5)


@st.composite
def edges(draw: st.DrawFn) -> list[Edge]:
    triples = st.tuples(st.sampled_from(CARRYING), st.sampled_from(NAMES), st.sampled_from(NAMES), st.floats(0, 1))
    return [
        Edge(edge_id(kind, start, end), kind, start, end, "files", Provenance("f", 1, "p", "r", sure))
        for kind, start, end, sure in draw(st.lists(triples, max_size=20))
    ]


def scores(found: dict[str, dict[str, Carried]]) -> dict[tuple[str, str], float]:
    return {(node, domain): one.score for node, tags in found.items() for domain, one in tags.items()}


@given(OWN, edges(), KINDS)
@settings(max_examples=150, deadline=None)
def test_propagate__any_graph__never_above_its_cause_and_never_amplified(
    own: dict[str, dict[str, float]], edges: list[Edge], kinds: dict[str, NodeKind]
) -> None:
    found = propagate(own, edges, kinds)
    for node, tags in found.items():
        for domain, one in tags.items():
            assert FLOOR <= one.score < own[one.cause][domain] + 1e-6
            assert one.score > max(own.get(node, {}).values(), default=0.0) - 1e-6
            assert one.cause != node


@given(OWN, edges(), KINDS, st.integers(0, 4))
@settings(max_examples=100, deadline=None)
def test_propagate__more_hops__never_take_a_tag_away(
    own: dict[str, dict[str, float]], edges: list[Edge], kinds: dict[str, NodeKind], hops: int
) -> None:
    fewer = scores(propagate(own, edges, kinds, hops=hops, most_domains=99))
    more = scores(propagate(own, edges, kinds, hops=hops + 1, most_domains=99))
    assert all(more.get(key, 0.0) >= score for key, score in fewer.items())


@given(OWN, edges(), KINDS, st.sampled_from("xyz"))
@settings(max_examples=100, deadline=None)
def test_propagate__cause_removed__its_tags_are_gone_and_no_other(
    own: dict[str, dict[str, float]], edges: list[Edge], kinds: dict[str, NodeKind], gone: str
) -> None:
    left = {node: {d: s for d, s in tags.items() if d != gone} for node, tags in own.items()}
    before = scores(propagate(own, edges, kinds, most_domains=99))
    after = scores(propagate(left, edges, kinds, most_domains=99))
    assert not any(domain == gone for _, domain in after)
    # What it stood in the way of may now be taken; nothing else is lost.
    assert all(after[key] >= score for key, score in before.items() if key[1] != gone)


@given(OWN, edges(), KINDS, st.sets(st.sampled_from(NAMES)))
@settings(max_examples=100, deadline=None)
def test_propagate__closed_nodes__take_nothing(
    own: dict[str, dict[str, float]], edges: list[Edge], kinds: dict[str, NodeKind], closed: set[str]
) -> None:
    assert not propagate(own, edges, kinds, closed=closed).keys() & closed


@given(OWN, edges(), KINDS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_propagate__order_of_edges__does_not_matter(
    own: dict[str, dict[str, float]], edges: list[Edge], kinds: dict[str, NodeKind], shuffler: object
) -> None:
    other = list(edges)
    shuffler.shuffle(other)  # type: ignore[attr-defined]
    assert scores(propagate(own, other, kinds)) == scores(propagate(own, edges, kinds))
