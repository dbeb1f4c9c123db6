"""From what the files said to one graph: names are settled, pieces merged, identifiers and provenance given. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Final

import xxhash

from bailiwick.extraction.foreign_keys import infer_foreign_keys
from bailiwick.extraction.job_flow import awaited_in_vain, precedence, runs
from bailiwick.extraction.model import FileFacts, LineageFact, Outcome, StatementOutcome, TableFact, merge_tables
from bailiwick.extraction.namespace import Namespace
from bailiwick.extraction.plain import storable
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Provenance, edge_id, node_id

MENTIONED: Final = 0.5
"""Confidence of a table or column that is used, but that no file defines."""

_CONFIDENCE = {Outcome.PARSED: 1.0, Outcome.FALLBACK: 0.6, Outcome.ERROR: 0.3, Outcome.TIMEOUT: 0.3}
_NOT_STATEMENTS = frozenset({"job", "json_table", "json_record", "file"})
_UNSTORED_STATISTICS = frozenset({"sketch"})


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of the estate, read or only listed. ``facts`` is None where no reader knows it."""

    name: str
    kind: str
    size: int
    content_sha256: str = ""
    facts: FileFacts | None = None

    @property
    def folder(self) -> str:
        """Name of the folder that it lies in."""
        return str(PurePosixPath(self.name).parent)


