"""`bailiwick graph`: look into the knowledge graph."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bailiwick.cli.console import counted, err, out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.cli.graph_views import node_line, node_view, place_of, print_node, walk_tree
from bailiwick.errors import InvalidInput, NotFound
from bailiwick.graph.export import export as export_text
from bailiwick.graph.lineage import lineage, resolve
from bailiwick.graph.model import EdgeKind, Node, NodeKind, Tag
from bailiwick.graph.ports import MANUAL
from bailiwick.graph.ports import Direction as Way

app = typer.Typer(add_completion=False, help="Look into the knowledge graph.", no_args_is_help=True)

Asset = Annotated[str, typer.Argument(help="An id, a qualified name, or kind:name, such as table:crm.customer.")]
Depth = Annotated[int, typer.Option(min=1, max=3, help="Steps to follow.")]
InDomain = Annotated[str | None, typer.Option("--domain", help="Only assets tagged with this domain.")]
Because = Annotated[str | None, typer.Option("--reason", help="Kept in the audit trail.")]


class Form(StrEnum):
    """File formats of an export."""

    JSON = "json"
    GRAPHML = "graphml"


class Direction(StrEnum):
    """Which edges are followed."""

    OUT = "out"
    IN = "in"
    BOTH = "both"


@app.command()
def stats(ctx: typer.Context) -> None:
    """How much of each kind is stored, and how many elements each domain tags."""
    found = flags(ctx).platform.graph.stats()
    if flags(ctx).json:
        print_json(found)
        return
    if not found.nodes:
        out.print("The graph is empty. Next:\n  bailiwick extract PATH")
        return
    rows = [
        ("assets", counted(found.nodes)),
        ("relations", counted(found.edges)),
        ("tagged with", counted(found.domains) or "no domain yet"),
    ]
    print_table("The graph", ("what", "how many"), rows)
    out.print(f"Next: [bold]bailiwick {'graph find TEXT' if found.domains else 'detect'}[/]")


@app.command()
def find(
    ctx: typer.Context,
    text: Annotated[str | None, typer.Argument(help="Part of the qualified name, in any case.")] = None,
    kind: Annotated[NodeKind | None, typer.Option(help="Only this kind.")] = None,
    domain: InDomain = None,
    source: Annotated[str | None, typer.Option(help="Only what this source owns.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    offset: Annotated[int, typer.Option(min=0, help="Skip that many.")] = 0,
) -> None:
    """Find assets by name, kind, domain and source.

    Example: bailiwick graph find customer --kind table
    """
    store = flags(ctx).platform.graph
    found = store.find(kind=kind, text=text, domain=domain, source=source, limit=limit, offset=offset)
    domains = _domains(store.tags([node.id for node in found]))
    if flags(ctx).json:
        print_json([node_view(node, domains.get(node.id, [])) for node in found])
        return
    _print_nodes("Assets", found, domains)
    if len(found) == limit:
        out.print(f"There may be more: --offset {offset + limit}")
    elif not found and offset == 0:
        out.print("Nothing like it is stored. What there is: bailiwick graph stats")


@app.command()
def show(ctx: typer.Context, asset: Asset, depth: Depth = 1) -> None:
    """One asset: its columns, what flows into and out of it, its tags, and where it was seen.

    Example: bailiwick graph show crm.customer
    """
    store = flags(ctx).platform.graph
    node = resolve(store, asset)
    around = store.neighbours([node.id], direction="out", kinds=[EdgeKind.HAS])
    parts = [part for part in around.nodes if part.id != node.id]
    upstream = lineage(store, node.id, "upstream", depth=depth)
    downstream = lineage(store, node.id, "downstream", depth=depth)
    keyed = [node.id, *(part.id for part in parts if part.kind is NodeKind.COLUMN)]
    references = store.neighbours(keyed, kinds=[EdgeKind.REFERENCES])
    tags = store.tags([node.id])
    if flags(ctx).json:
        print_json(
            {
                **node_view(node, []),
                "tags": tags,
                "parts": [node_view(part, []) for part in parts],
                "upstream": upstream,
                "downstream": downstream,
                "references": references.edges,
            }
        )
        return
    print_node(node, parts, upstream, downstream, references, tags)


@app.command()
def neighbours(
    ctx: typer.Context,
    asset: Asset,
    depth: Depth = 1,
    direction: Annotated[Direction, typer.Option(help="Follow edges out of the asset, into it, or both.")] = (
        Direction.BOTH
    ),
    kind: Annotated[list[EdgeKind] | None, typer.Option(help="Follow only these kinds; may be repeated.")] = None,
    domain: InDomain = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 200,
) -> None:
    """What is around an asset, as a tree.

    Example: bailiwick graph neighbours crm.customer --depth 2 --kind derives
    """
    store = flags(ctx).platform.graph
    node = resolve(store, asset)
    way: Way = "out" if direction is Direction.OUT else "in" if direction is Direction.IN else "both"
    found = store.neighbours([node.id], depth=depth, direction=way, kinds=tuple(kind or ()), domain=domain, limit=limit)
    if flags(ctx).json:
        print_json(found)
        return
    out.print(walk_tree(node, found))
    if len(found.nodes) == limit:
        out.print(f"Cut at {limit} assets: raise --limit for more.")


@app.command()
def export(
    ctx: typer.Context,
    form: Annotated[Form, typer.Option("--format", help="json (node-link) or graphml.")] = Form.JSON,
    to: Annotated[Path | None, typer.Option("--to", help="File to write; default: standard output.")] = None,
    domain: Annotated[str | None, typer.Option(help="Only this domain's assets and the relations among them.")] = None,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="With --domain: the lowest score of a tag.")] = 0.0,
) -> None:
    """Write the graph, or a domain's part of it, for other tools.

    Example: bailiwick graph export --format graphml --to graph.graphml
    """
    store = flags(ctx).platform.graph
    if domain is None:
        text = export_text(store.nodes(), store.edges(), form.value)
    else:
        part = store.subgraph(domain, min_score=min_score)
        if not part.nodes:
            raise NotFound(
                f"no asset is tagged with {domain!r}",
                what="--domain",
                requested=domain,
                remedy="see `bailiwick graph stats`, or tag the graph with `bailiwick detect`",
            )
        text = export_text(part.nodes, part.edges, form.value)
    if to is None:
        sys.stdout.writelines(text)
        return
    try:
        with to.open("w", encoding="utf-8") as file:
            file.writelines(text)
    except OSError as error:
        raise InvalidInput(f"cannot write {str(to)!r}: {error.strerror}", what="--to", where=str(to)) from error
    err.print(f"Wrote {to} ({to.stat().st_size:,} bytes).")


@app.command()
def tag(
    ctx: typer.Context,
    asset: Asset,
    domain: Annotated[str, typer.Argument(help="A domain's id.")],
    score: Annotated[float, typer.Option(min=0, max=1, help="How sure you are.")] = 1.0,
    reason: Because = None,
) -> None:
    """Tag an asset with a domain by hand; detection leaves such a tag alone.

    Example: bailiwick graph tag crm.customer support --reason "owned by the support team"
    """
    platform = flags(ctx).platform
    node = resolve(platform.graph, asset)
    agent_id = platform.domains.get(domain).domain.agent_id
    by_hand = Tag(node.id, domain, agent_id, score, MANUAL, MANUAL)
    platform.graph.set_manual_tag(by_hand, actor=flags(ctx).actor(reason))
    if flags(ctx).json:
        print_json(by_hand)
        return
    out.print(f"Tagged {node_line(node)} with {domain}.")


@app.command()
def untag(
    ctx: typer.Context,
    asset: Asset,
    domain: Annotated[str, typer.Argument(help="A domain's id.")],
    reason: Because = None,
) -> None:
    """Remove a tag that was set by hand."""
    platform = flags(ctx).platform
    node = resolve(platform.graph, asset)
    platform.graph.remove_manual_tag(node.id, domain, actor=flags(ctx).actor(reason))
    left = [found for found in platform.graph.tags([node.id]) if found.domain == domain]
    if flags(ctx).json:
        print_json(left)
        return
    out.print(f"{node_line(node)} has no tag {domain} set by hand now.")
    if left:
        out.print(f"Detection tags it with {domain} still ({left[0].method}, {left[0].score:.2f}).")


def _domains(tags: Sequence[Tag]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in tags:
        if each.domain not in found.setdefault(each.element_id, []):
            found[each.element_id].append(each.domain)
    return found


def _print_nodes(title: str, nodes: Sequence[Node], domains: dict[str, list[str]]) -> None:
    rows: list[tuple[Any, ...]] = [
        (node.kind.value, node.qualified_name, ", ".join(domains.get(node.id, ())), place_of(node).rpartition("/")[2])
        for node in nodes
    ]
    print_table(title, ("kind", "name", "domains", "seen in"), rows)
