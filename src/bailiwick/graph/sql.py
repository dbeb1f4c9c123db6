"""The graph in the main database: the default store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, literal, or_, select
from sqlalchemy import update as sql_update

from bailiwick.clock import Clock
from bailiwick.errors import NotFound
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.graph.batch import Batch, dangling, prepare
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
from bailiwick.graph.rows import (
    EDGE_COLUMNS,
    NODE_COLUMNS,
    READ_EDGE_COLUMNS,
    READ_NODE_COLUMNS,
    TAG_COLUMNS,
    edge_of,
    edge_row,
    node_of,
    node_row,
    record_tag,
    tag_of,
    tag_row,
)
from bailiwick.graph.store import graph_edge, graph_node, graph_sighting, graph_tag
from bailiwick.graph.sync import Comparison, Removal, Sighting, Stored, compare, decide_removal
from bailiwick.graph.walk import walk
from bailiwick.storage.bulk import among, bulk_upsert
from bailiwick.storage.database import Database

_FETCH = 5_000
_READ_NODE = [graph_node.c[name] for name in READ_NODE_COLUMNS]
_READ_TAG = [graph_tag.c[name] for name in TAG_COLUMNS]
_READ_EDGE = [graph_edge.c[name] for name in READ_EDGE_COLUMNS]


class SqlGraphStore:
    """`GraphStore` on SQLite or PostgreSQL.

    Args:
        database: the main database.
        audit: where manual tags are recorded.
        clock: time of tombstones.
    """

    def __init__(self, database: Database, audit: AuditTrail, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

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
        with self._database.write(durable=False) as connection:
            self._one_writer(connection)
            if refusal := dangling(batch, self._living_nodes(connection, batch.leaned_on)):
                raise refusal
            comparison = self._compare(connection, source, batch)
            removal = decide_removal(
                comparison,
                self._witnesses(connection, source, comparison.missing_owned),
                complete=complete,
                max_removed_fraction=max_removed_fraction,
            )
            self._write_content(connection, source, batch, comparison)
            self._write_sightings(connection, source, comparison, removal)
            tombstoned = self._tombstone(connection, removal.tombstones)
            self._hand_over(connection, removal)
        return SyncReport(
            added=len(comparison.added),
            changed=len(comparison.changed),
            unchanged=comparison.unchanged,
            tombstoned=tombstoned,
            held_back=removal.held_back,
        )

    def _one_writer(self, connection: Connection) -> None:
        # SQLite has one writer anyway; on PostgreSQL two syncs must not decide on what the other is changing
        if self._database.dialect == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('graph'))")

    def _among(self, column: ColumnElement[str], values: Collection[str]) -> ColumnElement[bool]:
        return among(self._database.dialect, column, values)

    def _living_nodes(self, connection: Connection, ids: Collection[str]) -> Collection[str]:
        if not ids:
            return ()
        query = select(graph_node.c.id).where(self._among(graph_node.c.id, ids), graph_node.c.deleted_at.is_(None))
        return set(connection.execute(query).scalars().all())

    def _compare(self, connection: Connection, source: str, batch: Batch) -> Comparison:
        stored: dict[str, Stored] = {}
        for table, ids in ((graph_node, batch.nodes), (graph_edge, batch.edges)):
            columns = (table.c.id, table.c.source, table.c.content_hash, table.c.confidence, table.c.deleted_at)
            query = select(*columns).where(table.c.source == source)
            stored |= {row[0]: Stored(row[1], row[2], row[3], row[4] is None) for row in connection.execute(query)}
            others = [element_id for element_id in ids if element_id not in stored]
            if others and connection.execute(select(exists().where(table.c.source != source))).scalar_one():
                query = select(*columns).where(self._among(table.c.id, others))
                stored |= {row[0]: Stored(row[1], row[2], row[3], row[4] is None) for row in connection.execute(query)}
        sightings = select(graph_sighting.c.element_id, graph_sighting.c.confidence)
        found = connection.execute(sightings.where(graph_sighting.c.source == source))
        seen_before = {row[0]: row[1] for row in found}
        return compare(source, batch.given, stored, seen_before, batch.leaned_on)

    def _witnesses(self, connection: Connection, source: str, ids: Collection[str]) -> dict[str, list[Sighting]]:
        found: dict[str, list[Sighting]] = {}
        if ids:
            query = select(graph_sighting).where(
                self._among(graph_sighting.c.element_id, ids), graph_sighting.c.source != source
            )
            for row in connection.execute(query):
                found.setdefault(row.element_id, []).append(Sighting(row.source, row.confidence))
        return found

    def _write_content(self, connection: Connection, source: str, batch: Batch, comparison: Comparison) -> None:
        nodes, edges, texts, given = batch.nodes, batch.edges, batch.properties, batch.given
        # in the order of their ids, so that the index of the key grows at its end
        written = sorted(comparison.added + comparison.changed)
        node_rows = (node_row(nodes[i], source, texts[i], given[i].content_hash) for i in written if i in nodes)
        bulk_upsert(connection, graph_node, NODE_COLUMNS, node_rows)
        edge_rows = (edge_row(edges[i], source, texts[i], given[i].content_hash) for i in written if i in edges)
        bulk_upsert(connection, graph_edge, EDGE_COLUMNS, edge_rows)

    def _write_sightings(self, connection: Connection, source: str, comparison: Comparison, removal: Removal) -> None:
        rows = [(i, source, confidence) for i, confidence in comparison.sightings.items()]
        rows += [(i, former.source, former.confidence) for i, former in comparison.displaced.items()]
        bulk_upsert(connection, graph_sighting, ("element_id", "source", "confidence"), rows)
        # who owns an element is no mere witness of it
        self._forget(connection, source, [*removal.forgotten, *comparison.displaced])

    def _forget(self, connection: Connection, source: str, ids: Collection[str]) -> None:
        if ids:
            connection.execute(
                delete(graph_sighting).where(
                    graph_sighting.c.source == source, self._among(graph_sighting.c.element_id, ids)
                )
            )

    def _tombstone(self, connection: Connection, ids: Collection[str]) -> int:
        if not ids:
            return 0
        tombstoned = 0
        now = self._clock.now()
        attached = or_(*(self._among(graph_edge.c[name], ids) for name in ("id", "start_id", "end_id")))
        for table, condition in ((graph_edge, attached), (graph_node, self._among(graph_node.c.id, ids))):
            dead = sql_update(table).where(table.c.deleted_at.is_(None), condition).values(deleted_at=now)
            gone = connection.execute(dead.returning(table.c.id)).scalars().all()
            connection.execute(delete(graph_sighting).where(self._among(graph_sighting.c.element_id, gone)))
            tombstoned += len(gone)
        return tombstoned

    def _hand_over(self, connection: Connection, removal: Removal) -> None:
        for table in (graph_node, graph_edge):
            for element_id, heir in removal.handovers.items():
                # the heir's own content is not known here: hash 0 makes its next sync write it
                connection.execute(
                    sql_update(table)
                    .where(table.c.id == element_id)
                    .values(source=heir.source, confidence=heir.confidence, content_hash=0)
                )
        for element_id, heir in removal.handovers.items():
            self._forget(connection, heir.source, [element_id])

    def get(self, ids: Sequence[str]) -> Sequence[Node]:
        """See `GraphStore.get`."""
        with self._database.read() as connection:
            return self._nodes(connection, ids)

    def _nodes(self, connection: Connection, ids: Collection[str]) -> list[Node]:
        query = select(*_READ_NODE).where(self._among(graph_node.c.id, ids), graph_node.c.deleted_at.is_(None))
        return [node_of(row) for row in connection.execute(query)]

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
        query = select(*_READ_NODE).where(graph_node.c.deleted_at.is_(None))
        if kind is not None:
            query = query.where(graph_node.c.kind == kind.value)
        if text:
            query = query.where(graph_node.c.search_name.contains(text.casefold(), autoescape=True))
        if domain is not None:
            query = query.where(graph_node.c.id.in_(_tagged(domain)))
        if source is not None:
            query = query.where(graph_node.c.source == source)
        query = query.order_by(graph_node.c.qualified_name, graph_node.c.id).limit(limit).offset(offset)
        with self._database.read() as connection:
            return [node_of(row) for row in connection.execute(query)]

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
        with self._database.read() as connection:
            found, edges = walk(
                self._living_nodes(connection, ids),
                depth,
                limit,
                lambda frontier: self._edges_at(connection, frontier, direction, kinds),
                lambda reached: self._admitted(connection, reached, domain),
            )
            return Subgraph(nodes=self._nodes(connection, found), edges=edges)

    def _admitted(self, connection: Connection, ids: Collection[str], domain: str | None) -> Collection[str]:
        if domain is None:
            return ids
        tagged = _tagged(domain).where(self._among(graph_tag.c.element_id, ids))
        return {row[0] for row in connection.execute(tagged)}

    def _edges_at(
        self, connection: Connection, ids: Collection[str], direction: Direction, kinds: Sequence[EdgeKind]
    ) -> list[Edge]:
        found: dict[str, Edge] = {}
        # one query for each direction: an OR over two columns would use neither index
        for column, wanted in ((graph_edge.c.start_id, "out"), (graph_edge.c.end_id, "in")):
            if direction in (wanted, "both"):
                query = select(*_READ_EDGE).where(self._among(column, ids), graph_edge.c.deleted_at.is_(None))
                if kinds:
                    query = query.where(graph_edge.c.kind.in_([kind.value for kind in kinds]))
                found |= {row[0]: edge_of(row) for row in connection.execute(query)}
        return list(found.values())

    def subgraph(self, domain: str, *, min_score: float = 0.0) -> Subgraph:
        """See `GraphStore.subgraph`."""
        tagged = _tagged(domain, min_score)
        nodes = select(*_READ_NODE).where(graph_node.c.id.in_(tagged), graph_node.c.deleted_at.is_(None))
        edges = select(*_READ_EDGE).where(
            graph_edge.c.start_id.in_(tagged), graph_edge.c.end_id.in_(tagged), graph_edge.c.deleted_at.is_(None)
        )
        with self._database.read() as connection:
            return Subgraph(
                nodes=[node_of(row) for row in connection.execute(nodes)],
                edges=[edge_of(row) for row in connection.execute(edges)],
            )

    def nodes(self, *, kinds: Sequence[NodeKind] = ()) -> Iterator[Node]:
        """See `GraphStore.nodes`."""
        query = select(*_READ_NODE).where(graph_node.c.deleted_at.is_(None))
        if kinds:
            query = query.where(graph_node.c.kind.in_([kind.value for kind in kinds]))
        return (node_of(row) for row in self._stream(query))

    def edges(self, *, kinds: Sequence[EdgeKind] = ()) -> Iterator[Edge]:
        """See `GraphStore.edges`."""
        query = select(*_READ_EDGE).where(graph_edge.c.deleted_at.is_(None))
        if kinds:
            query = query.where(graph_edge.c.kind.in_([kind.value for kind in kinds]))
        return (edge_of(row) for row in self._stream(query))

    def _stream(self, query: Select[Any]) -> Iterator[Any]:
        with self._database.read() as connection:
            yield from connection.execution_options(yield_per=_FETCH).execute(query)

    def set_tags(self, tags: Iterable[Tag]) -> None:
        """See `GraphStore.set_tags`."""
        rows = {(tag.element_id, tag.domain, tag.method): tag_row(tag) for tag in tags if tag.method != MANUAL}
        with self._database.write(durable=False) as connection:
            self._one_writer(connection)
            connection.execute(delete(graph_tag).where(graph_tag.c.method != MANUAL))
            bulk_upsert(connection, graph_tag, TAG_COLUMNS, list(rows.values()))

    def set_manual_tag(self, tag: Tag, *, actor: Actor = SYSTEM) -> None:
        """See `GraphStore.set_manual_tag`."""
        check_manual(tag)
        with self._database.write() as connection:
            if not connection.execute(select(_alive(literal(tag.element_id)))).scalar_one():
                raise NotFound(f"no living node or edge has the id {tag.element_id!r}", what="element_id")
            before = self._manual_tag(connection, tag.element_id, tag.domain)
            bulk_upsert(connection, graph_tag, TAG_COLUMNS, [tag_row(tag)])
            record_tag(self._audit, connection, actor, "tag.set", before=before, after=tag)

    def remove_manual_tag(self, element_id: str, domain: str, *, actor: Actor = SYSTEM) -> None:
        """See `GraphStore.remove_manual_tag`."""
        with self._database.write() as connection:
            before = self._manual_tag(connection, element_id, domain)
            if before is not None:
                connection.execute(
                    delete(graph_tag).where(
                        graph_tag.c.element_id == element_id,
                        graph_tag.c.domain == domain,
                        graph_tag.c.method == MANUAL,
                    )
                )
                record_tag(self._audit, connection, actor, "tag.remove", before=before, after=None)

    def _manual_tag(self, connection: Connection, element_id: str, domain: str) -> Tag | None:
        query = select(*_READ_TAG).where(
            graph_tag.c.element_id == element_id, graph_tag.c.domain == domain, graph_tag.c.method == MANUAL
        )
        row = connection.execute(query).one_or_none()
        return None if row is None else tag_of(row)

    def tags(self, element_ids: Sequence[str] | None = None, *, domain: str | None = None) -> Sequence[Tag]:
        """See `GraphStore.tags`."""
        query = select(*_READ_TAG).where(_alive(graph_tag.c.element_id))
        if element_ids is not None:
            query = query.where(self._among(graph_tag.c.element_id, element_ids))
        if domain is not None:
            query = query.where(graph_tag.c.domain == domain)
        order = (graph_tag.c.score.desc(), graph_tag.c.domain, graph_tag.c.element_id, graph_tag.c.method)
        with self._database.read() as connection:
            return [tag_of(row) for row in connection.execute(query.order_by(*order))]

    def stats(self) -> GraphStats:
        """See `GraphStore.stats`."""
        tagged = func.count(graph_tag.c.element_id.distinct())
        domains = select(graph_tag.c.domain, tagged).where(_alive(graph_tag.c.element_id)).group_by(graph_tag.c.domain)
        with self._database.read() as connection:
            counts = [
                {row[0]: row[1] for row in connection.execute(query)}
                for query in (
                    *(
                        select(table.c.kind, func.count()).where(table.c.deleted_at.is_(None)).group_by(table.c.kind)
                        for table in (graph_node, graph_edge)
                    ),
                    domains,
                )
            ]
        return GraphStats(*(dict(sorted(found.items())) for found in counts))

    def close(self) -> None:
        """Nothing to give back: the connections belong to the main database."""


def _tagged(domain: str, min_score: float = 0.0) -> Select[str]:
    return select(graph_tag.c.element_id).where(graph_tag.c.domain == domain, graph_tag.c.score >= min_score)


def _alive(element_id: ColumnElement[str]) -> ColumnElement[bool]:
    node = exists().where(graph_node.c.id == element_id, graph_node.c.deleted_at.is_(None))
    edge = exists().where(graph_edge.c.id == element_id, graph_edge.c.deleted_at.is_(None))
    return or_(node, edge)
