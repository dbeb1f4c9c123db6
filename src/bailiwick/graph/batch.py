"""What a source gives, checked and encoded once, before any store is touched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bailiwick.errors import InvalidInput
from bailiwick.graph.content import edge_hash, node_hash, properties_text
from bailiwick.graph.model import Edge, Node
from bailiwick.graph.sync import Given


@dataclass(slots=True)
class Batch:
    """The elements of one sync by id, with their JSON text and what `sync.compare` needs of them.

    Args:
        ends: every node id that an edge names.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[str, Edge] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    given: dict[str, Given] = field(default_factory=dict)
    ends: set[str] = field(default_factory=set)

    @property
    def leaned_on(self) -> set[str]:
        """Nodes that edges name without the source giving them."""
        return self.ends - self.nodes.keys()


def prepare(nodes: Iterable[Node], edges: Iterable[Edge]) -> Batch:
    """Read the iterables to their end. Of elements with one id the surest stays, among equals the first.

    Raises:
        InvalidInput: an element holds what cannot be stored.
    """
    batch = Batch()
    for node in nodes:
        known = batch.given.get(node.id)
        if known is None or node.provenance.confidence > known.confidence:
            text = properties_text(node.properties)
            if "\0" in node.qualified_name or "\0" in node.name:
                raise _nul(node.id, node.provenance.file)
            batch.nodes[node.id] = node
            batch.properties[node.id] = text
            batch.given[node.id] = Given(node_hash(node, text), node.provenance.confidence)
    for edge in edges:
        known = batch.given.get(edge.id)
        if known is None or edge.provenance.confidence > known.confidence:
            text = properties_text(edge.properties)
            if "\0" in edge.role:
                raise _nul(edge.id, edge.provenance.file)
            batch.edges[edge.id] = edge
            batch.properties[edge.id] = text
            batch.given[edge.id] = Given(edge_hash(edge, text), edge.provenance.confidence)
            batch.ends.add(edge.start)
            batch.ends.add(edge.end)
    return batch


def dangling(batch: Batch, living: Iterable[str]) -> InvalidInput | None:
    """The refusal of edges that name nodes which are neither given nor alive in the store, or None.

    Args:
        batch: what is given.
        living: those of ``batch.leaned_on`` that the store has alive.
    """
    missing = batch.leaned_on - set(living)
    if not missing:
        return None
    edges = [edge for edge in batch.edges.values() if edge.start in missing or edge.end in missing]
    first = edges[0]
    absent = first.start if first.start in missing else first.end
    return InvalidInput(
        f"{len(edges)} edge(s) name nodes that do not exist; the first: {first.kind.value} edge {first.id!r} "
        f"names node {absent!r}",
        what="edges",
        where=_place(first.provenance.file, first.provenance.line),
        remedy="give the node in the same sync, or sync the source that has it first",
    )


def _place(file: str, line: int | None) -> str:
    return file if line is None else f"{file}:{line}"


def _nul(element_id: str, file: str) -> InvalidInput:
    return InvalidInput(f"element {element_id!r} has a NUL character in its name or role", what="element", where=file)
