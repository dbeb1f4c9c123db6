"""What an extraction run found, and what became of every file and statement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from bailiwick.extraction.assemble import Assembled
from bailiwick.extraction.model import StatementOutcome
from bailiwick.graph.model import Edge, EdgeKind, Node, NodeKind
from bailiwick.graph.ports import SyncReport


class FileStatus(StrEnum):
    """What became of a file."""

    READ = "read"
    UNCHANGED = "unchanged"  # same content and same schema as last time: the result of last time was taken
    SKIPPED = "skipped"  # sound, but nothing that a reader knows, or left out on purpose
    FAILED = "failed"  # what was known of it from earlier runs stays


@dataclass(frozen=True, slots=True)
class FileReport:
    """One file (or folder, link, pipe) and what became of it.

    Args:
        statements: outcome to count, such as ``{"parsed": 3, "fallback": 1}``.
        message: why it was skipped or failed; None otherwise.
    """

    name: str
    kind: str
    status: FileStatus
    message: str | None = None
    line: int | None = None
    statements: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class InferredKey:
    """A foreign key that nobody declared. Columns are written ``table.column``."""

    column: str
    references: str
    confidence: float


@dataclass(frozen=True, slots=True)
class ExtractionReport:
    """A run, whole.

    Args:
        complete: every file could be read; only then are vanished elements tombstoned.
        assets: node kind to count; ``relations``: edge kind to count; ``outcomes``: statement outcome to count.
        columns_resolved: output columns of statements whose sources are fully known, of ``columns_total``.
        dangling_conditions: conditions that a job awaits and nothing raises.
        sync: what the graph store changed; None after a dry run.
        statements: every statement's outcome, in file order.
        nodes: all that was given to the store; ``edges`` likewise.
    """

    run: str
    source: str
    paths: tuple[str, ...]
    started_at: datetime
    complete: bool
    dry_run: bool
    files: tuple[FileReport, ...]
    assets: Mapping[str, int]
    relations: Mapping[str, int]
    outcomes: Mapping[str, int]
    columns_resolved: int
    columns_total: int
    inferred_keys: tuple[InferredKey, ...]
    dangling_conditions: tuple[str, ...]
    sync: SyncReport | None
    statements: tuple[StatementOutcome, ...] = ()
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()

    @property
    def failed(self) -> tuple[FileReport, ...]:
        """What could not be read."""
        return tuple(file for file in self.files if file.status is FileStatus.FAILED)

    @property
    def files_by_status(self) -> Mapping[str, int]:
        """File status to count."""
        return dict(Counter(file.status.value for file in self.files))

    def summary(self) -> dict[str, Any]:
        """The counts as JSON values, without files and statements."""
        sync = self.sync
        return {
            "run": self.run,
            "source": self.source,
            "paths": list(self.paths),
            "complete": self.complete,
            "dry_run": self.dry_run,
            "files": dict(self.files_by_status),
            "assets": dict(self.assets),
            "relations": dict(self.relations),
            "outcomes": dict(self.outcomes),
            "columns_resolved": self.columns_resolved,
            "columns_total": self.columns_total,
            "inferred_keys": len(self.inferred_keys),
            "dangling_conditions": list(self.dangling_conditions),
            "sync": None if sync is None else {name: getattr(sync, name) for name in SyncReport.__slots__},
        }


def count_assets(assembled: Assembled) -> dict[str, int]:
    """Node kind to count, in the order of the kinds."""
    counts = Counter(node.kind for node in assembled.nodes)
    return {kind.value: counts[kind] for kind in NodeKind if counts[kind]}


def count_relations(assembled: Assembled) -> dict[str, int]:
    """Edge kind to count, in the order of the kinds."""
    counts = Counter(edge.kind for edge in assembled.edges)
    return {kind.value: counts[kind] for kind in EdgeKind if counts[kind]}


def inferred_keys(assembled: Assembled) -> tuple[InferredKey, ...]:
    """Every guessed foreign key, the surest first."""
    found = [
        InferredKey(f"{table.name}.{key.columns[0]}", f"{key.table}.{key.references[0]}", key.confidence)
        for table in assembled.tables.values()
        for key in table.foreign_keys
        if key.inferred
    ]
    return tuple(sorted(found, key=lambda key: (-key.confidence, key.column)))


def dangling_conditions(assembled: Assembled) -> tuple[str, ...]:
    """Names of conditions that are awaited in vain."""
    return tuple(sorted(n.name for n in assembled.nodes if n.properties.get("never_raised")))


def count_outcomes(statements: Sequence[StatementOutcome]) -> dict[str, int]:
    """Statement outcome to count."""
    return dict(Counter(statement.outcome.value for statement in statements))
