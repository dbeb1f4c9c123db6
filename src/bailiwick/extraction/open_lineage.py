"""Exports a run as OpenLineage events, one JSON object per line, for catalogues that take them.

Three kinds of events of the specification 2-0-2: a DatasetEvent per table with its columns (schema facet), a JobEvent
per statement that moves data (inputs, outputs, columnLineage and sql facets) and per scheduled job, and one RunEvent
for the extraction itself. See https://openlineage.io/docs/spec/object-model.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bailiwick import __version__
from bailiwick.errors import InvalidInput
from bailiwick.extraction.report import ExtractionReport
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind

_SPEC: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"
_FACETS: Final = "https://openlineage.io/spec/facets/"
_PRODUCER: Final = f"https://bailiwick.dev/extraction/{__version__}"
_DIRECT = {"identity": "IDENTITY", "aggregate": "AGGREGATION"}


def write_events(path: Path, report: ExtractionReport) -> int:
    """Write the events of a run to a file and give their number.

    Raises:
        InvalidInput: the file cannot be written.
    """
    lines = [json.dumps(event, ensure_ascii=False, sort_keys=True) for event in events(report)]
    try:
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise InvalidInput(
            f"cannot write the OpenLineage file: {error.strerror}", what="open_lineage", where=str(path)
        ) from error
    return len(lines)


def events(report: ExtractionReport) -> Iterator[dict[str, Any]]:
    """The events of a run: data sets, then jobs, then the run itself."""
    view = _View(report)
    at = report.started_at.isoformat()
    for table in view.tables:
        yield _event("DatasetEvent", at, dataset=view.dataset(table))
    for statement in view.of_kind(NodeKind.STATEMENT):
        inputs, outputs = view.inputs(statement), view.outputs(statement)
        if outputs:
            facets = {"sql": _facet("1-1-0/SQLJobFacet", "SQLJobFacet", query=statement.properties.get("text", ""))}
            yield _event("JobEvent", at, job=view.job(statement, "SQL", facets), inputs=inputs, outputs=outputs)
    for job in view.of_kind(NodeKind.JOB):
        yield _event("JobEvent", at, job=view.job(job, "JOB", {}), inputs=[], outputs=[])
    yield _run_event(report, at)


def _run_event(report: ExtractionReport, at: str) -> dict[str, Any]:
    run = {"runId": str(uuid.uuid5(uuid.NAMESPACE_URL, report.run)), "facets": {}}
    job = {"namespace": report.source, "name": "bailiwick.extract", "facets": {}}
    return _event("RunEvent", at, eventType="COMPLETE", run=run, job=job, inputs=[], outputs=[])


def _event(kind: str, at: str, **parts: Any) -> dict[str, Any]:
    return {"eventTime": at, "producer": _PRODUCER, "schemaURL": f"{_SPEC}{kind}", **parts}


def _facet(schema: str, name: str, **content: Any) -> dict[str, Any]:
    version = schema.split("/", 1)
    return {"_producer": _PRODUCER, "_schemaURL": f"{_FACETS}{version[0]}/{version[1]}.json#/$defs/{name}", **content}


class _View:
    """The graph of a run, indexed for the questions of the export."""

    def __init__(self, report: ExtractionReport) -> None:
        self._namespace = report.source
        self._nodes = {node.id: node for node in report.nodes}
        self._out: dict[tuple[str, EdgeKind], list[Edge]] = defaultdict(list)
        self._into: dict[tuple[str, EdgeKind], list[Edge]] = defaultdict(list)
        for edge in report.edges:
            self._out[edge.start, edge.kind].append(edge)
            self._into[edge.end, edge.kind].append(edge)
        self.tables = [node for node in report.nodes if node.kind in {NodeKind.TABLE, NodeKind.VIEW}]

    def of_kind(self, kind: NodeKind) -> Iterable[Node]:
        """Nodes of a kind, in file order."""
        return (node for node in self._nodes.values() if node.kind is kind)

    def dataset(self, table: Node, facets: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A table with its columns."""
        fields = [self._field(column) for column in self._columns(table)]
        schema = {"schema": _facet("1-1-1/SchemaDatasetFacet", "SchemaDatasetFacet", fields=fields)} if fields else {}
        return {"namespace": self._namespace, "name": table.qualified_name, "facets": {**schema, **(facets or {})}}

    def inputs(self, statement: Node) -> list[dict[str, Any]]:
        """What a statement reads."""
        return [self.dataset(self._nodes[edge.end]) for edge in self._out[statement.id, EdgeKind.READS]]

    def outputs(self, statement: Node) -> list[dict[str, Any]]:
        """What a statement writes from what it reads, with the origin of each column."""
        if not self._out[statement.id, EdgeKind.READS]:
            return []
        written = [self._nodes[edge.end] for edge in self._out[statement.id, EdgeKind.WRITES]]
        return [self.dataset(table, self._lineage(table, statement)) for table in written]

    def job(self, node: Node, kind: str, facets: Mapping[str, Any]) -> dict[str, Any]:
        """A statement or a scheduled job."""
        told = _facet(
            "2-0-3/JobTypeJobFacet",
            "JobTypeJobFacet",
            processingType="BATCH",
            integration="BAILIWICK" if kind == "SQL" else "CONTROL_M",
            jobType="QUERY" if kind == "SQL" else "JOB",
        )
        return {"namespace": self._namespace, "name": node.qualified_name, "facets": {"jobType": told, **facets}}

    def _columns(self, table: Node) -> Sequence[Node]:
        children = (self._nodes[edge.end] for edge in self._out[table.id, EdgeKind.HAS])
        columns = [node for node in children if node.kind is NodeKind.COLUMN]
        return sorted(columns, key=lambda column: (column.properties.get("ordinal", 10**6), column.name))

    def _field(self, column: Node) -> dict[str, Any]:
        field = {"name": column.name, "type": column.properties.get("type")}
        if column.properties.get("comment"):
            field["description"] = column.properties["comment"]
        return {name: value for name, value in field.items() if value is not None}

    def _lineage(self, table: Node, statement: Node) -> dict[str, Any]:
        fields = {
            column.name: {"inputFields": found}
            for column in self._columns(table)
            if (found := [self._input(e) for e in self._into[column.id, EdgeKind.DERIVES] if _said_by(e, statement)])
        }
        if not fields:
            return {}
        name = "ColumnLineageDatasetFacet"
        return {"columnLineage": _facet(f"1-2-0/{name}", name, fields=fields)}

    def _input(self, edge: Edge) -> dict[str, Any]:
        table, _, column = self._nodes[edge.start].qualified_name.rpartition(".")
        owner = next((e for e in self._into[edge.start, EdgeKind.HAS]), None)
        if owner is not None:  # a nested column has dots in its name
            table = self._nodes[owner.start].qualified_name
            column = self._nodes[edge.start].name
        transformation = str(edge.properties.get("transformation", ""))
        how = {
            "type": "DIRECT",
            "subtype": _DIRECT.get(transformation, "TRANSFORMATION"),
            "description": transformation,
        }
        return {"namespace": self._namespace, "name": table, "field": column, "transformations": [how]}


def _said_by(edge: Edge, statement: Node) -> bool:
    return edge.properties.get("statement") == statement.id
