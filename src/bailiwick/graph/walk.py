"""The walk from some nodes to their neighbourhood: pure, over whatever a store answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from bailiwick.graph.model import Edge


def walk(
    start: Collection[str],
    depth: int,
    limit: int,
    edges_at: Callable[[Collection[str]], Iterable[Edge]],
    admitted: Callable[[Collection[str]], Collection[str]],
) -> tuple[list[str], list[Edge]]:
    """Breadth first: the ids of at most ``limit`` nodes, the nearest first, and the edges walked between them.

    Args:
        start: ids of living nodes.
        depth: steps.
        limit: of nodes; within one step the smallest ids are kept, so that every store answers alike.
        edges_at: the edges to follow from these nodes.
        admitted: which of the reached nodes may be entered.
    """
    found = dict.fromkeys(sorted(start)[:limit])
    walked: dict[str, Edge] = {}
    frontier = list(found)
    for _ in range(depth):
        if not frontier:
            break
        edges = list(edges_at(frontier))
        reached = {end for edge in edges for end in (edge.start, edge.end)} - found.keys()
        frontier = sorted(admitted(reached))[: limit - len(found)] if reached else []
        found |= dict.fromkeys(frontier)
        walked |= {edge.id: edge for edge in edges if edge.start in found and edge.end in found}
    return list(found), list(walked.values())
