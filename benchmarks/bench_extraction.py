"""Extraction of SQL beside the bare parser, in CPU seconds of one process.

The corpora lie in ``../shared/data``; without them there is nothing to measure. Every figure is the median over runs in
which Bailiwick and its peer take turns, so that both meet the same machine.
"""

from __future__ import annotations

import gc
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlglot
from simple_ddl_parser import DDLParser
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import lineage
from sqlglot.schema import MappingSchema

from bailiwick.extraction.model import Schema
from bailiwick.extraction.sql import read_definitions, read_statements, reader

CORPORA = Path(__file__).resolve().parents[2] / "shared" / "data"
RUNS = 7
_LINEAGE_RUNS = 3
_CALLS = 3
_DIALECT = "hive"


def run() -> list[dict[str, Any]]:
    """Measure; one record per figure. Empty where the corpora are absent."""
    if not CORPORA.is_dir():
        return []
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    inserts = _texts("tpcds-inserts/*.sql")
    schema = json.loads((CORPORA / "tpcds-inserts" / "schema.json").read_text())
    ddl = _ddl(schema)
    return [
        _throughput("queries, definitions and flows", inserts, None),
        _throughput("queries, with lineage", inserts, Schema(schema)),
        _throughput("DDL", ddl, Schema(schema)),
        _throughput("queries and DDL, with lineage", [*inserts, *ddl], Schema(schema)),
        _throughput("Hive fixtures", _texts("hive-sql/*.sql"), Schema()),
        _beside_ddl_parser(ddl),
        *_lineage(inserts, schema),
    ]


def _texts(pattern: str) -> list[str]:
    return [path.read_text() for path in sorted(CORPORA.glob(pattern))]


def _ddl(schema: dict[str, dict[str, str]]) -> list[str]:
    """The TPC-DS tables as Hive DDL, one file per table."""
    return [
        f"CREATE EXTERNAL TABLE IF NOT EXISTS {table} (\n"
        + ",\n".join(f"  {column} {kind}" for column, kind in columns.items())
        + f"\n)\nPARTITIONED BY (load_day string)\nSTORED AS ORC\nLOCATION 'hdfs://lake/{table}';\n"
        for table, columns in schema.items()
    ]


def _alternate(runs: int, *measured: Callable[[], object]) -> list[float]:
    """Median CPU seconds of each function, in turns, after one round that is not counted.

    Each turn calls the function several times and lets the collector run as it does in a long run: the dead trees of
    one file are collected while the next is read, and that is part of what reading costs, ours and the peer's.
    """
    seconds: list[list[float]] = [[] for _ in measured]
    for turn in range(runs + 1):
        for i, function in enumerate(measured):
            gc.collect()
            started = time.process_time()
            for _ in range(_CALLS):
                function()
            if turn:
                seconds[i].append((time.process_time() - started) / _CALLS)
    return [statistics.median(taken) for taken in seconds]


def _two_passes(texts: Sequence[str], schema: Schema | None) -> None:
    """Both passes over every file, as one worker process does them; without a schema, the first one only."""
    reader.forget()
    for i, text in enumerate(texts):
        read_definitions(text, f"{i}.sql", _DIALECT)
    if schema is not None:
        for i, text in enumerate(texts):
            read_statements(text, f"{i}.sql", _DIALECT, schema)


def _bare(texts: Sequence[str]) -> None:
    for text in texts:
        try:
            sqlglot.parse(text, dialect=_DIALECT)
        except SqlglotError:
            continue  # the bare parser gives up on the whole file


def _throughput(name: str, texts: Sequence[str], schema: Schema | None) -> dict[str, Any]:
    ours, bare = _alternate(RUNS, lambda: _two_passes(texts, schema), lambda: _bare(texts))
    kilobytes = sum(map(len, texts)) / 1_000
    return _record(
        f"extraction: {name}", kilobytes / ours, "kB/CPU s", 0.8 * kilobytes / bare, "higher", "sqlglot[c] parse only",
        kilobytes / bare, RUNS,
    )  # fmt: skip


def _beside_ddl_parser(texts: Sequence[str]) -> dict[str, Any]:
    def peer() -> None:
        for text in texts:
            DDLParser(text, silent=True).run(output_mode="hql")

    ours, theirs = _alternate(_LINEAGE_RUNS, lambda: _two_passes(texts, Schema()), peer)
    kilobytes = sum(map(len, texts)) / 1_000
    return _record(
        "extraction: DDL beside a DDL parser", kilobytes / ours, "kB/CPU s", kilobytes / theirs, "higher",
        "simple-ddl-parser", kilobytes / theirs, _LINEAGE_RUNS,
    )  # fmt: skip


def _lineage(texts: Sequence[str], schema: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    """Milliseconds per query with parsing, and column edges: ours beside ``sqlglot.lineage`` over all columns."""
    ours_schema, bare_schema = Schema(schema), MappingSchema(schema, dialect=_DIALECT)
    edges = [0, 0]

    def ours() -> None:
        reader.forget()
        facts = [read_statements(text, f"{i}.sql", _DIALECT, ours_schema) for i, text in enumerate(texts)]
        edges[0] = sum(fact.target_column is not None for part in facts for fact in part.lineage)

    def bare() -> None:
        edges[1] = sum(_bare_edges(text, bare_schema) for text in texts)

    seconds = _alternate(_LINEAGE_RUNS, ours, bare)
    mine, peer = (1_000 * taken / len(texts) for taken in seconds)
    return [
        _record("lineage: TPC-DS insert, with parsing", mine, "CPU ms/query", peer, "lower", "sqlglot.lineage", peer,
                _LINEAGE_RUNS),
        _record("lineage: TPC-DS column edges", edges[0], "edges", 972, "higher", "sqlglot.lineage", edges[1], 1),
    ]  # fmt: skip


def _bare_edges(text: str, schema: MappingSchema) -> int:
    count = 0
    for statement in sqlglot.parse(text, dialect=_DIALECT):
        if statement is None:
            continue
        query = statement
        if isinstance(statement, exp.Insert):
            query = statement.expression.copy()
            if statement.args.get("with_") is not None:
                query.set("with_", statement.args["with_"])
        for node in lineage(None, query, schema=schema, dialect=_DIALECT).values():
            leaves = (leaf for leaf in node.walk() if not leaf.downstream and isinstance(leaf.expression, exp.Table))
            count += len({(leaf.expression.name, leaf.name.rpartition(".")[2]) for leaf in leaves})
    return count


def _record(
    name: str, value: float, unit: str, goal: float, better: str, peer: str, peer_value: float, runs: int
) -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "goal": round(goal, 3),
        "better": better,
        "peer": peer,
        "peer_value": round(peer_value, 3),
        "runs": runs,
    }


def main() -> int:
    """Print the records as a table."""
    records = run()
    if not records:
        print("nothing to measure: ../shared/data is not here", file=sys.stderr)
        return 1
    for record in records:
        ratio = record["value"] / record["peer_value"]
        print(
            f"{record['name']:<48}{record['value']:>12,.2f} {record['unit']:<13}goal {record['goal']:>10,.2f}"
            f"   {record['peer']}: {record['peer_value']:,.2f}   ratio {ratio:.2f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
