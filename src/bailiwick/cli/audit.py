"""`bailiwick audit`: who changed what."""

from __future__ import annotations

from typing import Annotated

import typer

from bailiwick.cli.console import print_json, print_table
from bailiwick.cli.context import flags

app = typer.Typer(help="Show who changed what.")


@app.command("list")
def list_entries(
    ctx: typer.Context,
    subject: Annotated[str | None, typer.Option(help="Only this subject, such as domain:cards.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
) -> None:
    """The latest changes, newest first."""
    entries = flags(ctx).platform.audit.entries(subject=subject, limit=limit)
    if flags(ctx).json:
        print_json(entries)
        return
    print_table(
        "Audit trail",
        ("#", "at", "who", "action", "subject", "why"),
        [(e.sequence, e.at, e.actor, e.action, e.subject, e.reason) for e in entries],
    )


@app.callback()
def main() -> None:
    """Show who changed what."""
