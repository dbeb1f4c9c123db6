"""`bailiwick privacy`: budgets, what a release would cost, releases, and audits of our own claims."""

from __future__ import annotations

from typing import Annotated

import typer

from bailiwick.cli import privacy_audit, privacy_budget, privacy_plan, privacy_release
from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.errors import NotFound

app = typer.Typer(help="Privacy budgets, private releases, and audits of both.", no_args_is_help=True)
app.add_typer(privacy_budget.app, name="budget")

privacy_plan.register(app)
privacy_release.register(app)
privacy_audit.register(app)


@app.command(epilog="Example:  bailiwick privacy cards  |  bailiwick privacy cards charge-20261123T190428-5f3a9c1e")
def cards(
    ctx: typer.Context,
    charge: Annotated[str | None, typer.Argument(help="One release in full; default: the latest releases.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
) -> None:
    """Report cards of what was released: everything that a reader needs to judge the claim."""
    ledger = flags(ctx).platform.privacy.ledger
    if charge is not None:
        found = ledger.released(ledger.charge(charge))
        if found is None:
            raise NotFound(f"the charge {charge!r} has released nothing", what="charge", requested=charge)
        print_json({"card": found.card, "output": found.output})
        return
    releases = ledger.releases(limit=limit)
    if flags(ctx).json:
        print_json([release.card for release in releases])
        return
    rows = [
        (r.charge.id, r.card["released_at"][:19], r.card["purpose"], r.charge.cost.words, r.card["accounting"])
        for r in releases
    ]
    print_table("Releases", ("charge", "at", "purpose", "cost", "accounting"), rows)
    out.print("In full: bailiwick privacy cards CHARGE" if rows else "Nothing was released yet.")
