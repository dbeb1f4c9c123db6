"""Training rows from the tagged graph: statements, names and descriptions, labelled by their domain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bailiwick.datasets.model import Row
from bailiwick.datasets.readers import MAX_FIELD_CHARACTERS, Read
from bailiwick.errors import InvalidInput
from bailiwick.graph.model import Node, NodeKind
from bailiwick.graph.ports import GraphStore

_TEXT_PROPERTIES = ("text", "sql", "statement", "comment", "description")
_NODES_PER_READ = 1_000


@dataclass(frozen=True, slots=True)
class GraphSelection:
    """What to take from the graph.

    Args:
        model_domain: whose model the rows train; their labels are the domains that they are tagged with.
        domains: the labels wanted; empty: all.
        kinds: of the nodes.
        min_score: of the tag, 0 to 1; manual tags have 1.
    """

    model_domain: str
    domains: tuple[str, ...] = ()
    kinds: tuple[NodeKind, ...] = (NodeKind.STATEMENT, NodeKind.TABLE, NodeKind.VIEW, NodeKind.COLUMN)
    min_score: float = 0.5


def rows_from_graph(graph: GraphStore, selection: GraphSelection) -> Iterator[Read]:
    """One row per selected node, labelled with its best tag; the file that it was read from is its unit.

    Raises:
        InvalidInput: no node is selected.
    """
    best: dict[str, tuple[float, str]] = {}
    for tag in graph.tags():
        if tag.score < selection.min_score or (selection.domains and tag.domain not in selection.domains):
            continue
        score = 2.0 if tag.method == "manual" else tag.score  # what a person said outweighs any estimate
        if tag.element_id not in best or score > best[tag.element_id][0]:
            best[tag.element_id] = (score, tag.domain)
    ids = sorted(best)
    empty = True
    for begin in range(0, len(ids), _NODES_PER_READ):
        for node in sorted(graph.get(ids[begin : begin + _NODES_PER_READ]), key=lambda node: node.id):
            if node.kind in selection.kinds:
                empty = False
                row = Row(_text(node), best[node.id][1], selection.model_domain, unit=node.provenance.file)
                yield Read(row, f"{node.provenance.file}:{node.provenance.line or 0}")
    if empty:
        raise InvalidInput(
            "no tagged element of the graph is selected",
            what="selection",
            requested=[selection.domains, [str(kind) for kind in selection.kinds], selection.min_score],
            remedy="run `bailiwick detect` first, or lower the score",
        )


def _text(node: Node) -> str:
    written = [value for key in _TEXT_PROPERTIES if isinstance(value := node.properties.get(key), str)]
    words = node.qualified_name if node.kind is not NodeKind.STATEMENT else ""
    return " ".join([words, *written]).strip()[:MAX_FIELD_CHARACTERS]
