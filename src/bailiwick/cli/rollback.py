"""`bailiwick rollback`: take the newest version out of service."""

from __future__ import annotations

from typing import Annotated

import typer

from bailiwick.cli.console import out, print_json
from bailiwick.cli.context import flags
from bailiwick.delivery.document import event_document, rollback_document
from bailiwick.errors import InvalidInput
from bailiwick.traffic.weights import percent

app = typer.Typer(add_completion=False, help="Go back to the version served before.")


@app.command(epilog="Example:  bailiwick rollback cards --reason 'wrong answers on refunds'")
def rollback(
    ctx: typer.Context,
    domain: Annotated[str | None, typer.Argument(help="A domain's id; with --events the default is all.")] = None,
    events: Annotated[bool, typer.Option("--events", help="List the rollbacks that happened; change nothing.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Of the list.")] = 20,
    reason: Annotated[str | None, typer.Option(help="Why, for the audit trail.")] = None,
    revision: Annotated[int | None, typer.Option(help="Only if the plan still has this revision.")] = None,
) -> None:
    """Bring back what served before the newest version came; once more: go further back.

    It asks no gate, no approval and no freeze, and needs nothing but the database.
    """
    if events:
        _list(ctx, domain, limit)
        return
    if domain is None:
        raise InvalidInput("roll back which domain?", what="domain", remedy="bailiwick rollback DOMAIN")
    done = flags(ctx).platform.delivery.rollback(domain, actor=flags(ctx).actor(reason), expected_revision=revision)
    if flags(ctx).json:
        print_json(rollback_document(done))
        return
    shares = ", ".join(f"{version} {percent(weight)}" for version, weight in done.plan.weights.items())
    out.print(f"[bold green]Rolled back[/]: {', '.join(done.removed)} is out; {domain} is served by {shares}.")
    for experiment in done.paused:
        out.print(f"[yellow]Paused[/] the experiment {experiment}: one of its arms is what was taken out.")
    out.print(f"  next: bailiwick traffic history {domain}")


def _list(ctx: typer.Context, domain: str | None, limit: int) -> None:
    found = flags(ctx).platform.delivery.rollbacks(domain, limit=limit)
    if flags(ctx).json:
        print_json([event_document(each) for each in found])
        return
    for each in found:
        how = "by itself" if each.automatic else f"by {each.actor}"
        out.print(f"[bold]{each.at:%Y-%m-%d %H:%M:%S}Z  {each.domain}[/]  {how}", soft_wrap=True)
        back = ", ".join(f"{percent(weight)} {version}" for version, weight in each.restored.items())
        out.print(f"  out   {', '.join(each.removed)}\n  back  {back}", soft_wrap=True)
        if each.reason:
            out.print(f"  why   {each.reason}", markup=False, soft_wrap=True)
        if each.metric is not None:
            numbers = f"{each.current:.4g} of {each.samples}, against {each.baseline:.4g} of {each.baseline_samples}"
            out.print(f"  rule  {each.rule}: {each.metric} {numbers}", markup=False, soft_wrap=True)
    if not found:
        out.print("Nothing was rolled back yet.")
