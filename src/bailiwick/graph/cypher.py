"""The Cypher that `Neo4jGraphStore` speaks: the plain part of the language, without APOC or full-text indexes.

Nodes carry the label ``:Asset`` and one for their kind, relations the type of theirs. Properties stand as one JSON text
(exact, nested), and once more on the element itself where Neo4j can hold them, for those who query by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bailiwick.graph.model import EdgeKind, NodeKind, Tag
from bailiwick.graph.rows import EDGE_COLUMNS, NODE_COLUMNS, READ_EDGE_COLUMNS, READ_NODE_COLUMNS, TAG_COLUMNS

LABELS = {kind: kind.value.title().replace("_", "") for kind in NodeKind}
TYPES = {kind: kind.value.upper() for kind in EdgeKind}

SCHEMA = (
    "CREATE CONSTRAINT asset_id IF NOT EXISTS FOR (n:Asset) REQUIRE n.id IS UNIQUE",
    "CREATE CONSTRAINT asset_sighting_key IF NOT EXISTS FOR (s:AssetSighting) REQUIRE s.key IS UNIQUE",
    "CREATE CONSTRAINT asset_tag_key IF NOT EXISTS FOR (t:AssetTag) REQUIRE t.key IS UNIQUE",
    "CREATE CONSTRAINT asset_lock_id IF NOT EXISTS FOR (l:AssetLock) REQUIRE l.id IS UNIQUE",
    "CREATE INDEX asset_source IF NOT EXISTS FOR (n:Asset) ON (n.source)",
    "CREATE INDEX asset_qualified_name IF NOT EXISTS FOR (n:Asset) ON (n.qualified_name)",
    "CREATE INDEX asset_sighting_source IF NOT EXISTS FOR (s:AssetSighting) ON (s.source)",
    "CREATE INDEX asset_sighting_element IF NOT EXISTS FOR (s:AssetSighting) ON (s.element_id)",
    "CREATE INDEX asset_tag_domain IF NOT EXISTS FOR (t:AssetTag) ON (t.domain)",
    "CREATE INDEX asset_tag_element IF NOT EXISTS FOR (t:AssetTag) ON (t.element_id)",
)

# Taken first by every unit that writes: two syncs must not decide on what the other is changing.
LOCK = "MERGE (l:AssetLock {id: 'graph'}) SET l.turn = coalesce(l.turn, 0) + 1"

NODE = "RETURN " + ", ".join(f"n.{name} AS {name}" for name in READ_NODE_COLUMNS)
_ENDS = {"start_id": "a.id", "end_id": "b.id"}
EDGE = "RETURN " + ", ".join(f"{_ENDS.get(name, f'r.{name}')} AS {name}" for name in READ_EDGE_COLUMNS)
TAG = "RETURN " + ", ".join(f"t.{name} AS {name}" for name in TAG_COLUMNS)

NODES_BY_ID = f"UNWIND $rows AS id MATCH (n:Asset {{id: id}}) WHERE n.deleted_at IS NULL {NODE}"
LIVING_IDS = "UNWIND $rows AS id MATCH (n:Asset {id: id}) WHERE n.deleted_at IS NULL RETURN n.id AS id"
LIVING_EDGE_IDS = "MATCH (:Asset)-[r]->(:Asset) WHERE r.id IN $ids AND r.deleted_at IS NULL RETURN r.id AS id"

_STATE = "{0}.id, {0}.source, {0}.content_hash, {0}.confidence, {0}.deleted_at"
NODES_OF_SOURCE = f"MATCH (n:Asset {{source: $source}}) RETURN {_STATE.format('n')}"
NODES_OF_OTHERS = f"UNWIND $rows AS id MATCH (n:Asset {{id: id}}) RETURN {_STATE.format('n')}"
EDGES_OF_SOURCE = (
    f"MATCH (a:Asset)-[r]->(b:Asset) WHERE r.source = $source RETURN {_STATE.format('r')}, a.id, b.id, r.kind"
)
EDGES_OF_OTHERS = (
    "UNWIND $rows AS row MATCH (a:Asset {id: row.start})-[r]->(b:Asset {id: row.end}) WHERE r.id = row.id "
    f"RETURN {_STATE.format('r')}, a.id, b.id, r.kind"
)
OTHER_SOURCE = "MATCH (:Asset)-[r]->(:Asset) WHERE r.source <> $source RETURN r.id LIMIT 1"

SIGHTINGS_OF_SOURCE = "MATCH (s:AssetSighting {source: $source}) RETURN s.element_id, s.confidence"
SIGHTINGS_OF_ELEMENTS = (
    "UNWIND $rows AS id MATCH (s:AssetSighting {element_id: id}) WHERE s.source <> $source "
    "RETURN s.element_id, s.source, s.confidence"
)
PUT_SIGHTINGS = "UNWIND $rows AS row MERGE (s:AssetSighting {key: row.key}) SET s = row"
DROP_SIGHTINGS = "UNWIND $rows AS key MATCH (s:AssetSighting {key: key}) DELETE s"
DROP_ALL_SIGHTINGS = "UNWIND $rows AS id MATCH (s:AssetSighting {element_id: id}) DELETE s"

_AT_EDGE = "UNWIND $rows AS row MATCH (a:Asset {id: row.start})-[r]->(b:Asset {id: row.end}) WHERE r.id = row.id "
UPDATE_NODES = "UNWIND $rows AS row MATCH (n:Asset {id: row.id}) SET n += row.values"
UPDATE_EDGES = _AT_EDGE + "SET r += row.values"
EDGES_AT_NODES = (
    "UNWIND $rows AS id MATCH (:Asset {id: id})-[r]-(:Asset) WHERE r.deleted_at IS NULL "
    "SET r.deleted_at = $now RETURN DISTINCT r.id AS id"
)

AUTOMATIC_TAGS = f"MATCH (t:AssetTag) WHERE t.method <> 'manual' {TAG}"
PUT_TAGS = "UNWIND $rows AS row MERGE (t:AssetTag {key: row.key}) SET t = row"
DROP_TAGS = "UNWIND $rows AS key MATCH (t:AssetTag {key: key}) DELETE t"
TAGGED = "MATCH (t:AssetTag {domain: $domain}) WHERE t.score >= $min_score RETURN DISTINCT t.element_id AS id"
TAGGED_AMONG = (
    "UNWIND $rows AS id MATCH (t:AssetTag {element_id: id}) WHERE t.domain = $domain RETURN DISTINCT t.element_id AS id"
)
EDGES_OUT = f"UNWIND $rows AS id MATCH (a:Asset {{id: id}})-[r]->(b:Asset) WHERE r.deleted_at IS NULL {EDGE}"
EDGES_IN = f"UNWIND $rows AS id MATCH (b:Asset {{id: id}})<-[r]-(a:Asset) WHERE r.deleted_at IS NULL {EDGE}"

COUNT_NODES = "MATCH (n:Asset) WHERE n.deleted_at IS NULL RETURN n.kind AS kind, count(*) AS many"
COUNT_EDGES = "MATCH (:Asset)-[r]->(:Asset) WHERE r.deleted_at IS NULL RETURN r.kind AS kind, count(*) AS many"


def create_nodes(kind: NodeKind) -> str:
    """Write nodes that are known not to exist."""
    return f"UNWIND $rows AS row CREATE (n:Asset:{LABELS[kind]}) SET n = row.values"


def create_edges(kind: EdgeKind) -> str:
    """Write edges that are known not to exist."""
    return (
        "UNWIND $rows AS row MATCH (a:Asset {id: row.start}) MATCH (b:Asset {id: row.end}) "
        f"CREATE (a)-[r:{TYPES[kind]}]->(b) SET r = row.values"
    )


REPLACE_NODES = "UNWIND $rows AS row MATCH (n:Asset {id: row.id}) SET n = row.values"
REPLACE_EDGES = _AT_EDGE + "SET r = row.values"


def node_values(row: tuple[Any, ...], properties: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `NODE_COLUMNS` as the properties of a node."""
    return _visible(properties, NODE_COLUMNS) | dict(zip(NODE_COLUMNS, row, strict=True))


