"""Finding one asset by what people call it, and following what flows into and out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bailiwick.errors import InvalidInput, NotFound
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, node_id
from bailiwick.graph.ports import Direction, GraphStore, Subgraph, check_depth

# Data and control flow from the start of these edges to their end ...
FORWARD = (EdgeKind.DERIVES, EdgeKind.WRITES, EdgeKind.PRECEDES, EdgeKind.RAISES, EdgeKind.RUNS)
# ... and from the end of these to their start: a statement that reads a table is downstream of it.
BACKWARD = (EdgeKind.READS, EdgeKind.AWAITS)

Flow = Literal["upstream", "downstream"]


def resolve(store: GraphStore, reference: str) -> Node:
    """The one node meant by an id, a qualified name, or ``kind:qualified name`` where kinds share a name.

    Raises:
        NotFound: nothing of that name lives.
        InvalidInput: several kinds have an asset of that name.
    """
    kind, _, rest = reference.partition(":")
    candidates = [node_id(each, reference) for each in NodeKind]
    if kind in set(NodeKind) and rest:
        candidates.append(node_id(NodeKind(kind), rest))
    found = store.get([reference, *candidates])
    if not found:
        near = [node.qualified_name for node in store.find(text=reference, limit=5)]
        raise NotFound(
            f"the graph has no asset {reference!r}",
            what="node",
            requested=reference,
            remedy=f"did you mean {', '.join(near)}?" if near else "see `bailiwick graph find`",
        )
    if len(found) > 1:
        names = sorted(f"{node.kind.value}:{node.qualified_name}" for node in found)
        raise InvalidInput(f"{reference!r} names several assets", what="node", allowed=names, remedy="say which kind")
    return found[0]


def flow_of(edge: Edge) -> tuple[str, str] | None:
    """From which node to which an edge lets data or control flow; None for edges that carry nothing."""
    if edge.kind in FORWARD:
        return edge.start, edge.end
    return (edge.end, edge.start) if edge.kind in BACKWARD else None


def lineage(store: GraphStore, start: str, flow: Flow, *, depth: int = 1, limit: int = 1_000) -> Subgraph:
    """What flows into a node (``upstream``) or out of it (``downstream``), the node itself included.

    Args:
        store: where to look.
        start: a node's id.
        flow: which way to follow.
        depth: steps, 1 to 3.
        limit: of nodes, the nearest first.

    Raises:
        InvalidInput: depth outside 1 to 3.
    """
    check_depth(depth)
    ways: Sequence[tuple[Direction, tuple[EdgeKind, ...]]] = (
        (("out", FORWARD), ("in", BACKWARD)) if flow == "downstream" else (("in", FORWARD), ("out", BACKWARD))
    )
    nodes = {node.id: node for node in store.get([start])}
    edges: dict[str, Edge] = {}
    frontier = list(nodes)
    for _ in range(depth):
        reached: dict[str, Node] = {}
        for direction, kinds in ways:
            step = store.neighbours(frontier, direction=direction, kinds=kinds, limit=limit)
            reached |= {node.id: node for node in step.nodes if node.id not in nodes}
            edges |= {edge.id: edge for edge in step.edges}
        frontier = sorted(reached)[: max(0, limit - len(nodes))]
        nodes |= {element_id: reached[element_id] for element_id in frontier}
        if not frontier:
            break
    inside = [edge for edge in edges.values() if edge.start in nodes and edge.end in nodes]
    return Subgraph(nodes=list(nodes.values()), edges=inside)
