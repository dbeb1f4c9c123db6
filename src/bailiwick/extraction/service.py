"""Runs an extraction: finds files, reads what changed, assembles and writes the graph, records what became of all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from bailiwick.clock import Clock
from bailiwick.errors import InvalidInput
from bailiwick.extraction import report as reporting
from bailiwick.extraction.assemble import Assembled, FileEntry, assemble, namespace_of
from bailiwick.extraction.executors import InProcess, WorkerPool
from bailiwick.extraction.files import FoundFile, Listing, Unreadable, read_bytes, sha256, walk
from bailiwick.extraction.model import FileFacts, Schema
from bailiwick.extraction.ports import Executor, TaskFailure
from bailiwick.extraction.reading import ReadResult, ReadTask, check_dialect, read_first, read_second, reader_version
from bailiwick.extraction.report import ExtractionReport, FileReport, FileStatus
from bailiwick.extraction.store import CachedFile, ExtractionStore, RecordedOutcome, RunRecord
from bailiwick.governance.audit import Actor, AuditTrail
from bailiwick.graph.ports import GraphStore
from bailiwick.storage.database import Database
from bailiwick.storage.ids import new_id

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, how much of it is done, and how much there is."""

DEFAULT_DIALECT: Final = "auto"
FILE_TIMEOUT_S: Final = 60.0
_SMALL_TOTAL_BYTES = 512 * 1024  # below this, starting processes costs more than it saves
_SMALL_FILE_BYTES = 128 * 1024
_READABLE = frozenset({"sql", "json", "csv", "xml"})


@dataclass
class _Reading:
    """A file on its way through a run."""

    found: FoundFile
    cached: CachedFile | None = None
    content_sha256: str = ""
    definitions: FileFacts | None = None
    facts: FileFacts | None = None
    status: FileStatus = FileStatus.READ
    message: str | None = None
    line: int | None = None
    fingerprint: str = ""

    @property
    def name(self) -> str:
        return self.found.name

    @property
    def two_passes(self) -> bool:
        return self.found.kind == "sql"

    @property
    def known(self) -> bool:
        """Facts or definitions are there, from now or from before."""
        return self.facts is not None or self.definitions is not None

    def fail(self, message: str, line: int | None = None) -> None:
        """Nothing new is known; what an earlier run knew stays."""
        self.status, self.message, self.line = FileStatus.FAILED, message, line
        self.facts = self.cached.facts if self.cached else None
        self.definitions = self.cached.definitions if self.cached else None
        self.content_sha256 = self.cached.content_sha256 if self.cached else ""

    def skip(self, message: str, line: int | None = None) -> None:
        self.status, self.message, self.line = FileStatus.SKIPPED, message, line
        self.facts = self.definitions = None


@dataclass
class _Run:
    """What one call of `ExtractionService.extract` works with."""

    source: str
    dialect: str
    executor: Executor
    progress: Progress
    readings: list[_Reading] = field(default_factory=list)


