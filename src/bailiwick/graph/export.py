"""The graph as a file for other tools: JSON (node-link) or GraphML, streamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

import orjson

from bailiwick.graph.model import Edge, Node

Format = Literal["json", "graphml"]

_NODE_KEYS = ("kind", "name", "qualified_name", "source", "file", "line", "confidence", "properties")
_EDGE_KEYS = ("kind", "role", "source", "file", "line", "confidence", "properties")
_TYPES = {"line": "int", "confidence": "double"}
# XML 1.0 has no way to write these, not even as character references
_NOT_XML = {code: "\ufffd" for code in (*range(0x20), 0xFFFE, 0xFFFF) if code not in (0x09, 0x0A, 0x0D)}


def export(nodes: Iterable[Node], edges: Iterable[Edge], form: Format) -> Iterator[str]:
    """The text of the export, piece by piece.

    Args:
        nodes: all that the edges name.
        edges: among those nodes.
        form: ``json`` is an object with ``nodes`` and ``links`` as networkx and D3 read it; ``graphml`` is read by
            Gephi, yEd and networkx; properties stand there as JSON text.
    """
    return _json(nodes, edges) if form == "json" else _graphml(nodes, edges)


def _json(nodes: Iterable[Node], edges: Iterable[Edge]) -> Iterator[str]:
    yield '{"directed": true, "multigraph": true, "graph": {}, "nodes": ['
    yield from _separated(orjson.dumps(asdict(node)).decode() for node in nodes)
    yield '\n], "links": ['
    yield from _separated(_link(edge) for edge in edges)
    yield "\n]}\n"


def _link(edge: Edge) -> str:
    fields = asdict(edge)
    ends = {"source": fields.pop("start"), "target": fields.pop("end"), "key": fields["id"]}
    owner = fields.pop("source")
    return orjson.dumps({**ends, **fields, "owner": owner}).decode()


def _separated(pieces: Iterable[str]) -> Iterator[str]:
    comma = ""
    for piece in pieces:
        yield f"{comma}\n{piece}"
        comma = ","


def _graphml(nodes: Iterable[Node], edges: Iterable[Edge]) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
    for target, keys in (("node", _NODE_KEYS), ("edge", _EDGE_KEYS)):
        for key in keys:
            kind = _TYPES.get(key, "string")
            yield f'<key id="{target}_{key}" for="{target}" attr.name="{key}" attr.type="{kind}"/>\n'
    yield '<graph edgedefault="directed">\n'
    for node in nodes:
        yield f"<node id={quoteattr(node.id)}>{_fields(node, 'node', _NODE_KEYS)}</node>\n"
    for edge in edges:
        ends = f"id={quoteattr(edge.id)} source={quoteattr(edge.start)} target={quoteattr(edge.end)}"
        yield f"<edge {ends}>{_fields(edge, 'edge', _EDGE_KEYS)}</edge>\n"
    yield "</graph>\n</graphml>\n"


def _fields(element: Node | Edge, target: str, keys: tuple[str, ...]) -> str:
    fields = asdict(element)
    fields |= fields["provenance"] | {
        "kind": element.kind.value,
        "properties": orjson.dumps(element.properties, option=orjson.OPT_SORT_KEYS).decode(),
    }
    return "".join(
        f'<data key="{target}_{key}">{escape(str(fields[key]).translate(_NOT_XML))}</data>'
        for key in keys
        if fields[key] not in (None, "", "{}")
    )
