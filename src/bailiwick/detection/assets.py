"""What detection reads of an asset: the words of its names, comments, columns, statement or job description."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bailiwick.detection.words import MAX_CHARACTERS, words
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind

# What readers put into a node's properties that people wrote, or that tells what the values mean.
_SPEAKING = (
    "comment", "description", "semantic_type", "text", "command", "application", "sub_application", "file_path",
    "member",
)  # fmt: skip
_MOST_COLUMNS = 200

# Words of SQL that stand in every statement and say nothing of its subject.
_SQL = frozenset((
    "select", "from", "where", "and", "or", "not", "in", "is", "null", "as", "on", "join", "left", "right", "inner",
    "outer", "full", "cross", "group", "by", "order", "having", "insert", "into", "overwrite", "update", "set",
    "delete", "create", "table", "view", "external", "if", "exists", "values", "union", "all", "distinct", "case",
    "when", "then", "else", "end", "with", "partition", "partitioned", "stored", "location", "format", "row",
    "fields", "terminated", "delimited", "using", "merge", "matched", "limit", "between", "like", "cast", "coalesce",
    "count", "sum", "min", "max", "avg", "over", "desc", "asc", "int", "string", "bigint", "decimal", "varchar",
    "char", "date", "timestamp", "double", "float", "boolean", "primary", "key", "foreign", "references",
    "constraint", "default", "comment", "drop", "alter", "true", "false", "begin", "commit",
))  # fmt: skip


def column_names(nodes: Mapping[str, Node], edges: Iterable[Edge]) -> dict[str, list[str]]:
    """The names of the columns of each table and view, by its id; at most 200 each."""
    found: dict[str, list[str]] = {}
    for edge in edges:
        if edge.kind is EdgeKind.HAS and (child := nodes.get(edge.end)) and child.kind is NodeKind.COLUMN:
            names = found.setdefault(edge.start, [])
            if len(names) < _MOST_COLUMNS:
                names.append(child.name)
    return found


def asset_text(node: Node, columns: Sequence[str] = ()) -> str:
    """The words of an asset, separated by spaces.

    A column is read by its own name and comment only: what its table is about reaches it as a carried tag. A
    statement is read by its text.
    """
    parts: list[str] = [] if node.kind is NodeKind.STATEMENT and node.properties.get("text") else [node.name]
    if node.kind not in (NodeKind.COLUMN, NodeKind.STATEMENT):
        parts.append(node.qualified_name)
    parts.extend(_plain(node.properties.get(key)) for key in _SPEAKING)
    parts.extend(columns)
    return " ".join(dict.fromkeys(word for word in words(" ".join(parts)[:MAX_CHARACTERS]) if word not in _SQL))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else ""
