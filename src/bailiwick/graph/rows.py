"""Elements as table rows and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import Connection

from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Provenance, Tag

_SEEN = ("source", "file", "line", "parser", "run", "confidence", "properties")
READ_NODE_COLUMNS = ("id", "kind", "name", "qualified_name", *_SEEN)
NODE_COLUMNS = (*READ_NODE_COLUMNS, "search_name", "content_hash", "deleted_at")
READ_EDGE_COLUMNS = ("id", "kind", "start_id", "end_id", "role", *_SEEN)
EDGE_COLUMNS = (*READ_EDGE_COLUMNS, "content_hash", "deleted_at")
TAG_COLUMNS = ("element_id", "domain", "agent_id", "score", "method", "run", "cause")

_NODE_KINDS = {kind.value: kind for kind in NodeKind}
_EDGE_KINDS = {kind.value: kind for kind in EdgeKind}


def node_row(node: Node, source: str, properties: str, content_hash: int) -> tuple[Any, ...]:
    """A living node in the order of `NODE_COLUMNS`."""
    seen = node.provenance
    return (
        node.id,
        node.kind._value_,
        node.name,
        node.qualified_name,
        source,
        seen.file,
        seen.line,
        seen.parser,
        seen.run,
        seen.confidence,
        properties,
        node.qualified_name.casefold(),
        content_hash,
        None,
    )


def edge_row(edge: Edge, source: str, properties: str, content_hash: int) -> tuple[Any, ...]:
    """A living edge in the order of `EDGE_COLUMNS`."""
    seen = edge.provenance
    return (
        edge.id,
        edge.kind._value_,
        edge.start,
        edge.end,
        edge.role,
        source,
        seen.file,
        seen.line,
        seen.parser,
        seen.run,
        seen.confidence,
        properties,
        content_hash,
        None,
    )


def tag_row(tag: Tag) -> tuple[Any, ...]:
    """A tag in the order of `TAG_COLUMNS`."""
    return (tag.element_id, tag.domain, tag.agent_id, tag.score, tag.method, tag.run, tag.cause)


def node_of(row: Any) -> Node:
    """The node that stands in a row of `READ_NODE_COLUMNS`."""
    element_id, kind, name, qualified_name, source, file, line, parser, run, confidence, properties = row
    seen = Provenance(file, line, parser, run, confidence)
    return Node(element_id, _NODE_KINDS[kind], name, qualified_name, source, seen, orjson.loads(properties))


def edge_of(row: Any) -> Edge:
    """The edge that stands in a row of `READ_EDGE_COLUMNS`."""
    element_id, kind, start, end, role, source, file, line, parser, run, confidence, properties = row
    seen = Provenance(file, line, parser, run, confidence)
    return Edge(element_id, _EDGE_KINDS[kind], start, end, source, seen, role, orjson.loads(properties))


def tag_of(row: Any) -> Tag:
    """The tag that stands in a row of `TAG_COLUMNS`."""
    element_id, domain, agent_id, score, method, run, cause = row
    return Tag(element_id, domain, agent_id, score, method, run, cause)


def record_tag(
    audit: AuditTrail, connection: Connection, actor: Actor, action: str, *, before: Tag | None, after: Tag | None
) -> None:
    """Write who set or removed a manual tag into the audit trail."""
    tag = after or before
    assert tag is not None
    audit.record(
        connection,
        actor,
        action,
        f"element:{tag.element_id}",
        before=None if before is None else asdict(before),
        after=None if after is None else asdict(after),
    )