@dataclass(frozen=True, slots=True)
class Assembled:
    """The graph of a run, and its tables for whoever needs them whole."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    tables: Mapping[str, TableFact]


@dataclass
class _Graph:
    """Nodes and edges by id. Of two sightings the surer one stays; the first wins a tie."""

    source: str
    run: str
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[str, Edge] = field(default_factory=dict)
    sayings: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def node(self, kind: NodeKind, name: str, qualified: str, seen: Provenance, properties: Mapping[str, Any]) -> str:
        identifier = node_id(kind, qualified)
        self.take_node(Node(identifier, kind, name, qualified, "", seen, properties))
        return identifier

    def take_node(self, node: Node) -> None:
        known = self.nodes.get(node.id)
        if known is None or known.provenance.confidence < node.provenance.confidence:
            owned = replace(
                node,
                name=storable(node.name),
                qualified_name=storable(node.qualified_name),
                source=self.source,
                provenance=replace(node.provenance, run=self.run),
                properties=storable(node.properties),
            )
            self.nodes[node.id] = owned

    def edge(
        self,
        kind: EdgeKind,
        start: str,
        end: str,
        seen: Provenance,
        role: str = "",
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        identifier = edge_id(kind, start, end, role)
        self.take_edge(Edge(identifier, kind, start, end, "", seen, role, properties or {}))

    def flow(self, start: str, end: str, seen: Provenance, transformation: str, statement: str) -> None:
        """Data flows, as a statement says. Each statement that says the same has an edge of its own, with its place."""
        sayings = self.sayings[edge_id(EdgeKind.DERIVES, start, end, transformation)]
        if start == end or statement in sayings:
            return
        sayings.add(statement)
        role = transformation if len(sayings) == 1 else f"{transformation}#{len(sayings)}"
        self.edge(EdgeKind.DERIVES, start, end, seen, role, {"statement": statement, "transformation": transformation})

    def take_edge(self, edge: Edge) -> None:
        known = self.edges.get(edge.id)
        if known is None or known.provenance.confidence < edge.provenance.confidence:
            seen = replace(edge.provenance, run=self.run)
            self.edges[edge.id] = replace(
                edge, source=self.source, provenance=seen, properties=storable(edge.properties)
            )


def namespace_of(files: Iterable[FileEntry]) -> Namespace:
    """What table names mean, from the definitions of all files."""
    return Namespace((file.folder, table) for file in files if file.facts for table in file.facts.tables)


def assemble(files: Sequence[FileEntry], *, source: str, run: str) -> Assembled:
    """One graph from all files.

    DERIVES edges point the way the data flows: from the column (or table) that is read to the one that is filled; the
    role is the transformation, numbered from the second statement on that says the same. REFERENCES edges point from
    the referring column to the key.

    Args:
        files: every file of the estate, sorted by name.
        source: owner of every element.
        run: the extraction run, for provenance.
    """
    graph = _Graph(source, run)
    _add_files(graph, files)
    tables = _Tables(graph, files)
    for file in files:
        if file.facts is not None:
            _add_statements(graph, tables, file, file.facts)
    _add_jobs(graph, files)
    return Assembled(tuple(graph.nodes.values()), tuple(graph.edges.values()), tables.merged)


def _add_files(graph: _Graph, files: Sequence[FileEntry]) -> None:
    for file in files:
        path = PurePosixPath(file.name)
        properties: dict[str, Any] = {"kind": file.kind}
        if file.content_sha256:
            properties["sha256"] = file.content_sha256
        elif file.facts is None:
            properties["bytes"] = file.size
        if file.facts is not None and file.facts.dialect:
            properties["dialect"] = file.facts.dialect
        child = graph.node(NodeKind.FILE, path.name, file.name, _listed(file.name), properties)
        for folder in path.parents:
            if str(folder) in {".", "/"}:
                break
            known = node_id(NodeKind.FOLDER, str(folder)) in graph.nodes
            parent = graph.node(NodeKind.FOLDER, folder.name, str(folder), _listed(str(folder)), {})
            graph.edge(EdgeKind.HAS, parent, child, _listed(file.name if child != parent else str(folder)))
            if known:
                break
            child = parent


class _Tables:
    """The tables of a run: their nodes, and where names lead."""

    def __init__(self, graph: _Graph, files: Sequence[FileEntry]) -> None:
        self._graph = graph
        self._namespace = namespace_of(files)
        pieces: dict[str, list[tuple[FileEntry, TableFact, float]]] = defaultdict(list)
        for file in files:
            for table in file.facts.tables if file.facts else ():
                sure = self._namespace.resolve(table.name, file.folder)[1]
                renamed = table.renamed(self._namespace.within(file.folder))
                pieces[renamed.name].append((file, renamed, sure))
        self.merged = merge_tables(table for found in pieces.values() for _, table, _ in found)
        for name, keys in infer_foreign_keys(self.merged).items():
            self.merged[name] = replace(self.merged[name], foreign_keys=(*self.merged[name].foreign_keys, *keys))
        self._columns = {name: {column.name for column in table.columns} for name, table in self.merged.items()}
        for name, found in pieces.items():
            self._add(name, found)
        for name, found in pieces.items():
            self._add_keys(self.merged[name], found)

    def resolve(self, name: str, folder: str) -> tuple[str, float]:
        """The qualified name, and how sure we are."""
        return self._namespace.resolve(name, folder)

    def id(self, name: str, mention: Provenance) -> str:
        """Node id of a table; one that nobody defines gets a node of its own, as a mention."""
        table = self.merged.get(name)
        kind = table.kind if table else NodeKind.TABLE
        identifier = node_id(kind, name)
        if table is None:
            self._table(kind, name, replace(mention, confidence=min(MENTIONED, mention.confidence)), {"defined": False})
        return identifier

    def column(self, table: str, column: str, mention: Provenance) -> str:
        """Node id of a column, mentioned into being where no file declares it."""
        qualified = f"{table}.{column}"
        if column not in self._columns.get(table, ()):
            seen = replace(mention, confidence=min(MENTIONED, mention.confidence))
            owner = self.id(table, mention)
            identifier = self._graph.node(NodeKind.COLUMN, column, qualified, seen, {"defined": False})
            self._graph.edge(EdgeKind.HAS, owner, identifier, seen)
        return node_id(NodeKind.COLUMN, qualified)

    def _table(self, kind: NodeKind, name: str, seen: Provenance, properties: Mapping[str, Any]) -> str:
        database, _, short = name.rpartition(".")
        identifier = self._graph.node(kind, short, name, seen, properties)
        if database:
            owner = self._graph.node(NodeKind.DATABASE, database.rpartition(".")[2], database, _nowhere(seen), {})
            self._graph.edge(EdgeKind.HAS, owner, identifier, seen)
        return identifier

    def _add(self, name: str, found: Sequence[tuple[FileEntry, TableFact, float]]) -> None:
        table = self.merged[name]
        file, best, _ = max(found, key=lambda piece: (piece[1].defines, piece[1].confidence, bool(piece[1].columns)))
        confidence = best.confidence if best.defines else min(best.confidence, MENTIONED)
        seen = Provenance(file.name, best.line, best.parser, "", confidence)
        properties = {key: value for key, value in table.properties.items() if value not in (None, "", [], {})}
        identifier = self._table(
            table.kind, name, seen, properties if table.defines else {**properties, "defined": False}
        )
        for piece_file, piece, sure in found:
            if piece.defines:
                held = Provenance(piece_file.name, piece.line, piece.parser, "", piece.confidence * sure)
                self._graph.edge(EdgeKind.HAS, node_id(NodeKind.FILE, piece_file.name), identifier, held, "defines")
        for column in table.columns:
            described: dict[str, Any] = {
                "type": column.type,
                "nullable": column.nullable,
                "comment": column.comment,
                "default": column.default,
                "partition": column.partition or None,
                "primary_key": column.primary_key or None,
                "ordinal": column.ordinal,
                **{key: value for key, value in column.statistics.items() if key not in _UNSTORED_STATISTICS},
            }
            held_properties = {key: value for key, value in described.items() if value is not None}
            child = self._graph.node(NodeKind.COLUMN, column.name, f"{name}.{column.name}", seen, held_properties)
            self._graph.edge(EdgeKind.HAS, identifier, child, seen)

    def _add_keys(self, table: TableFact, found: Sequence[tuple[FileEntry, TableFact, float]]) -> None:
        declared_in = {
            key: (file, piece, key.line or piece.line)
            for file, piece, _ in reversed(found)
            for key in piece.foreign_keys
        }
        for key in table.foreign_keys:
            file, piece, line = declared_in.get(key, (found[0][0], found[0][1], found[0][1].line))
            parser = "foreign-keys" if key.inferred else piece.parser
            seen = Provenance(file.name, line, parser, "", key.confidence)
            target = self.merged.get(key.table)
            primary = tuple(column.name for column in target.columns if column.primary_key) if target else ()
            references = key.references or primary
            if len(references) != len(key.columns):
                references = key.columns  # an undeclared or unknown key: the usual case is a column of the same name
                seen = replace(seen, confidence=min(seen.confidence, MENTIONED))
            for position, (mine, theirs) in enumerate(zip(key.columns, references, strict=True)):
                properties: dict[str, Any] = {"inferred": key.inferred}
                if key.name:
                    properties["constraint"] = key.name
                if len(key.columns) > 1:
                    properties["position"] = position
                start = self.column(table.name, mine, seen)
                end = self.column(key.table, theirs, seen)
                if start != end:
                    self._graph.edge(EdgeKind.REFERENCES, start, end, seen, "", properties)


def _add_statements(graph: _Graph, tables: _Tables, file: FileEntry, facts: FileFacts) -> None:
    owner = node_id(NodeKind.FILE, file.name)
    ids: dict[int, str] = {}
    used: Counter[str] = Counter()
    places: dict[int, Provenance] = {}
    for outcome in facts.outcomes:
        if outcome.kind in _NOT_STATEMENTS:
            continue
        seen = Provenance(file.name, outcome.line, outcome.parser, "", _CONFIDENCE[outcome.outcome])
        qualified = _statement_name(file.name, outcome, used)
        identifier = graph.node(NodeKind.STATEMENT, _title(outcome), qualified, seen, _statement_properties(outcome))
        ids[outcome.index], places[outcome.index] = identifier, seen
        graph.edge(EdgeKind.HAS, owner, identifier, seen)
        for kind, names in ((EdgeKind.READS, outcome.reads), (EdgeKind.WRITES, outcome.writes)):
            for name in names:
                meant, sure = tables.resolve(name, file.folder)
                held = replace(seen, confidence=seen.confidence * sure)
                graph.edge(kind, identifier, tables.id(meant, held), held)
    for fact in facts.lineage:
        seen = places.get(fact.statement_index, Provenance(file.name, None, "", ""))
        if not fact.target_table:  # the result of a query belongs to the statement, not to a table
            _add_result(fact, file, tables, seen, ids.get(fact.statement_index), graph)
            continue
        target, sure_target = tables.resolve(fact.target_table, file.folder)
        origin, sure_origin = tables.resolve(fact.source_table, file.folder)
        held = replace(seen, confidence=round(fact.confidence * min(sure_target, sure_origin), 4))
        statement = ids.get(fact.statement_index, "")
        graph.flow(tables.id(origin, held), tables.id(target, held), held, "table", statement)
        if fact.target_column is not None and fact.source_column is not None:
            start = tables.column(origin, fact.source_column, held)
            end = tables.column(target, fact.target_column, held)
            graph.flow(start, end, held, fact.transformation, statement)


def _add_result(
    fact: LineageFact, file: FileEntry, tables: _Tables, seen: Provenance, statement: str | None, graph: _Graph
) -> None:
    if statement is None or fact.source_column is None:
        return
    origin, sure = tables.resolve(fact.source_table, file.folder)
    held = replace(seen, confidence=round(fact.confidence * sure, 4))
    column = tables.column(origin, fact.source_column, held)
    properties = {"statement": statement, "transformation": fact.transformation, "result_column": fact.target_column}
    graph.edge(EdgeKind.DERIVES, column, statement, held, f"{fact.target_column}:{fact.transformation}", properties)


def _statement_name(file: str, outcome: StatementOutcome, used: Counter[str]) -> str:
    """By text, not by position: a statement keeps its identity when another is put before it."""
    content = f"{outcome.kind}\0{outcome.text}".encode("utf-8", "replace")
    base = f"{file}#{xxhash.xxh3_64_hexdigest(content)}"
    used[base] += 1
    return base if used[base] == 1 else f"{base}-{used[base]}"


def _title(outcome: StatementOutcome) -> str:
    about = (outcome.writes or outcome.reads or ("",))[0]
    return f"{outcome.kind.replace('_', ' ')} {about}".strip()


def _statement_properties(outcome: StatementOutcome) -> dict[str, Any]:
    properties: dict[str, Any] = {"kind": outcome.kind, "outcome": outcome.outcome.value, "text": outcome.text}
    if outcome.message:
        properties["message"] = outcome.message
    if outcome.columns_total:
        properties |= {"columns_resolved": outcome.columns_resolved, "columns_total": outcome.columns_total}
    return properties


def _add_jobs(graph: _Graph, files: Sequence[FileEntry]) -> None:
    nodes = {node.id: node for file in files if file.facts for node in reversed(file.facts.nodes)}
    edges = {edge.id: edge for file in files if file.facts for edge in reversed(file.facts.edges)}
    if not nodes:
        return
    in_vain = awaited_in_vain(edges.values())
    held = {edge.end for edge in edges.values() if edge.kind is EdgeKind.HAS}
    for node in nodes.values():
        noted = {"never_raised": True} if node.id in in_vain else {}
        graph.take_node(replace(node, properties={**node.properties, **noted}))
        if node.kind is not NodeKind.CONDITION and node.id not in held:
            graph.edge(EdgeKind.HAS, node_id(NodeKind.FILE, node.provenance.file), node.id, node.provenance)
    for edge in edges.values():
        graph.take_edge(edge)
    for edge in precedence(list(nodes.values()), list(edges.values())):
        graph.take_edge(edge)
    jobs = [node for node in nodes.values() if node.kind is NodeKind.JOB]
    for edge in runs(jobs, {file.name: node_id(NodeKind.FILE, file.name) for file in files}):
        graph.take_edge(edge)


def _listed(name: str) -> Provenance:
    return Provenance(name, None, "walk", "")


def _nowhere(seen: Provenance) -> Provenance:
    """A database is only ever seen through its tables; it has no place of its own, so none changes it."""
    return Provenance("", None, "namespace", "", 1.0 if seen.confidence > MENTIONED else MENTIONED)
