from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from bailiwick.clock import VirtualClock
from bailiwick.detection.service import DetectionService, DomainsFrom
from bailiwick.domains.catalogue import Catalogue
from bailiwick.domains.model import CatalogueVersion, Domain, Example
from bailiwick.errors import InvalidInput, NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Provenance, Tag, edge_id, node_id
from bailiwick.graph.sql import SqlGraphStore
from bailiwick.models.model import LabelledText
from bailiwick.storage.database import Database

ADA = Actor("cli:ada", reason="test")
SEEN = Provenance("a.sql", 1, "sql", "run")


def node(kind: NodeKind, name: str, **properties: str) -> Node:
    return Node(node_id(kind, name), kind, name.rsplit(".", 1)[-1], name, "files", SEEN, properties)


def edge(kind: EdgeKind, start: Node, end: Node) -> Edge:
    return Edge(edge_id(kind, start.id, end.id), kind, start.id, end.id, "files", SEEN)


CARD = node(NodeKind.TABLE, "core.card")
PAN = node(NodeKind.COLUMN, "core.card.pan_hash")
REPORT = node(NodeKind.TABLE, "rep.daily")
LOAD = node(NodeKind.STATEMENT, "load.sql#1", text="insert into rep.daily select * from core.x")
OTHER = node(NodeKind.TABLE, "core.weather")
NODES = [CARD, PAN, REPORT, LOAD, OTHER]
EDGES = [edge(EdgeKind.HAS, CARD, PAN), edge(EdgeKind.READS, LOAD, CARD), edge(EdgeKind.WRITES, LOAD, REPORT)]


class Estate:
    """A service over a stored graph, and domains that the test may change."""

    def __init__(self, database: Database, clock: VirtualClock, domains: Mapping[str, Domain]) -> None:
        self.audit = AuditTrail(database, clock)
        self.graph = SqlGraphStore(database, self.audit, clock)
        self.graph.sync_source("files", NODES, EDGES, complete=True)
        self.domains = dict(domains)
        self.changes = 0
        self.service = DetectionService(database, self.audit, clock, lambda: self.graph, self._now, seed=7)

    def _now(self) -> DomainsFrom:
        return DomainsFrom(Catalogue(CatalogueVersion("test", self.changes), self.domains))

    def change(self, domain: Domain) -> None:
        self.domains[domain.id] = domain
        self.changes += 1

    def tags(self, element: Node | Edge) -> dict[str, str]:
        return {tag.domain: tag.method for tag in self.graph.tags([element.id])}


@pytest.fixture
def estate(database: Database, clock: VirtualClock, domains: Mapping[str, Domain]) -> Estate:
    return Estate(database, clock, domains)


Make = Callable[[Mapping[str, Domain]], Estate]
Examples = Mapping[str, Sequence[LabelledText]]


@pytest.fixture
def make(sqlite_database: Database, clock: VirtualClock) -> Make:
    return lambda domains: Estate(sqlite_database, clock, domains)


def test_detect_graph__tags_assets_relations_and_carries_along_lineage(estate: Estate) -> None:
    report = estate.service.detect_graph(ADA)
    assert estate.tags(CARD) == {"cards": "keyword"}
    assert estate.tags(PAN) == {"cards": "lineage"}
    assert estate.tags(LOAD) == {"cards": "lineage"}
    assert estate.tags(REPORT) == {"cards": "lineage"}
    assert estate.tags(OTHER) == {}
    assert all(estate.tags(each) == {"cards": "lineage"} for each in EDGES)
    assert (report.nodes, report.tagged_nodes, report.edges, report.tagged_edges) == (5, 4, 3, 3)
    assert report.abstained == pytest.approx(0.2)
    assert report.domains[0].by_kind["table"] == 2
    assert report.domains[0].examples[0] == "core.card"
    carried = estate.graph.tags([REPORT.id])[0]
    assert (carried.cause, carried.agent_id, carried.run) == (CARD.id, "cards-agent", report.run)


def test_detect_graph__keyword_removed__its_tags_are_gone(estate: Estate) -> None:
    estate.service.detect_graph(ADA)
    estate.change(replace(estate.domains["cards"], id="cards", name="", keywords=("nothing such",)))
    estate.domains["plastic"] = replace(estate.domains.pop("cards"), id="plastic")
    report = estate.service.detect_graph(ADA)
    assert report.tagged_nodes == 0
    assert estate.graph.tags() == []


def test_detect_graph__manual_tag__wins_and_is_carried(estate: Estate) -> None:
    estate.graph.set_manual_tag(Tag(CARD.id, "loans", "loans-agent", 1.0, "manual", "by-hand"), actor=ADA)
    estate.service.detect_graph(ADA)
    assert estate.tags(CARD) == {"loans": "manual"}
    assert estate.tags(PAN) == {"loans": "lineage"}
    estate.graph.remove_manual_tag(CARD.id, "loans", actor=ADA)
    estate.service.detect_graph(ADA)
    assert estate.tags(CARD) == {"cards": "keyword"}
    assert estate.tags(PAN) == {"cards": "lineage"}


def test_detect_graph__twice__same_tags_but_for_the_run(estate: Estate) -> None:
    def seen() -> list[tuple[str, str, float, str]]:
        return sorted((tag.element_id, tag.domain, tag.score, tag.method) for tag in estate.graph.tags())

    estate.service.detect_graph(ADA)
    before = seen()
    estate.service.detect_graph(ADA)
    assert seen() == before != []


