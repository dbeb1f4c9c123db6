"""`bailiwick deployment`: every attempt to put a version into service, and the approvals of those that wait."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from bailiwick.cli.console import EXIT_CODES, out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.delivery.document import deployment_document
from bailiwick.delivery.gates import explain
from bailiwick.delivery.model import Deployment, DeploymentStatus
from bailiwick.errors import GateFailed, NotFound
from bailiwick.traffic.weights import percent

app = typer.Typer(help="List deployments; approve or reject those that wait.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="The deployment's id; `waiting` if only one waits.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the audit trail.")]


@app.command(name="list", epilog="Example:  bailiwick deployment list cards --waiting")
def list_deployments(
    ctx: typer.Context,
    domain: Annotated[str | None, typer.Argument(help="Default: all domains.")] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that wait for approval.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20,
) -> None:
    """Every attempt, newest first, with what became of it."""
    delivery = flags(ctx).platform.delivery
    found = list(delivery.waiting(domain)) if waiting else list(delivery.history(domain, limit=limit))
    if flags(ctx).json:
        print_json([deployment_document(made) for made in found])
        return
    for made in found:
        out.print(f"[bold]{made.id}[/]  {escape(made.domain)}  {_status(made)}", soft_wrap=True)
        line = f"  {made.version}  {_share(made)}, asked {made.at:%Y-%m-%d %H:%M}Z by {made.actor}"
        out.print(line, markup=False, soft_wrap=True)
    if not found:
        out.print("Nothing waits." if waiting else "Nothing was deployed yet. Next: [bold]bailiwick deploy DOMAIN[/]")
    if any(made.status is DeploymentStatus.WAITING for made in found):
        out.print("Next: [bold]bailiwick deployment approve ID[/], or [bold]bailiwick deployment reject ID[/]")


@app.command(epilog="Example:  bailiwick deployment show waiting")
def show(ctx: typer.Context, deployment: Id) -> None:
    """One deployment: its gates, who approved it, what it is bound to, and what speaks against it now."""
    delivery = flags(ctx).platform.delivery
    made = delivery.deployment(_id(ctx, deployment))
    against = delivery.degradation(made.id)
    if flags(ctx).json:
        print_json({**deployment_document(made), "degradation": against})
        return
    words = "a rollout" if made.for_rollout else percent(made.share)
    out.print(f"[bold]{made.id}[/]  {made.version} for {words} of {made.domain}", soft_wrap=True)
    facts = {
        "status": f"{_status(made)}{': ' + made.outcome if made.outcome else ''}",
        "gates": explain(made.gates),
        "asked": f"{made.at:%Y-%m-%d %H:%M:%S}Z by {made.actor}{': ' + made.reason if made.reason else ''}",
        "since": f"{made.changed_at:%Y-%m-%d %H:%M:%S}Z by {made.changed_by}",
        "policy": f"revision {made.policy_revision} of {made.environment}",
        "artefact": made.artefact_sha256 or "none: an upstream model",
        "expires": f"{made.expires_at:%Y-%m-%d %H:%M:%S}Z" if made.expires_at else None,
        "degraded": "; ".join(finding.reason for finding in against) or None,
    }
    for name, fact in facts.items():
        if fact is not None:
            out.print(f"  {name:<9} {fact}", markup=False, soft_wrap=True)
    for said in made.approvals:
        word = "approved" if said.approved else "refused"
        why = f": {said.reason}" if said.reason else ""
        out.print(f"  {word:<9} {said.at:%Y-%m-%d %H:%M:%S}Z by {said.approver}{why}", markup=False, soft_wrap=True)
    print_table(
        "Gates",
        ("gate", "measured", "limit", "verdict", "reason"),
        [(gate.name, gate.measured, gate.limit, gate.verdict, gate.reason) for gate in made.gates],
    )


@app.command(epilog="Example:  bailiwick deployment approve waiting --reason 'looked at its errors'")
def approve(
    ctx: typer.Context,
    deployment: Id,
    reason: Reason = None,
    break_glass: Annotated[bool, typer.Option("--break-glass", help="Although the domain is frozen.")] = False,
) -> None:
    """Agree; it is deployed, or may be rolled out, once enough people have. Who asked for it, or trained it, cannot.

    Exits with 7 when what was asked has changed or expired, so that nothing was deployed.
    """
    delivery = flags(ctx).platform.delivery
    made = delivery.approve(_id(ctx, deployment), actor=flags(ctx).actor(reason), break_glass=break_glass)
    if flags(ctx).json:
        print_json(deployment_document(made))
    elif made.status is DeploymentStatus.WAITING:
        missing = made.approvals_needed - len(made.approvers)
        out.print(f"[bold green]Approved[/]. It waits for {missing} more.")
    elif made.status is DeploymentStatus.APPROVED:
        out.print(f"[bold green]Approved[/]: {made.version} may be rolled out in {made.domain}.", soft_wrap=True)
        out.print(f"  next: bailiwick rollout start {made.version}", soft_wrap=True)
    elif made.status is DeploymentStatus.VOIDED:
        out.print(f"[bold red]Void[/]: {made.outcome}. Traffic is as it was.", soft_wrap=True)
        out.print(
            f"  next: ask again with: bailiwick {'rollout start' if made.for_rollout else 'deploy'} {made.version}",
            soft_wrap=True,
        )
    else:
        out.print(
            f"[bold green]Deployed[/]: {made.version} serves {percent(made.share)} of {made.domain}.", soft_wrap=True
        )
    if made.status is DeploymentStatus.VOIDED:
        raise typer.Exit(EXIT_CODES[GateFailed])


@app.command(epilog="Example:  bailiwick deployment reject waiting --reason 'not before the audit'")
def reject(ctx: typer.Context, deployment: Id, reason: Reason = None) -> None:
    """Refuse a deployment that waits, or a rollout that has not begun. Who asked for it may do so too."""
    made = flags(ctx).platform.delivery.reject(_id(ctx, deployment), actor=flags(ctx).actor(reason))
    if flags(ctx).json:
        print_json(deployment_document(made))
    else:
        out.print(f"[bold]Rejected[/]: {made.version}. Traffic is as it was.", soft_wrap=True)


def _id(ctx: typer.Context, given: str) -> str:
    if given != "waiting":
        return given
    found = flags(ctx).platform.delivery.waiting()
    if len(found) != 1:
        raise NotFound(
            f"{len(found) or 'no'} deployments wait for approval",
            what="deployment",
            requested=given,
            allowed=[made.id for made in found] or None,
            remedy="name one by its id; see `bailiwick deployment list --waiting`",
        )
    return found[0].id


def _share(made: Deployment) -> str:
    return "by a rollout" if made.for_rollout else f"for {percent(made.share)}"


def _status(made: Deployment) -> str:
    if made.status is DeploymentStatus.WAITING:
        return f"waiting ({len(made.approvers)} of {made.approvals_needed})"
    if made.status is DeploymentStatus.HELD:
        return "held"
    return made.status.value + (" (forced)" if made.forced else "")
