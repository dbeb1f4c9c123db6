"""`bailiwick rollback`: take the newest version out of service."""

from __future__ import annotations

from typing import Annotated

import typer

from bailiwick.cli.console import out, print_json
from bailiwick.cli.context import flags
from bailiwick.delivery.document import rollback_document
from bailiwick.traffic.weights import percent

app = typer.Typer(add_completion=False, help="Go back to the version served before.")


@app.command(epilog="Example:  bailiwick rollback cards --reason 'wrong answers on refunds'")
def rollback(
    ctx: typer.Context,
    domain: Annotated[str, typer.Argument(help="A domain's id.")],
    reason: Annotated[str | None, typer.Option(help="Why, for the audit trail.")] = None,
    revision: Annotated[int | None, typer.Option(help="Only if the plan still has this revision.")] = None,
) -> None:
    """Bring back what served before the newest version came; once more: go further back.

    It asks no gate and needs nothing but the database.
    """
    done = flags(ctx).platform.delivery.rollback(domain, actor=flags(ctx).actor(reason), expected_revision=revision)
    if flags(ctx).json:
        print_json(rollback_document(done))
        return
    shares = ", ".join(f"{version} {percent(weight)}" for version, weight in done.plan.weights.items())
    out.print(f"[bold green]Rolled back[/]: {', '.join(done.removed)} is out; {domain} is served by {shares}.")
    for experiment in done.paused:
        out.print(f"[yellow]Paused[/] the experiment {experiment}: one of its arms is what was taken out.")
    out.print(f"  next: bailiwick traffic history {domain}")