def edge_values(row: tuple[Any, ...], properties: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `EDGE_COLUMNS` as the properties of a relation, which knows its ends by itself."""
    values = _visible(properties, EDGE_COLUMNS) | dict(zip(EDGE_COLUMNS, row, strict=True))
    return {name: value for name, value in values.items() if name not in _ENDS}


def tag_values(tag: Tag) -> dict[str, Any]:
    """A tag as the properties of its node."""
    values = {name: getattr(tag, name) for name in TAG_COLUMNS}
    return values | {"key": tag_key(tag.element_id, tag.domain, tag.method)}


def tag_key(element_id: str, domain: str, method: str) -> str:
    """What tells one tag from every other."""
    return f"{element_id}\t{method}\t{domain}"


def sighting_key(element_id: str, source: str) -> str:
    """What tells one sighting from every other."""
    return f"{element_id}\t{source}"


def _visible(properties: Mapping[str, Any], reserved: tuple[str, ...]) -> dict[str, Any]:
    return {
        name: value
        for name, value in properties.items()
        if name not in reserved and name.isidentifier() and _is_storable(value)
    }


def _is_storable(value: Any) -> bool:
    """Whether Neo4j takes it as a property: a scalar, or a list of scalars of one type."""
    if isinstance(value, list | tuple):
        return len({type(item) for item in value}) == 1 and type(value[0]) in (str, bool, int, float)
    return type(value) in (str, bool, int, float)
