"""The tables of the graph in the main database."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table, Text

from bailiwick.storage.schema import UtcDateTime, metadata

# Ordered byte by byte everywhere: PostgreSQL would follow the locale of its installation.
Name = Text().with_variant(Text(collation="C"), "postgresql")

# Properties are JSON as text: no query looks into them, text takes characters that JSONB refuses (U+0000),
# and the same bytes come back.
graph_node = Table(
    "graph_node",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("name", Name, nullable=False),
    Column("qualified_name", Name, nullable=False),
    Column("search_name", Name, nullable=False),  # case-folded
    Column("source", Name, nullable=False),
    Column("file", Text, nullable=False),
    Column("line", Integer, nullable=True),
    Column("parser", String(100), nullable=False),
    Column("run", String(100), nullable=False),
    Column("confidence", Float, nullable=False),
    Column("properties", Text, nullable=False),
    Column("content_hash", BigInteger, nullable=False),
    Column("deleted_at", UtcDateTime, nullable=True),
    Index("ix_graph_node_source", "source"),
    Index("ix_graph_node_qualified_name", "qualified_name"),
)

graph_edge = Table(
    "graph_edge",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("start_id", String(64), nullable=False),
    Column("end_id", String(64), nullable=False),
    Column("role", Text, nullable=False),
    Column("source", Name, nullable=False),
    Column("file", Text, nullable=False),
    Column("line", Integer, nullable=True),
    Column("parser", String(100), nullable=False),
    Column("run", String(100), nullable=False),
    Column("confidence", Float, nullable=False),
    Column("properties", Text, nullable=False),
    Column("content_hash", BigInteger, nullable=False),
    Column("deleted_at", UtcDateTime, nullable=True),
    Index("ix_graph_edge_source", "source"),
    Index("ix_graph_edge_start_id", "start_id"),
    Index("ix_graph_edge_end_id", "end_id"),
)

# An element that a source sees without owning it.
graph_sighting = Table(
    "graph_sighting",
    metadata,
    Column("element_id", String(64), primary_key=True),
    Column("source", Name, primary_key=True),
    Column("confidence", Float, nullable=False),
    Index("ix_graph_sighting_source", "source"),
)

graph_tag = Table(
    "graph_tag",
    metadata,
    Column("element_id", String(64), primary_key=True),
    Column("domain", String(200), primary_key=True),
    Column("method", String(32), primary_key=True),
    Column("agent_id", String(200), nullable=False),
    Column("score", Float, nullable=False),
    Column("run", String(100), nullable=False),
    Column("cause", String(64), nullable=True),
    Index("ix_graph_tag_domain", "domain", "score", "element_id"),
)