def test_detect_graph__no_domain__changes_nothing(estate: Estate) -> None:
    estate.service.detect_graph(ADA)
    estate.domains.clear()
    with pytest.raises(InvalidInput, match="no domain is active"):
        estate.service.detect_graph(ADA)
    assert estate.tags(CARD) == {"cards": "keyword"}


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_detect_graph__bad_threshold__is_refused(estate: Estate, threshold: float) -> None:
    with pytest.raises(InvalidInput):
        estate.service.detect_graph(ADA, threshold=threshold)


def test_report__latest_and_by_run__as_returned(estate: Estate) -> None:
    with pytest.raises(NotFound):
        estate.service.report()
    first, second = estate.service.detect_graph(ADA), estate.service.detect_graph(ADA, threshold=0.9)
    assert estate.service.report() == second
    assert estate.service.report(first.run) == first
    with pytest.raises(NotFound):
        estate.service.report("detection-nowhere")
    actions = [entry.action for entry in estate.audit.entries()]
    assert actions.count("graph.detect") == 2


def test_learn__stored_and_current__across_services(
    estate: Estate, database: Database, clock: VirtualClock, examples: Examples
) -> None:
    assert estate.service.revision() == 0
    report = estate.service.learn(examples, ADA)
    assert (report.changed, report.revision, estate.service.revision()) == (True, 1, 1)
    assert estate.service.learn(examples, ADA) == replace(report, changed=False)
    other = DetectionService(database, estate.audit, clock, lambda: estate.graph, estate._now, seed=7)
    detector = other.current()
    assert detector is not None
    assert detector.revision == 1
    assert detector.detect("repay the whole debt").domain == "loans"
    entry = estate.audit.entries(subject="detector:1")[0]
    assert (entry.action, entry.actor) == ("detector.learn", "cli:ada")


def test_learn__again__only_the_newest_states_are_kept(make: Make) -> None:
    few = {name: [LabelledText(f"{name} {n}", "") for n in range(4)] for name in ("cards", "loans")}
    estate = make({name: Domain(name, name, "a") for name in few})
    for _ in range(5):
        report = estate.service.learn(few, ADA, again=True)
    assert report.revision == estate.service.revision() == 5
    assert estate.service.current() is not None


def test_learn__bad_examples__change_nothing(make: Make, domains: Mapping[str, Domain]) -> None:
    estate = make(domains)
    with pytest.raises(InvalidInput, match="'nowhere'"):
        estate.service.learn({"nowhere": [LabelledText("x", "")]}, ADA)
    with pytest.raises(InvalidInput, match="no examples"):
        estate.service.learn({}, ADA)
    assert estate.service.revision() == 0


def test_learn_own__follows_the_examples_of_domains(
    make: Make,
    domains: Mapping[str, Domain],
    examples: Examples,
) -> None:
    estate = make(domains)
    assert estate.service.learn_own(ADA) is None
    for name in ("cards", "loans"):
        own = tuple(Example(each.text, each.label) for each in examples[name][:8])
        estate.change(replace(estate.domains[name], examples=own))
    report = estate.service.learn_own(ADA)
    assert report is not None
    assert report.examples == {"cards": 8, "loans": 8}
    assert estate.service.learn_own(ADA) is None
    for name in ("cards", "loans"):
        estate.change(replace(estate.domains[name], examples=()))
    report = estate.service.learn_own(ADA)
    assert report is not None
    assert report.examples == {}
    detector = estate.service.current()
    assert detector is not None
    assert detector.learned is not None
    assert (detector.learned.classifier, detector.learned.words) == (None, {})
    assert estate.service.learn_own(ADA) is None
    assert estate.service.revision() == 2


def test_learn_own__after_given_examples__learns_again_with_them_or_leaves_all_as_it_is(
    make: Make,
    domains: Mapping[str, Domain],
    examples: Examples,
) -> None:
    estate = make(domains)
    own = (Example("the carousel of my suitcase", "odd"), *(Example(f"suitcase {n}", "odd") for n in range(5)))
    estate.change(replace(estate.domains["cards"], examples=own))
    estate.service.learn(examples, ADA, origin="queries")
    with_own = estate.service.learn(examples, ADA, origin="queries").examples["cards"]
    estate.change(replace(estate.domains["cards"], examples=()))

    def lost(origin: str) -> Examples:
        raise NotFound(f"no data set {origin!r}", what="dataset", requested=origin)

    assert estate.service.learn_own(ADA) is None
    assert estate.service.learn_own(ADA, given=lost) is None
    asked: list[str] = []

    def given(origin: str) -> Examples:
        asked.append(origin)
        return {**examples, "archived": [LabelledText("of a domain that is no more", "")]}

    report = estate.service.learn_own(ADA, given=given)
    assert report is not None
    assert (asked, report.examples["cards"]) == (["queries"], with_own - len(own))
    assert "archived" not in report.examples
    assert estate.service.learn_own(ADA, given=given) is None


def test_current__domain_changed__new_detector_else_the_same(estate: Estate) -> None:
    first = estate.service.current()
    assert first is not None
    assert first.detect("crypto wallet").domain is None
    estate.change(Domain("crypto", "Crypto", "a", keywords=("wallet",)))
    second = estate.service.current()
    assert second is not None
    assert second.detect("crypto wallet").domain == "crypto"
    estate.domains.clear()
    estate.changes += 1
    assert estate.service.current() is None


def test_explain_asset__says_tags_and_causes(estate: Estate) -> None:
    estate.service.detect_graph(ADA)
    found = estate.service.explain_asset("rep.daily")
    assert [(tag.domain, tag.method, tag.carried_from) for tag in found.tags] == [("cards", "lineage", "core.card")]
    assert found.own.detection.domain is None
    own = estate.service.explain_asset("core.card")
    assert own.text.split() == ["card", "core", "pan", "hash"]
    with pytest.raises(NotFound, match="no asset"):
        estate.service.explain_asset("core.nothing")
