"""How assets look in a terminal: lines, tables and lineage trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
from rich.markup import escape
from rich.tree import Tree

from bailiwick.cli.console import out, print_table
from bailiwick.graph.lineage import Flow, flow_of
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Tag
from bailiwick.graph.ports import Subgraph

_MOST_CHILDREN = 40


def node_view(node: Node, domains: Sequence[str]) -> dict[str, Any]:
    """A node as JSON, with the domains that tag it."""
    return {**asdict(node), "domains": list(domains)}


def node_line(node: Node) -> str:
    """A node in one line of markup; statements by their title and place, for their names are hashes."""
    if node.kind is NodeKind.STATEMENT:
        return f"[dim]statement[/] {escape(node.name)} [dim]{escape(place_of(node))}[/]"
    return f"[dim]{node.kind.value}[/] {escape(node.qualified_name)}"


def place_of(node: Node) -> str:
    """Where a node was seen, as ``file:line``."""
    seen = node.provenance
    return seen.file if seen.line is None else f"{seen.file}:{seen.line}"


def print_node(
    node: Node,
    parts: Sequence[Node],
    upstream: Subgraph,
    downstream: Subgraph,
    references: Subgraph,
    tags: Sequence[Tag],
) -> None:
    """Print everything about one node."""
    seen = node.provenance
    out.print(f"[bold]{escape(node.qualified_name)}[/] ({node.kind.value})")
    out.print(f"  id      {node.id}")
    out.print(f"  seen    {escape(place_of(node))} by {escape(seen.parser)}, confidence {seen.confidence:.2f}")
    out.print(f"  source  {escape(node.source)}, run {escape(seen.run)}")
    for name, value in sorted(node.properties.items()):
        if value not in (None, "", [], {}):
            out.print(f"  {escape(name)}: {escape(_short(value))}")
    _print_parts(parts)
    for title, flow, found in (("Flows in", "upstream", upstream), ("Flows out", "downstream", downstream)):
        if found.edges:
            out.print(lineage_tree(title, node, found, "upstream" if flow == "upstream" else "downstream"))
    if references.edges:
        names = {each.id: each.qualified_name for each in references.nodes}
        rows = [(names[edge.start], names[edge.end], edge.provenance.confidence) for edge in references.edges]
        print_table("Foreign keys", ("from", "to", "confidence"), rows)
    if tags:
        print_table(
            "Tags", ("domain", "agent", "score", "method"), [(t.domain, t.agent_id, t.score, t.method) for t in tags]
        )
    else:
        out.print("No tags.")


def _print_parts(parts: Sequence[Node]) -> None:
    columns = [part for part in parts if part.kind is NodeKind.COLUMN]
    if columns:
        columns = sorted(columns, key=lambda column: (_position(column), column.name))
        rows = [
            (c.name, c.properties.get("type"), c.properties.get("nullable"), c.properties.get("comment"))
            for c in columns
        ]
        print_table("Columns", ("name", "type", "nullable", "comment"), rows)
    others = sorted((part.kind.value, part.name) for part in parts if part.kind is not NodeKind.COLUMN)
    if others:
        print_table("Has", ("kind", "name"), others[:_MOST_CHILDREN])
        if len(others) > _MOST_CHILDREN:
            out.print(f"and {len(others) - _MOST_CHILDREN} more")


def _position(column: Node) -> float:
    position = column.properties.get("ordinal")
    return position if isinstance(position, int | float) else float("inf")


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    text = " ".join(text.split())
    return text if len(text) <= 200 else f"{text[:199]}…"


def lineage_tree(title: str, root: Node, found: Subgraph, flow: Flow) -> Tree:
    """What flows into or out of a node, as a tree; a node that was drawn before is not opened again."""
    steps: dict[str, list[tuple[Edge, str]]] = {}
    for edge in found.edges:
        ends = flow_of(edge)
        if ends is not None:
            origin, target = ends if flow == "downstream" else ends[::-1]
            steps.setdefault(origin, []).append((edge, target))
    return _tree(f"[bold]{title}[/]", root, found, steps, arrows=False)


def walk_tree(root: Node, found: Subgraph) -> Tree:
    """The neighbourhood of a node as a tree, with the direction of every edge."""
    steps: dict[str, list[tuple[Edge, str]]] = {}
    for edge in found.edges:
        steps.setdefault(edge.start, []).append((edge, edge.end))
        if edge.end != edge.start:
            steps.setdefault(edge.end, []).append((edge, edge.start))
    return _tree(node_line(root), root, found, steps, arrows=True)


def _tree(title: str, root: Node, found: Subgraph, steps: dict[str, list[tuple[Edge, str]]], *, arrows: bool) -> Tree:
    nodes = {node.id: node for node in found.nodes}
    drawn_edges: set[str] = set()
    drawn = {root.id}
    tree = Tree(title)
    waiting = [(root.id, tree)]
    while waiting:
        here, branch = waiting.pop(0)
        fresh = [(edge, end) for edge, end in steps.get(here, ()) if edge.id not in drawn_edges]
        ordered = sorted(fresh, key=lambda step: (step[0].kind.value, nodes[step[1]].qualified_name, step[0].role))
        for edge, end in ordered[:_MOST_CHILDREN]:
            drawn_edges.add(edge.id)
            again = "" if end not in drawn or end == here else " [dim](above)[/]"
            leaf = branch.add(f"{_edge_label(edge, here, arrows=arrows)} {node_line(nodes[end])}{again}")
            if end not in drawn:
                drawn.add(end)
                waiting.append((end, leaf))
        if len(ordered) > _MOST_CHILDREN:
            branch.add(f"[dim]and {len(ordered) - _MOST_CHILDREN} more[/]")
    return tree


def _edge_label(edge: Edge, here: str, *, arrows: bool) -> str:
    told = edge.kind in (EdgeKind.DERIVES, EdgeKind.PRECEDES) and edge.role not in ("", "table")
    role = f" {escape(edge.role)}" if told else ""
    arrow = "" if not arrows else ("-> " if edge.start == here else "<- ")
    return f"[cyan]{arrow}{edge.kind.value}[/]{role}"
