"""`bailiwick deploy`: put a version into service if the gates allow it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from bailiwick.cli.console import EXIT_CODES, out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.cli.traffic import print_experiments_beside
from bailiwick.delivery.document import deployment_document
from bailiwick.delivery.gates import explain
from bailiwick.delivery.model import Deployment, DeploymentStatus, GateResult
from bailiwick.errors import GateFailed
from bailiwick.traffic.model import SLOTS
from bailiwick.traffic.weights import parse_percent, percent

app = typer.Typer(add_completion=False, help="Deploy a version if the gates allow it.")


@app.command(
    epilog="Examples:  bailiwick deploy cards  |  bailiwick deploy cards-v20260301_120000 --share 20%  |  "
    "bailiwick deploy cards --force --reason 'hotfix, see ticket 42'"
)
def deploy(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="VERSION|DOMAIN", help="A version, or a domain: its newest version.")],
    share: Annotated[str, typer.Option(help="Of the domain's users; the others stay where they are.")] = "100%",
    force: Annotated[
        bool, typer.Option("--force", help="Deploy although a gate does not pass; needs --reason.")
    ] = False,
    break_glass: Annotated[
        bool, typer.Option("--break-glass", help="Deploy although the domain is frozen; needs --reason.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why, for the audit trail.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Judge only; change nothing.")] = False,
) -> None:
    """Hold a version's measured numbers against its domain's thresholds; deploy it, or hold it and say why.

    Exits with 7 when the version is held. Where the domain's gate policy asks for approvals, it waits for them first.
    """
    delivery = flags(ctx).platform.delivery
    points = parse_percent(share)
    version = delivery.find(name)
    if dry_run:
        verdict = delivery.judge(version.domain, version.id)
        _print_verdict(ctx, version.id, verdict.gates)
        raise typer.Exit(0 if verdict.passed else EXIT_CODES[GateFailed])
    made = delivery.deploy(
        version.domain,
        version.id,
        share=points,
        actor=flags(ctx).actor(reason),
        force=force,
        break_glass=break_glass,
    )
    if flags(ctx).json:
        print_json(deployment_document(made))
    else:
        _print_gates(made.version, made.gates)
        _print_decision(made)
        print_experiments_beside(ctx, made.domain)
    if made.status is DeploymentStatus.HELD:
        raise typer.Exit(EXIT_CODES[GateFailed])


def _print_verdict(ctx: typer.Context, version: str, gates: Sequence[GateResult]) -> None:
    if flags(ctx).json:
        print_json({"version": version, "passed": all(gate.passed for gate in gates), "gates": gates})
        return
    _print_gates(version, gates)
    out.print(f"Would be {'deployed' if all(gate.passed for gate in gates) else 'held'}: {explain(gates)}.")


def _print_gates(version: str, gates: Sequence[GateResult]) -> None:
    print_table(
        f"Gates of {version}",
        ("gate", "measured", "limit", "verdict", "reason"),
        [(gate.name, gate.measured, gate.limit, gate.verdict, gate.reason) for gate in gates],
    )


def _print_decision(made: Deployment) -> None:
    if made.status is DeploymentStatus.HELD:
        out.print(f"[bold red]Held[/]: {explain(made.gates)}. Traffic is as it was.")
        unmeasured = any(gate.measured is None for gate in made.gates)
        better = "measure it (bailiwick evaluate, bailiwick ensemble evaluate)" if unmeasured else "train a better one"
        out.print(f"  next: {better}, or: bailiwick deploy {made.version} --force --reason '...'")
        return
    if made.status is DeploymentStatus.WAITING:
        people = f"{made.approvals_needed} approval{'s' * (made.approvals_needed > 1)}"
        out.print(
            f"[bold yellow]Waiting[/] for {people} until {made.expires_at:%Y-%m-%d %H:%M}Z. Traffic is as it was."
        )
        out.print(f"  next, by somebody else: bailiwick deployment approve {made.id}", soft_wrap=True)
        return
    how = "Forced" if made.forced else "Deployed"
    out.print(f"[bold green]{how}[/]: {made.version} serves {percent(made.share)} of {made.domain}.")
    if made.share < SLOTS:
        out.print(f"  next: bailiwick traffic promote {made.domain}    or: bailiwick rollback {made.domain}")
    else:
        out.print(f"  next: bailiwick traffic show {made.domain}")
