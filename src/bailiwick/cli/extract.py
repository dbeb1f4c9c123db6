"""`bailiwick extract`: files into the knowledge graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from bailiwick.cli.console import counted, err, out, print_json, print_table, progress_bar
from bailiwick.cli.context import flags
from bailiwick.extraction.model import Outcome, StatementOutcome
from bailiwick.extraction.open_lineage import write_events
from bailiwick.extraction.report import ExtractionReport, FileStatus
from bailiwick.extraction.service import DEFAULT_DIALECT

app = typer.Typer(add_completion=False, help="Read files into the knowledge graph.")

_SHOWN = 8
_WIDEST = 300
_COLOURS = {Outcome.PARSED: "green", Outcome.FALLBACK: "yellow", Outcome.ERROR: "red", Outcome.TIMEOUT: "red"}
_INCOMPLETE = 1


@app.command()
def extract(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Folders or files: SQL, Hive DDL, JSON tables, Control-M XML.")],
    source: Annotated[
        str | None, typer.Option(help="Name that owns what is found; use it for the same paths each time.")
    ] = None,
    dialect: Annotated[
        str, typer.Option(help="SQL dialect of files whose ending names none; auto: look at each.")
    ] = DEFAULT_DIALECT,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes; default: few for small inputs, else one per core.")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="List every statement and what became of it.")] = False,
    open_lineage: Annotated[
        Path | None, typer.Option(help="Write OpenLineage events to this file, one JSON object per line.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and report, write nothing.")] = False,
    max_removed: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Hold removals back when they are a larger share than this.")
    ] = 0.5,
) -> None:
    """Read files into the knowledge graph: assets, relations, lineage, jobs.

    Only what changed since the last time is read again. What is gone is
    removed (it can come back) once every file could be read.

    Exit status: 0 when every file and statement could be read; 1 when some
    could not (the rest is stored, the reasons are recorded); 2 when a path
    or option is wrong, and nothing was done.

    Examples:
        bailiwick extract ./warehouse

        bailiwick extract ddl/ jobs/ --source core-bank --explain

        bailiwick extract ./warehouse --dry-run --open-lineage events.jsonl
    """
    service = flags(ctx).platform.extraction
    with progress_bar() as bar:
        stages: dict[str, Any] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = bar.add_task(stage, total=total)
            bar.update(stages[stage], completed=done, total=total)

        report = service.extract(
            paths,
            actor=flags(ctx).actor(),
            source=source,
            dialect=dialect,
            workers=workers,
            dry_run=dry_run,
            max_removed_fraction=max_removed,
            progress=progress,
        )
    if open_lineage is not None:
        count = write_events(open_lineage, report)
        err.print(f"{count} OpenLineage events written to {escape(str(open_lineage))}")
    if flags(ctx).json:
        print_json(_as_json(report, explain=explain))
    else:
        _print(report, explain=explain)
    if report.failed or any(report.outcomes.get(outcome) for outcome in (Outcome.ERROR, Outcome.TIMEOUT)):
        raise typer.Exit(_INCOMPLETE)


def _as_json(report: ExtractionReport, *, explain: bool) -> dict[str, Any]:
    document = {
        **report.summary(),
        "failed": list(report.failed),
        "inferred_keys": list(report.inferred_keys),
        "problems": [_without_text(statement) for statement in report.statements if _is_problem(statement)],
    }
    return {**document, "statements": list(report.statements)} if explain else document


def _print(report: ExtractionReport, *, explain: bool) -> None:
    if explain:
        _print_statements(report.statements)
    statuses = Counter(file.status.value for file in report.files)
    kinds = Counter(file.kind for file in report.files if file.status is not FileStatus.SKIPPED)
    rows = [
        ("files", ", ".join(f"{statuses[status.value]:,} {status.value}" for status in FileStatus)),
        ("of kind", counted(kinds)),
        ("statements, tables, jobs", counted(report.outcomes)),
        ("assets", counted(report.assets)),
        ("relations", counted(report.relations)),
    ]
    print_table("What was found", ("what", "how many"), [row for row in rows if row[1]])
    problems = [statement for statement in report.statements if _is_problem(statement)]
    if problems and not explain:
        _print_statements(problems[:_SHOWN], title="Not simply parsed")
        if len(problems) > _SHOWN:
            out.print(f"... and {len(problems) - _SHOWN} more: add --explain")
    if report.inferred_keys:
        print_table(
            "Inferred foreign keys",
            ("column", "refers to", "confidence"),
            [(key.column, key.references, key.confidence) for key in report.inferred_keys[:_SHOWN]],
        )
        if len(report.inferred_keys) > _SHOWN:
            out.print(f"... and {len(report.inferred_keys) - _SHOWN} more: add --json")
    if report.failed:
        print_table(
            "Could not be read",
            ("file", "line", "why"),
            [(file.name, file.line, file.message) for file in report.failed],
        )
    _print_closing(report)


def _print_statements(statements: Sequence[StatementOutcome], title: str = "Statements") -> None:
    out.print(f"[bold]{title}[/]")
    for statement in statements:
        colour = _COLOURS[statement.outcome]
        out.print(
            f"{escape(statement.file)}:{statement.line}  [{colour}]{statement.outcome.value}[/]  "
            f"{escape(statement.kind)}  [dim]{escape(statement.parser)}[/]",
            soft_wrap=True,
        )
        told = (
            ("what", statement.text if statement.kind == "job" else None),
            ("reads", ", ".join(statement.reads)),
            ("writes", ", ".join(statement.writes)),
            ("why", statement.message),
        )
        for label, text in told:
            if text:
                out.print(f"    [dim]{label}[/] {escape(' '.join(text.split())[:_WIDEST])}", soft_wrap=True)
    out.print()


def _print_closing(report: ExtractionReport) -> None:
    if report.columns_total:
        share = report.columns_resolved / report.columns_total
        out.print(f"Column lineage: {report.columns_resolved} of {report.columns_total} output columns ({share:.1%})")
    if report.dangling_conditions:
        names = ", ".join(report.dangling_conditions[:5])
        out.print(f"{len(report.dangling_conditions)} conditions are awaited and never raised: {escape(names)}")
    sync = report.sync
    if sync is None:
        out.print("Dry run: nothing was written.")
        return
    out.print(
        f"Graph: {sync.added} added, {sync.changed} changed, {sync.unchanged} unchanged, {sync.tombstoned} removed"
    )
    if sync.held_back and report.complete:
        out.print(
            f"[yellow]{sync.held_back} removals were held back: a large part is gone.[/] If so, add --max-removed 1"
        )
    elif sync.held_back:
        out.print(f"[yellow]{sync.held_back} removals wait until every file can be read.[/]")
    out.print(f"Run {report.run} of source {escape(report.source)}")
    out.print("Next: [bold]bailiwick detect[/] tags this with domains; [bold]bailiwick graph[/] looks into it.")


def _is_problem(statement: StatementOutcome) -> bool:
    return statement.outcome is not Outcome.PARSED


def _without_text(statement: StatementOutcome) -> dict[str, Any]:
    return {name: getattr(statement, name) for name in ("file", "line", "kind", "outcome", "parser", "message")}
