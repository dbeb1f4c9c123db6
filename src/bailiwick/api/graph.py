"""`/v1/graph`: the knowledge graph, and the tags that people set in it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from bailiwick.api.app import actor_of, platform_of
from bailiwick.governance.audit import Actor
from bailiwick.graph.lineage import Flow, lineage, resolve
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Tag
from bailiwick.graph.ports import MANUAL, Direction, GraphStats, Subgraph
from bailiwick.platform import Platform

router = APIRouter(prefix="/v1/graph", tags=["graph"])

ThePlatform = Annotated[Platform, Depends(platform_of)]
TheActor = Annotated[Actor, Depends(actor_of)]
Depth = Annotated[int, Query(ge=1, le=3)]
Limit = Annotated[int, Query(ge=1, le=10_000)]


class TagRequest(BaseModel):
    """How sure a person is that an element belongs to the domain."""

    model_config = ConfigDict(extra="forbid")

    score: float = Field(1.0, ge=0, le=1)


class NodeAnswer(BaseModel):
    """A node and its tags, best score first."""

    node: Node
    tags: list[Tag]


class SubgraphAnswer(BaseModel):
    """Some nodes, and edges among them."""

    nodes: list[Node]
    edges: list[Edge]


@router.get("/stats")
def stats(platform: ThePlatform) -> GraphStats:
    """How much of each kind is stored, and how many elements each domain tags."""
    return platform.graph.stats()


@router.get("/nodes")
def find(
    platform: ThePlatform,
    text: Annotated[str | None, Query(max_length=1_000)] = None,
    kind: NodeKind | None = None,
    domain: str | None = None,
    source: str | None = None,
    limit: Limit = 100,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> list[Node]:
    """Nodes by part of their qualified name, kind, domain and source, ordered by qualified name."""
    return list(platform.graph.find(kind=kind, text=text, domain=domain, source=source, limit=limit, offset=offset))


@router.get("/nodes/{reference:path}/neighbours")
def neighbours(
    reference: str,
    platform: ThePlatform,
    depth: Depth = 1,
    direction: Direction = "both",
    kind: Annotated[list[EdgeKind] | None, Query()] = None,
    domain: str | None = None,
    limit: Limit = 1_000,
) -> SubgraphAnswer:
    """What is around a node, given by its id or qualified name."""
    node = resolve(platform.graph, reference)
    found = platform.graph.neighbours(
        [node.id], depth=depth, direction=direction, kinds=tuple(kind or ()), domain=domain, limit=limit
    )
    return _answer(found)


@router.get("/nodes/{reference:path}/lineage")
def follow(
    reference: str, platform: ThePlatform, flow: Flow = "upstream", depth: Depth = 1, limit: Limit = 1_000
) -> SubgraphAnswer:
    """What flows into a node or out of it."""
    node = resolve(platform.graph, reference)
    return _answer(lineage(platform.graph, node.id, flow, depth=depth, limit=limit))


@router.get("/nodes/{reference:path}")
def show(reference: str, platform: ThePlatform) -> NodeAnswer:
    """One node with its tags, by its id, its qualified name, or ``kind:name``."""
    node = resolve(platform.graph, reference)
    return NodeAnswer(node=node, tags=list(platform.graph.tags([node.id])))


@router.put("/elements/{element_id}/tags/{domain}")
def set_tag(
    element_id: str, domain: str, platform: ThePlatform, actor: TheActor, request: TagRequest | None = None
) -> Tag:
    """Tag a node or an edge with a domain by hand; detection leaves such a tag alone."""
    agent_id = platform.domains.get(domain).domain.agent_id
    score = request.score if request is not None else 1.0
    tag = Tag(element_id, domain, agent_id, score, MANUAL, MANUAL)
    platform.graph.set_manual_tag(tag, actor=actor)
    return tag


@router.delete("/elements/{element_id}/tags/{domain}", status_code=204)
def remove_tag(element_id: str, domain: str, platform: ThePlatform, actor: TheActor) -> None:
    """Remove a tag that was set by hand; nothing happens when there is none."""
    platform.graph.remove_manual_tag(element_id, domain, actor=actor)


def _answer(found: Subgraph) -> SubgraphAnswer:
    return SubgraphAnswer(nodes=list(found.nodes), edges=list(found.edges))