class ExtractionService:
    """Reads files into the knowledge graph.

    Args:
        database: for the cache of file results, the runs and the audit trail.
        audit: every run that writes is recorded there.
        graph: where the elements go.
        clock: for run ids and times.
        workers: processes when a call names no number; 0: one per core.
    """

    def __init__(
        self, database: Database, audit: AuditTrail, graph: GraphStore, clock: Clock, *, workers: int = 0
    ) -> None:
        self._database = database
        self._audit = audit
        self._graph = graph
        self._clock = clock
        self._workers = workers
        self._store = ExtractionStore(database)

    def extract(
        self,
        paths: Sequence[Path],
        *,
        actor: Actor,
        source: str | None = None,
        dialect: str = DEFAULT_DIALECT,
        workers: int | None = None,
        dry_run: bool = False,
        max_removed_fraction: float = 0.5,
        timeout_s: float = FILE_TIMEOUT_S,
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> ExtractionReport:
        """Read the files below the paths and make the source's part of the graph agree with them.

        Two passes: every definition first, then the statements with the schema of all files, for without it most
        column lineage is lost. Files whose content, reader and underlying tables are as they were are not read again.
        The graph is written by one call; elements that are gone are tombstoned only when every file could be read.
        A file that fails keeps what an earlier run knew of it.

        Args:
            paths: folders or files.
            actor: for the audit trail.
            source: owner of the elements; the same name must cover the same paths each time. Default: the paths.
            dialect: of SQL files whose ending names none; ``auto`` looks at each text.
            workers: processes; 1 reads in this process. Default: as configured.
            dry_run: read and report, write nothing.
            max_removed_fraction: a larger share of removals is held back; see `GraphStore.sync_source`.
            timeout_s: seconds that one file may take in one pass (enforced in worker processes).
            executor: another way to spread the work.
            progress: called as files are done.

        Raises:
            InvalidInput: a path or the dialect does not exist. Nothing is written.
        """
        check_dialect(dialect)
        started_at = self._clock.now()
        run_id = new_id("extract", started_at)
        listing = walk(paths)
        run = _Run(
            source=source or _default_source(paths),
            dialect=dialect,
            executor=executor or self._executor(listing, workers),
            progress=progress or (lambda stage, done, total: None),
        )
        cached = self._store.cached(run.source)
        run.readings = [_Reading(found, cached.get(found.name)) for found in listing.files]
        _recall(run)
        _first_pass(run, timeout_s)
        _second_pass(run, timeout_s)
        complete = not any(problem.failed for problem in listing.problems) and not any(
            reading.status is FileStatus.FAILED for reading in run.readings
        )
        entries = _entries(run, cached, listing)
        run.progress("assembling", 0, 1)
        assembled = assemble(entries, source=run.source, run=run_id)
        run.progress("assembling", 1, 1)
        report = _report(
            run, run_id, paths, listing, assembled, started_at=started_at, complete=complete, dry_run=dry_run
        )
        if dry_run:
            return report
        run.progress("writing", 0, 1)
        sync = self._graph.sync_source(
            run.source, assembled.nodes, assembled.edges, complete=complete, max_removed_fraction=max_removed_fraction
        )
        report = replace(report, sync=sync)
        self._finish(run, report, actor, gone=set(cached) - {r.name for r in run.readings} if complete else set())
        run.progress("writing", 1, 1)
        return report

    def runs(self, *, source: str | None = None, limit: int = 50) -> Sequence[RunRecord]:
        """The latest runs, newest first."""
        return self._store.runs(source=source, limit=limit)

    def outcomes(
        self, run: str, *, outcome: str | None = None, limit: int = 1_000, offset: int = 0
    ) -> tuple[int, Sequence[RecordedOutcome]]:
        """How many statements and files of a run were not simply read, and one page of them.

        Raises:
            NotFound: there is no such run.
        """
        return self._store.outcomes(run, outcome=outcome, limit=limit, offset=offset)

    def facts(self, source: str) -> Sequence[FileFacts]:
        """What each file of a source gave when it was last read, by name."""
        return [file.facts for _, file in sorted(self._store.cached(source).items())]

    def _executor(self, listing: Listing, workers: int | None) -> Executor:
        wanted = workers if workers is not None else self._workers
        if wanted < 0:
            raise InvalidInput(f"workers must not be negative, got {wanted}", what="workers", requested=wanted)
        sizes = [found.size for found in listing.files if found.kind in _READABLE]
        small = sum(sizes) <= _SMALL_TOTAL_BYTES and max(sizes, default=0) <= _SMALL_FILE_BYTES
        if wanted == 1 or (small and not workers):
            return InProcess()
        return WorkerPool(wanted or os.cpu_count() or 1)

    def _finish(self, run: _Run, report: ExtractionReport, actor: Actor, *, gone: Iterable[str]) -> None:
        fresh = [
            CachedFile(
                path=reading.name,
                content_sha256=reading.content_sha256,
                reader_version=reader_version(run.dialect),
                schema_fingerprint=reading.fingerprint,
                facts=reading.facts,
                definitions=reading.definitions if reading.two_passes else None,
            )
            for reading in run.readings
            if reading.status is FileStatus.READ and reading.facts is not None
        ]
        with self._database.write() as connection:
            self._store.remember(connection, run.source, report.run, fresh, sorted(gone))
            self._store.record(connection, report, finished_at=self._clock.now(), actor=actor.name)
            self._audit.record(connection, actor, "extraction.run", f"extraction:{report.run}", after=report.summary())


def _recall(run: _Run) -> None:
    """Take from the cache what has the same content and reader; whether the schema moved is seen later."""
    version = reader_version(run.dialect)
    for reading in run.readings:
        if reading.cached is None or reading.cached.reader_version != version:
            continue
        try:
            digest = sha256(read_bytes(reading.found.path))
        except Unreadable as error:
            reading.fail(error.message)
            continue
        if digest == reading.cached.content_sha256:
            reading.status, reading.content_sha256 = FileStatus.UNCHANGED, digest
            reading.facts, reading.definitions = reading.cached.facts, reading.cached.definitions
            reading.fingerprint = reading.cached.schema_fingerprint


def _first_pass(run: _Run, timeout_s: float) -> None:
    wanted = []
    for reading in run.readings:
        if reading.found.kind not in _READABLE:
            reading.skip("not a kind of file that is read")
        elif reading.status is FileStatus.READ:
            wanted.append(reading)
    tasks = [_task(run, reading) for reading in wanted]
    for reading, result in zip(wanted, _map(run, "reading", read_first, tasks, None, timeout_s), strict=True):
        facts = _taken(reading, result)
        if facts is not None:
            reading.content_sha256 = facts.content_sha256
            reading.definitions, reading.facts = (facts, None) if reading.two_passes else (None, facts)


def _second_pass(run: _Run, timeout_s: float) -> None:
    """Statements of SQL files, with the schema that the first pass found."""
    sql = [reading for reading in run.readings if reading.two_passes and reading.known]
    namespace = namespace_of(_first_entries(run))
    folders = {reading.found.folder for reading in sql}
    views = {folder: namespace.view(folder) for folder in folders}
    wanted = []
    for reading in sql:
        if reading.status is FileStatus.UNCHANGED and reading.facts is not None:
            if reading.fingerprint == _fingerprint(reading.facts, views[reading.found.folder]):
                continue
            reading.status = FileStatus.READ
        if reading.status is FileStatus.READ:
            wanted.append(reading)
    tasks = [_task(run, reading) for reading in wanted]
    needed = {folder: views[folder] for folder in {task.folder for task in tasks}}
    for reading, result in zip(wanted, _map(run, "lineage", read_second, tasks, needed, timeout_s), strict=True):
        facts = _taken(reading, result)
        if facts is not None:
            reading.facts = facts
            reading.fingerprint = _fingerprint(facts, views[reading.found.folder])


def _map(
    run: _Run,
    stage: str,
    function: Callable[..., ReadResult],
    tasks: Sequence[ReadTask],
    shared: Mapping[str, Schema] | None,
    timeout_s: float,
) -> list[ReadResult | TaskFailure]:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        run.progress(stage, done, len(tasks))

    run.progress(stage, 0, len(tasks))
    return run.executor.map(function, tasks, shared=shared, timeout_s=timeout_s, done=count) if tasks else []


def _taken(reading: _Reading, result: ReadResult | TaskFailure) -> FileFacts | None:
    """The facts of a result; a result without facts settles what became of the file."""
    if isinstance(result, TaskFailure):
        reading.fail(f"{result.reason}: {result.message}")
        return None
    if result.facts is None:
        settle = reading.fail if result.failed else reading.skip
        settle(result.message or "no facts", result.line)
        return None
    return result.facts


def _task(run: _Run, reading: _Reading) -> ReadTask:
    found = reading.found
    return ReadTask(found.name, found.path, found.kind, run.dialect, found.folder, reading.content_sha256)


def _first_entries(run: _Run) -> Iterable[FileEntry]:
    for reading in run.readings:
        facts = reading.definitions if reading.two_passes else reading.facts
        if facts is not None:
            yield FileEntry(reading.name, reading.found.kind, reading.found.size, facts=facts)


def _fingerprint(facts: FileFacts, schema: Schema) -> str:
    """A digest of what a file's lineage rests on: the columns of the tables that its statements name."""
    rests_on = [[name, list(schema.columns.get(name, {}).items())] for name in sorted(facts.depends_on())]
    return hashlib.sha256(json.dumps(rests_on).encode()).hexdigest() if rests_on else ""


def _entries(run: _Run, cached: Mapping[str, CachedFile], listing: Listing) -> list[FileEntry]:
    """Every file of the estate, with those behind a door that did not open as they were last seen."""
    entries = [
        FileEntry(reading.name, reading.found.kind, reading.found.size, reading.content_sha256, reading.facts)
        for reading in run.readings
    ]
    present = {entry.name for entry in entries}
    closed = tuple(problem.name for problem in listing.problems if problem.failed)
    for name, file in cached.items():
        if name not in present and any(name == door or name.startswith(f"{door}/") for door in closed):
            entries.append(FileEntry(name, "unknown", 0, file.content_sha256, file.facts))
    return sorted(entries, key=lambda entry: entry.name)


def _report(
    run: _Run,
    run_id: str,
    paths: Sequence[Path],
    listing: Listing,
    assembled: Assembled,
    *,
    started_at: datetime,
    complete: bool,
    dry_run: bool,
) -> ExtractionReport:
    statements = tuple(o for reading in run.readings if reading.facts for o in reading.facts.outcomes)
    files = [
        FileReport(
            reading.name,
            reading.found.kind,
            reading.status,
            reading.message,
            reading.line,
            reporting.count_outcomes(reading.facts.outcomes) if reading.facts else None,
        )
        for reading in run.readings
    ]
    files += [
        FileReport(p.name, "unknown", FileStatus.FAILED if p.failed else FileStatus.SKIPPED, p.message)
        for p in listing.problems
    ]
    return ExtractionReport(
        run=run_id,
        source=run.source,
        paths=tuple(str(path) for path in paths),
        started_at=started_at,
        complete=complete,
        dry_run=dry_run,
        files=tuple(sorted(files, key=lambda file: file.name)),
        assets=reporting.count_assets(assembled),
        relations=reporting.count_relations(assembled),
        outcomes=reporting.count_outcomes(statements),
        columns_resolved=sum(statement.columns_resolved for statement in statements),
        columns_total=sum(statement.columns_total for statement in statements),
        inferred_keys=reporting.inferred_keys(assembled),
        dangling_conditions=reporting.dangling_conditions(assembled),
        sync=None,
        statements=statements,
        nodes=assembled.nodes,
        edges=assembled.edges,
    )


def _default_source(paths: Sequence[Path]) -> str:
    """The absolute paths: another folder of the same name must not take this one's elements for gone."""
    return " ".join(sorted({path.resolve().as_uri() for path in paths}))
