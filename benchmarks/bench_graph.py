"""The graph stores: loading, syncing again and asking, in CPU seconds; over Bolt with the server's share."""

from __future__ import annotations

import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.records import publish, record

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # the servers that the tests use
import servers

from bailiwick.clock import SystemClock
from bailiwick.governance.audit import AuditTrail
from bailiwick.graph.batch import prepare
from bailiwick.graph.bolt import BoltServer
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind, Provenance, Tag, edge_id, node_id
from bailiwick.graph.neo4j import Neo4jGraphStore
from bailiwick.graph.ports import GraphStore
from bailiwick.graph.rows import EDGE_COLUMNS, NODE_COLUMNS, edge_row, node_row
from bailiwick.graph.sql import SqlGraphStore
from bailiwick.storage.database import Database
from bailiwick.storage.migrate import upgrade

NODES = 100_000
EDGES_PER_NODE = 2
BOLT_SHARE = 0.05  # of the nodes: a Bolt server needs minutes for all of them
LOADS = 3
HOPS = 50
DOMAINS = 37
SEED = 20260101

Cpu = Callable[[], float]


def run(scale: float = 1.0) -> list[dict[str, Any]]:
    """Measure both stores; ``scale`` multiplies the 100,000 nodes and 200,000 edges."""
    many = max(100, int(NODES * scale))
    few = max(100, int(many * BOLT_SHARE))
    loads = [_with_sqlite(many) for _ in range(LOADS)]
    records = _records("SQLite", many, {name: [each[name] for each in loads] for name in loads[0]}, peer=None)
    try:
        over_bolt = _with_bolt(few)
    except servers.CannotRun as reason:
        print(f"Without a Bolt server: {reason}", file=sys.stderr)
        return records
    return records + _records("Bolt", few, {name: [value] for name, value in over_bolt.items()}, _with_sqlite(few))


def _records(
    store: str, nodes: int, found: dict[str, list[float]], peer: dict[str, float] | None
) -> list[dict[str, Any]]:
    full = store == "SQLite" and nodes == NODES
    goals = {"load": 5.0} if full else {}
    bare = statistics.median(found.pop("bare")) if "bare" in found else None
    listed = []
    for name, values in found.items():
        peer_name, peer_value = ("the SQLite store", peer[name]) if peer else (None, None)
        if name == "load" and bare is not None:
            peer_name, peer_value = "bare sqlite3 executemany of the same rows", bare
        listed.append(
            record(
                f"{store}, {nodes:,} nodes: {_WORDS[name]}",
                round(statistics.median(values), 4),
                "CPU s",
                better="lower",
                goal=goals.get(name),
                peer=peer_name,
                peer_value=None if peer_value is None else round(peer_value, 4),
                runs=len(values),
            )
        )
    return listed


_WORDS = {
    "load": "upsert with two edges each",
    "again": "sync again unchanged",
    "hops": f"{HOPS} times two hops",
    "domain": "1,000 nodes of a domain",
    "inside": "a domain and its inner edges",
    "tags": "replace all tags",
}


def _with_sqlite(nodes: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        database, store = _sql_store(Path(folder))
        found = _measure(store, nodes, time.process_time)
        database.close()
        found["bare"] = _bare(Path(folder), *_graph(nodes))
    return found


def _with_bolt(nodes: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, servers.using("bolt", f"bench-{os.getpid()}") as address:
        url = servers.create_bolt_database(address)
        database, _ = _sql_store(Path(folder))
        server = BoltServer(url, servers.BOLT_USER, servers.BOLT_PASSWORD, SystemClock())
        audit = AuditTrail(database, SystemClock())
        store = Neo4jGraphStore(server, database, audit, SystemClock())
        found = _measure(store, nodes, lambda: time.process_time() + _cpu_of(address["pid"]))
        store.close()
        database.close()
    return found


def _sql_store(folder: Path) -> tuple[Database, SqlGraphStore]:
    database = Database(f"sqlite:///{folder / 'graph.db'}")
    upgrade(database)
    return database, SqlGraphStore(database, AuditTrail(database, SystemClock()), SystemClock())


def _cpu_of(pid: int) -> float:
    """CPU seconds that another process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _measure(store: GraphStore, nodes: int, cpu: Cpu) -> dict[str, float]:
    found: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        before = cpu()
        yield
        found[name] = cpu() - before

    given, edges = _graph(nodes)
    chosen = random.Random(SEED)
    tags = [Tag(n.id, f"domain{chosen.randrange(DOMAINS)}", "agent", chosen.random(), "keyword", "r") for n in given]
    starts = [chosen.choice(given).id for _ in range(HOPS)]
    with timed("load"):
        report = store.sync_source("warehouse", given, edges, complete=True)
    assert report.added == len(given) + len(edges)
    with timed("again"):
        report = store.sync_source("warehouse", given, edges, complete=True)
    assert report.unchanged == len(given) + len(edges)
    with timed("tags"):
        store.set_tags(tags)
    with timed("hops"):
        for start in starts:
            assert store.neighbours([start], depth=2).nodes
    with timed("domain"):
        assert store.find(domain="domain0", limit=1_000)
    with timed("inside"):
        assert store.subgraph("domain0").nodes
    return found


def _graph(nodes: int) -> tuple[list[Node], list[Edge]]:
    """Columns of an invented warehouse, each derived from two others."""
    chosen = random.Random(SEED)
    seen = Provenance("warehouse/ddl.sql", 12, "sql", "run-1")
    given = []
    for number in range(nodes):
        name = f"bank.table_{number // 20}.column_{number % 20}"
        properties = {
            "type": "decimal(18,2)",
            "nullable": True,
            "ordinal": number % 20,
            "comment": f"the column number {number}",
            "null_ratio": 0.25,
            "distinct": number,
            "partition": False,
        }
        identifier = node_id(NodeKind.COLUMN, name)
        given.append(Node(identifier, NodeKind.COLUMN, f"column_{number % 20}", name, "warehouse", seen, properties))
    edges = []
    for number in range(nodes * EDGES_PER_NODE):
        start, end = chosen.choice(given).id, given[number % nodes].id
        identifier = edge_id(EdgeKind.DERIVES, start, end, str(number))
        edges.append(
            Edge(identifier, EdgeKind.DERIVES, start, end, "warehouse", seen, str(number), {"transformation": "sum(x)"})
        )
    return given, edges


def _bare(folder: Path, nodes: list[Node], edges: list[Edge]) -> float:
    """CPU seconds of nothing but the inserts, rows made beforehand, into tables with the same indexes."""
    batch = prepare(nodes, edges)
    node_rows = [node_row(each, "w", batch.properties[each.id], 1) for each in nodes]
    edge_rows = [edge_row(each, "w", batch.properties[each.id], 1) for each in edges]
    connection = sqlite3.connect(folder / "graph.db", isolation_level=None)
    for table in ("graph_tag", "graph_edge", "graph_node"):
        connection.execute(f"DELETE FROM {table}")
    before = time.process_time()
    connection.execute("BEGIN IMMEDIATE")
    for table, columns, rows in (("graph_node", NODE_COLUMNS, node_rows), ("graph_edge", EDGE_COLUMNS, edge_rows)):
        marks = ", ".join("?" * len(columns))
        connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)
    connection.execute("COMMIT")
    used = time.process_time() - before
    connection.close()
    return used


def main() -> None:
    """Measure and publish under ``graph``; the first argument is the scale."""
    with suppress(KeyboardInterrupt):
        publish("graph", run(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0))


if __name__ == "__main__":
    main()
