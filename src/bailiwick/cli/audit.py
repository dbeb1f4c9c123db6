"""`bailiwick audit`: who changed what."""

from __future__ import annotations

from typing import Annotated

import typer

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.governance.audit import AuditEntry

app = typer.Typer(add_completion=False, help="Show who changed what.")


@app.command("list")
def list_entries(
    ctx: typer.Context,
    subject: Annotated[str | None, typer.Option(help="Only this subject, such as domain:cards.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 20,
) -> None:
    """The latest changes, newest first."""
    entries = flags(ctx).platform.audit.entries(subject=subject, limit=limit)
    if flags(ctx).json:
        print_json(entries)
        return
    rows = [(e.sequence, e.at, e.actor, _change(e)) for e in entries]
    print_table("Audit trail", ("#", "at (UTC)", "who", "change"), rows)
    if len(entries) == limit:
        out.print("Older ones: add [bold]--limit N[/]; one subject's: [bold]--subject domain:NAME[/]")


def _change(entry: AuditEntry) -> str:
    kind, _, name = entry.subject.partition(":")
    subject = name if name.startswith(f"{kind}-") else entry.subject
    return f"{entry.action} {subject}" + (f" ({entry.reason})" if entry.reason else "")


@app.callback()
def main() -> None:
    """Show who changed what."""
