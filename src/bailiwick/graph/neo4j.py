"""The graph on a Neo4j server, or any other that speaks Bolt and plain Cypher."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from bailiwick.clock import Clock
from bailiwick.errors import NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.graph import cypher
from bailiwick.graph.batch import Batch, dangling, prepare
from bailiwick.graph.bolt import BoltServer, Work
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Tag
from bailiwick.graph.ports import (
    MANUAL,
    SYSTEM,
    Direction,
    GraphStats,
    Subgraph,
    SyncReport,
    check_depth,
    check_manual,
)
from bailiwick.graph.rows import edge_of, edge_row, node_of, node_row, record_tag, tag_of
from bailiwick.graph.sync import Comparison, Removal, Sighting, Stored, compare, decide_removal
from bailiwick.graph.walk import walk
from bailiwick.storage.database import Database


class Neo4jGraphStore:
    """`GraphStore` over Bolt. Only the audit entries of manual tags stand in the main database.

    Args:
        server: where the graph is.
        database: the main database.
        audit: where manual tags are recorded.
        clock: time of tombstones.
    """

    def __init__(self, server: BoltServer, database: Database, audit: AuditTrail, clock: Clock) -> None:
        self._server = server
        self._database = database
        self._audit = audit
        self._clock = clock
        server.apply_schema(cypher.SCHEMA)

    def sync_source(
        self,
        source: str,
        nodes: Iterable[Node],
        edges: Iterable[Edge],
        *,
        complete: bool,
        max_removed_fraction: float = 0.5,
    ) -> SyncReport:
        """See `GraphStore.sync_source`."""
        batch = prepare(nodes, edges)

        def unit(work: Work) -> SyncReport:
            sync = _Sync(work, source, batch, self._clock.now().isoformat())
            return sync.run(complete=complete, max_removed_fraction=max_removed_fraction)

        return self._server.write(unit)

    def get(self, ids: Sequence[str]) -> Sequence[Node]:
        """See `GraphStore.get`."""
        return self._server.read(lambda work: _nodes(work, ids))

    def find(
        self,
        *,
        kind: NodeKind | None = None,
        text: str | None = None,
        domain: str | None = None,
        source: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Sequence[Node]:
        """See `GraphStore.find`."""
        matches = ["MATCH (n:Asset)"]
        if domain is not None:
            tagged = "MATCH (t:AssetTag {domain: $domain}) WITH DISTINCT t.element_id AS id"
            matches = [tagged, "MATCH (n:Asset {id: id})"]
        conditions = ["n.deleted_at IS NULL"]
        if kind is not None:
            conditions.append("n.kind = $kind")
        if text:
            conditions.append("n.search_name CONTAINS $text")
        if source is not None:
            conditions.append("n.source = $source")
        query = " ".join(
            [
                *matches,
                f"WHERE {' AND '.join(conditions)}",
                cypher.NODE,
                "ORDER BY qualified_name, id SKIP $offset LIMIT $limit",
            ]
        )
        parameters = {
            "kind": None if kind is None else kind.value,
            "text": (text or "").casefold(),
            "domain": domain,
            "source": source,
            "limit": limit,
            "offset": offset,
        }
        return self._server.read(lambda work: [node_of(row) for row in work.run(query, **parameters)])

    def neighbours(
        self,
        ids: Sequence[str],
        *,
        depth: int = 1,
        direction: Direction = "both",
        kinds: Sequence[EdgeKind] = (),
        domain: str | None = None,
        limit: int = 10_000,
    ) -> Subgraph:
        """See `GraphStore.neighbours`."""
        check_depth(depth)
        queries = {"out": [cypher.EDGES_OUT], "in": [cypher.EDGES_IN], "both": [cypher.EDGES_OUT, cypher.EDGES_IN]}

        def unit(work: Work) -> Subgraph:
            def edges_at(frontier: Collection[str]) -> list[Edge]:
                rows = [row for query in queries[direction] for row in work.each(query, frontier)]
                return [edge for edge in map(edge_of, rows) if not kinds or edge.kind in kinds]

            def admitted(reached: Collection[str]) -> Collection[str]:
                if domain is None:
                    return reached
                return [row[0] for row in work.each(cypher.TAGGED_AMONG, reached, domain=domain)]

            start = {row[0] for row in work.each(cypher.LIVING_IDS, ids)}
            found, edges = walk(start, depth, limit, edges_at, admitted)
            return Subgraph(nodes=_nodes(work, found), edges=edges)

        return self._server.read(unit)

    def subgraph(self, domain: str, *, min_score: float = 0.0) -> Subgraph:
        """See `GraphStore.subgraph`."""

        def unit(work: Work) -> Subgraph:
            tagged = [row[0] for row in work.run(cypher.TAGGED, domain=domain, min_score=min_score)]
            nodes = _nodes(work, tagged)
            inside = {node.id for node in nodes}
            edges = [edge_of(row) for row in work.each(cypher.EDGES_OUT, inside)]
            return Subgraph(nodes=nodes, edges=[edge for edge in edges if edge.end in inside])

        return self._server.read(unit)

    def nodes(self, *, kinds: Sequence[NodeKind] = ()) -> Iterator[Node]:
        """See `GraphStore.nodes`."""
        wanted = "AND n.kind IN $kinds " if kinds else ""
        query = f"MATCH (n:Asset) WHERE n.deleted_at IS NULL {wanted}{cypher.NODE}"
        return (node_of(row) for row in self._server.stream(query, kinds=[kind.value for kind in kinds]))

    def edges(self, *, kinds: Sequence[EdgeKind] = ()) -> Iterator[Edge]:
        """See `GraphStore.edges`."""
        wanted = "AND r.kind IN $kinds " if kinds else ""
        query = f"MATCH (a:Asset)-[r]->(b:Asset) WHERE r.deleted_at IS NULL {wanted}{cypher.EDGE}"
        return (edge_of(row) for row in self._server.stream(query, kinds=[kind.value for kind in kinds]))

    def set_tags(self, tags: Iterable[Tag]) -> None:
        """See `GraphStore.set_tags`."""
        wanted = {cypher.tag_key(tag.element_id, tag.domain, tag.method): tag for tag in tags if tag.method != MANUAL}

        def unit(work: Work) -> None:
            work.do(cypher.LOCK)
            present = [tag_of(row) for row in work.run(cypher.AUTOMATIC_TAGS)]
            stored = {cypher.tag_key(tag.element_id, tag.domain, tag.method): tag for tag in present}
            work.each(cypher.DROP_TAGS, [key for key in stored if key not in wanted])
            changed = [tag for key, tag in wanted.items() if stored.get(key) != tag]
            work.each(cypher.PUT_TAGS, map(cypher.tag_values, changed))

        self._server.write(unit)

    def set_manual_tag(self, tag: Tag, *, actor: Actor = SYSTEM) -> None:
        """See `GraphStore.set_manual_tag`."""
        check_manual(tag)

        def unit(work: Work) -> Tag | None:
            work.do(cypher.LOCK)
            if not _living(work, [tag.element_id]):
                raise NotFound(f"no living node or edge has the id {tag.element_id!r}", what="element_id")
            before = _manual_tag(work, tag.element_id, tag.domain)
            work.each(cypher.PUT_TAGS, [cypher.tag_values(tag)])
            return before

        # the main database commits last: a tag without an entry needs a crash between the two commits,
        # an entry without its tag cannot be
        with self._database.write() as connection:
            before = self._server.write(unit)
            record_tag(self._audit, connection, actor, "tag.set", before=before, after=tag)

    def remove_manual_tag(self, element_id: str, domain: str, *, actor: Actor = SYSTEM) -> None:
        """See `GraphStore.remove_manual_tag`."""

        def unit(work: Work) -> Tag | None:
            work.do(cypher.LOCK)
            before = _manual_tag(work, element_id, domain)
            work.each(cypher.DROP_TAGS, [cypher.tag_key(element_id, domain, MANUAL)])
            return before

        with self._database.write() as connection:
            before = self._server.write(unit)
            if before is not None:
                record_tag(self._audit, connection, actor, "tag.remove", before=before, after=None)

    def tags(self, element_ids: Sequence[str] | None = None, *, domain: str | None = None) -> Sequence[Tag]:
        """See `GraphStore.tags`."""

        def unit(work: Work) -> list[Tag]:
            if element_ids is not None:
                query = f"UNWIND $rows AS id MATCH (t:AssetTag {{element_id: id}}) {cypher.TAG}"
                found = [tag_of(row) for row in work.each(query, dict.fromkeys(element_ids))]
            else:
                found = [tag_of(row) for row in work.run(f"MATCH (t:AssetTag) {cypher.TAG}")]
            found = [tag for tag in found if domain in (None, tag.domain)]
            living = _living(work, {tag.element_id for tag in found})
            return [tag for tag in found if tag.element_id in living]

        return sorted(self._server.read(unit), key=lambda tag: (-tag.score, tag.domain, tag.element_id, tag.method))

    def stats(self) -> GraphStats:
        """See `GraphStore.stats`."""
        tagged: dict[str, set[str]] = {}
        for tag in self.tags():
            tagged.setdefault(tag.domain, set()).add(tag.element_id)
        nodes, edges = self._server.read(
            lambda work: [dict(sorted(work.run(query))) for query in (cypher.COUNT_NODES, cypher.COUNT_EDGES)]
        )
        return GraphStats(nodes, edges, {domain: len(ids) for domain, ids in sorted(tagged.items())})

    def close(self) -> None:
        """Close the connections to the server."""
        self._server.close()


class _Sync:
    """One sync inside one transaction."""

    def __init__(self, work: Work, source: str, batch: Batch, now: str) -> None:
        self._work = work
        self._source = source
        self._batch = batch
        self._now = now
        self._ends: dict[str, dict[str, Any]] = {}  # where the stored relations are, by id

    def run(self, *, complete: bool, max_removed_fraction: float) -> SyncReport:
        work, batch = self._work, self._batch
        work.do(cypher.LOCK)
        if refusal := dangling(batch, [row[0] for row in work.each(cypher.LIVING_IDS, batch.leaned_on)]):
            raise refusal
        stored = self._stored_nodes() | self._stored_edges()
        seen_before = {row[0]: row[1] for row in work.run(cypher.SIGHTINGS_OF_SOURCE, source=self._source)}
        comparison = compare(self._source, batch.given, stored, seen_before, batch.leaned_on)
        removal = decide_removal(
            comparison,
            self._witnesses(comparison.missing_owned),
            complete=complete,
            max_removed_fraction=max_removed_fraction,
        )
        self._write_nodes(comparison, stored.keys())
        self._write_edges(comparison)
        self._write_sightings(comparison, removal)
        tombstoned = self._tombstone(removal.tombstones)
        self._hand_over(removal)
        return SyncReport(
            added=len(comparison.added),
            changed=len(comparison.changed),
            unchanged=comparison.unchanged,
            tombstoned=tombstoned,
            held_back=removal.held_back,
        )

    def _stored_nodes(self) -> dict[str, Stored]:
        stored = {row[0]: _stored(row) for row in self._work.run(cypher.NODES_OF_SOURCE, source=self._source)}
        others = [element_id for element_id in self._batch.nodes if element_id not in stored]
        return stored | {row[0]: _stored(row) for row in self._work.each(cypher.NODES_OF_OTHERS, others)}

    def _stored_edges(self) -> dict[str, Stored]:
        rows = list(self._work.run(cypher.EDGES_OF_SOURCE, source=self._source))
        if any(True for _ in self._work.run(cypher.OTHER_SOURCE, source=self._source)):
            owned = {row[0] for row in rows}
            others = [
                {"id": edge.id, "start": edge.start, "end": edge.end}
                for edge in self._batch.edges.values()
                if edge.id not in owned
            ]
            rows += self._work.each(cypher.EDGES_OF_OTHERS, others)
        self._ends = {row[0]: {"id": row[0], "start": row[5], "end": row[6]} for row in rows}
        return {row[0]: _stored(row) for row in rows}

    def _witnesses(self, ids: Collection[str]) -> dict[str, list[Sighting]]:
        found: dict[str, list[Sighting]] = {}
        for element_id, source, confidence in self._work.each(cypher.SIGHTINGS_OF_ELEMENTS, ids, source=self._source):
            found.setdefault(element_id, []).append(Sighting(source, confidence))
        return found

    def _write_nodes(self, comparison: Comparison, stored: Collection[str]) -> None:
        batch = self._batch
        created: dict[NodeKind, list[dict[str, Any]]] = {}
        replaced: list[dict[str, Any]] = []
        for element_id in (*comparison.added, *comparison.changed):
            if node := batch.nodes.get(element_id):
                row = node_row(node, self._source, batch.properties[node.id], batch.given[node.id].content_hash)
                target = replaced if node.id in stored else created.setdefault(node.kind, [])
                target.append({"id": node.id, "values": cypher.node_values(row, node.properties)})
        for kind, rows in created.items():
            self._work.each(cypher.create_nodes(kind), rows)
        self._work.each(cypher.REPLACE_NODES, replaced)

    def _write_edges(self, comparison: Comparison) -> None:
        batch = self._batch
        created: dict[EdgeKind, list[dict[str, Any]]] = {}
        replaced: list[dict[str, Any]] = []
        for element_id in (*comparison.added, *comparison.changed):
            if edge := batch.edges.get(element_id):
                row = edge_row(edge, self._source, batch.properties[edge.id], batch.given[edge.id].content_hash)
                values = cypher.edge_values(row, edge.properties)
                target = replaced if edge.id in self._ends else created.setdefault(edge.kind, [])
                target.append({"id": edge.id, "start": edge.start, "end": edge.end, "values": values})
        for kind, rows in created.items():
            self._work.each(cypher.create_edges(kind), rows)
        self._work.each(cypher.REPLACE_EDGES, replaced)

    def _write_sightings(self, comparison: Comparison, removal: Removal) -> None:
        seen = [(i, Sighting(self._source, confidence)) for i, confidence in comparison.sightings.items()]
        rows = [
            {
                "key": cypher.sighting_key(element_id, sighting.source),
                "element_id": element_id,
                "source": sighting.source,
                "confidence": sighting.confidence,
            }
            for element_id, sighting in (*seen, *comparison.displaced.items())
        ]
        self._work.each(cypher.PUT_SIGHTINGS, rows)
        # who owns an element is no mere witness of it
        gone = [cypher.sighting_key(i, self._source) for i in (*removal.forgotten, *comparison.displaced)]
        self._work.each(cypher.DROP_SIGHTINGS, gone)

    def _tombstone(self, ids: Collection[str]) -> int:
        if not ids:
            return 0
        dead = {"deleted_at": self._now}
        nodes = [element_id for element_id in ids if element_id not in self._ends]
        edges = [element_id for element_id in ids if element_id in self._ends]
        self._work.each(cypher.UPDATE_EDGES, ({**self._ends[i], "values": dead} for i in edges))
        attached = self._work.each(cypher.EDGES_AT_NODES, nodes, now=self._now)
        self._work.each(cypher.UPDATE_NODES, ({"id": i, "values": dead} for i in nodes))
        gone = {*ids, *(row[0] for row in attached)}
        self._work.each(cypher.DROP_ALL_SIGHTINGS, gone)
        return len(gone)

    def _hand_over(self, removal: Removal) -> None:
        rows = [
            # the heir's own content is not known here: hash 0 makes its next sync write it
            {
                **self._ends.get(i, {"id": i}),
                "values": {"source": heir.source, "confidence": heir.confidence, "content_hash": 0},
            }
            for i, heir in removal.handovers.items()
        ]
        self._work.each(cypher.UPDATE_NODES, [row for row in rows if "start" not in row])
        self._work.each(cypher.UPDATE_EDGES, [row for row in rows if "start" in row])
        keys = [cypher.sighting_key(i, heir.source) for i, heir in removal.handovers.items()]
        self._work.each(cypher.DROP_SIGHTINGS, keys)


def _stored(row: Sequence[Any]) -> Stored:
    return Stored(source=row[1], content_hash=row[2], confidence=row[3], alive=row[4] is None)


def _nodes(work: Work, ids: Iterable[str]) -> list[Node]:
    return [node_of(row) for row in work.each(cypher.NODES_BY_ID, dict.fromkeys(ids))]


def _living(work: Work, ids: Collection[str]) -> set[str]:
    """Which of these nodes and relations live. Relations have no index over their ids: they cost a scan."""
    nodes = {row[0] for row in work.each(cypher.LIVING_IDS, ids)}
    others = [element_id for element_id in ids if element_id not in nodes]
    edges = work.run(cypher.LIVING_EDGE_IDS, ids=others) if others else ()
    return nodes | {row[0] for row in edges}


def _manual_tag(work: Work, element_id: str, domain: str) -> Tag | None:
    query = f"MATCH (t:AssetTag {{key: $key}}) {cypher.TAG}"
    rows = list(work.run(query, key=cypher.tag_key(element_id, domain, MANUAL)))
    return tag_of(rows[0]) if rows else None
