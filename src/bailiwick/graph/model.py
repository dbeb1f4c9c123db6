"""The nouns of the knowledge graph: nodes (assets), edges (relations), tags, and where each came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import xxhash


class NodeKind(StrEnum):
    """What an asset is."""

    FOLDER = "folder"
    FILE = "file"
    DATABASE = "database"
    TABLE = "table"
    VIEW = "view"
    COLUMN = "column"
    STATEMENT = "statement"
    JOB_FOLDER = "job_folder"
    JOB = "job"
    CONDITION = "condition"


class EdgeKind(StrEnum):
    """How one asset relates to another; read as "source KIND target"."""

    HAS = "has"  # folder has file, database has table, table has column, file has statement, job folder has job
    REFERENCES = "references"  # column references column: a foreign key, declared or inferred
    READS = "reads"  # statement reads table or column
    WRITES = "writes"  # statement writes table
    DERIVES = "derives"  # target column (or table) derives from source column (or table): data flows source -> target
    PRECEDES = "precedes"  # job precedes job
    RAISES = "raises"  # job raises condition
    AWAITS = "awaits"  # job awaits condition
    CLEARS = "clears"  # job clears condition: clean-up, never a dependency
    RUNS = "runs"  # job runs file


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an element was seen. ``confidence`` is 1.0 for a definition, less for a mention or an inference."""

    file: str
    line: int | None
    parser: str
    run: str
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Node:
    """An asset.

    Args:
        id: from `node_id`.
        name: the short name shown to people, such as ``customer``.
        qualified_name: unique within the kind, such as ``crm.customer``.
        source: the extraction source that owns the node.
        properties: JSON values; what they mean depends on the kind.
    """

    id: str
    kind: NodeKind
    name: str
    qualified_name: str
    source: str
    provenance: Provenance
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    """A directed relation. ``role`` tells parallel edges of one kind apart (a transformation, a condition name)."""

    id: str
    kind: EdgeKind
    start: str
    end: str
    source: str
    provenance: Provenance
    role: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tag:
    """The statement that an element belongs to a domain, with how sure we are and why.

    Args:
        element_id: of a node or an edge.
        score: 0 to 1, calibrated.
        method: ``manual``, ``keyword``, ``classifier`` or ``lineage``.
        run: the detection run that set it.
        cause: for ``lineage``, the element that the tag was carried from.
    """

    element_id: str
    domain: str
    agent_id: str
    score: float
    method: str
    run: str
    cause: str | None = None


def node_id(kind: NodeKind, qualified_name: str) -> str:
    """The identifier of an asset: the same asset gets the same id in every run, on every machine.

    >>> node_id(NodeKind.TABLE, "crm.customer") == node_id(NodeKind.TABLE, "crm.customer")
    True
    """
    return xxhash.xxh3_128_hexdigest(f"{kind}\0{qualified_name}".encode())


def edge_id(kind: EdgeKind, start: str, end: str, role: str = "") -> str:
    """The identifier of a relation, from its ends, kind and role."""
    return xxhash.xxh3_128_hexdigest(f"{kind}\0{start}\0{end}\0{role}".encode())
