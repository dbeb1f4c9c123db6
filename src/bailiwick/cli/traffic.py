"""`bailiwick traffic`: who is served by which version, and who was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, TypedDict

import typer
from rich.markup import escape

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.cli.shadow import shadow
from bailiwick.clock import in_utc
from bailiwick.delivery.document import served_document
from bailiwick.delivery.model import ServedVersion
from bailiwick.errors import InvalidInput, NotFound
from bailiwick.governance.audit import Actor
from bailiwick.traffic.document import plan_document, record_document
from bailiwick.traffic.layers import choosing_versions, width
from bailiwick.traffic.model import SLOTS, PlanRecord, TrafficPlan
from bailiwick.traffic.weights import parse_percent, parse_weights, percent
from bailiwick.traffic.who import whereabouts, whereabouts_document

app = typer.Typer(add_completion=False, help="Show and shift the traffic between versions.", no_args_is_help=True)

Domain = Annotated[str, typer.Argument(help="A domain's id.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the audit trail.")]
BreakGlass = Annotated[bool, typer.Option("--break-glass", help="Although the domain is frozen; needs --reason.")]
Revision = Annotated[
    int | None, typer.Option(help="Change only if the plan still has this revision (see `traffic show`).")
]


class Options(TypedDict):
    """What every change of traffic takes."""

    actor: Actor
    expected_revision: int | None
    break_glass: bool


@app.command()
def show(
    ctx: typer.Context, domain: Annotated[str | None, typer.Argument(help="Default: all domains.")] = None
) -> None:
    """Which versions serve now, and their shares."""
    traffic = flags(ctx).platform.traffic
    plans = [_plan(ctx, domain)] if domain else list(traffic.plans().values())
    if flags(ctx).json:
        print_json([plan_document(plan) for plan in plans])
        return
    rows = [
        (plan.domain, plan.revision, version, percent(weight))
        for plan in plans
        for version, weight in plan.weights.items()
    ]
    print_table("Traffic", ("domain", "revision", "version", "share"), rows)
    for plan in plans:
        if plan.comparison is not None:
            compared = plan.comparison
            out.print(
                f"{plan.domain}: {compared.canary} is compared with a control of {percent(compared.control_weight)}"
                f"\nNext: [bold]bailiwick rollout show {plan.domain}[/]",
                soft_wrap=True,
            )
    if not plans:
        out.print("Nothing is deployed yet. Next: [bold]bailiwick deploy DOMAIN[/]")
    elif len(plans) == 1 and len(plans[0].weights) > 1 and plans[0].comparison is None:
        name = plans[0].domain
        out.print(f"Next: [bold]bailiwick traffic promote {name}[/], or [bold]bailiwick rollback {name}[/]")


@app.command(
    epilog="Examples:  bailiwick traffic shift cards 50%  (of the users to the newest version in service)  |  "
    "bailiwick traffic shift cards cards-v1=80 cards-v2=20"
)
def shift(
    ctx: typer.Context,
    domain: Domain,
    weights: Annotated[
        list[str],
        typer.Argument(
            metavar="PERCENT|VERSION=PERCENT...",
            help="One share, for the newest version in service; or the shares of all, summing to 100.",
        ),
    ],
    reason: Reason = None,
    revision: Revision = None,
    break_glass: BreakGlass = False,
) -> None:
    """Give deployed versions new shares. As few users as possible change their version."""
    delivery = flags(ctx).platform.delivery
    options: Options = {
        "actor": flags(ctx).actor(reason),
        "expected_revision": revision,
        "break_glass": break_glass,
    }
    if len(weights) == 1 and "=" not in weights[0]:
        plan = delivery.share(domain, parse_percent(weights[0]), **options)
    else:
        plan = delivery.shift(domain, parse_weights(weights), **options)
    _print_plan(ctx, plan)


@app.command(epilog="Example:  bailiwick traffic promote cards")
def promote(
    ctx: typer.Context,
    domain: Domain,
    version: Annotated[str | None, typer.Argument(help="Default: the one that was deployed last.")] = None,
    reason: Reason = None,
    revision: Revision = None,
    break_glass: BreakGlass = False,
) -> None:
    """Give one of the versions in service all the traffic."""
    plan = flags(ctx).platform.delivery.promote(
        domain, version, actor=flags(ctx).actor(reason), expected_revision=revision, break_glass=break_glass
    )
    _print_plan(ctx, plan)


@app.command(
    epilog="Examples:  bailiwick traffic holdout  |  bailiwick traffic holdout 5%  |  bailiwick traffic holdout 0"
)
def holdout(
    ctx: typer.Context,
    share: Annotated[str | None, typer.Argument(help="Of all users, in percent; 0 ends it. Default: show it.")] = None,
    reason: Reason = None,
) -> None:
    """Keep a share of all users out of every experiment, or show who is kept out."""
    traffic = flags(ctx).platform.traffic
    if share is None:
        held_out = traffic.holdout()
    else:
        with traffic.changing() as connection:
            held_out = traffic.set_holdout(connection, parse_percent(share), actor=flags(ctx).actor(reason))
    if flags(ctx).json:
        print_json({"share": held_out.slots / 100})
    else:
        out.print(f"[bold]{percent(held_out.slots)}[/] of all users take part in no experiment.")


@app.command(epilog="Example:  bailiwick traffic at cards 2026-03-01T14:05Z")
def at(
    ctx: typer.Context,
    domain: Domain,
    instant: Annotated[str, typer.Argument(help="ISO 8601, UTC unless it says otherwise; or `now`.")],
) -> None:
    """What served at an instant: versions, artefacts, and on whose word."""
    platform = flags(ctx).platform
    asked = platform.clock.now() if instant == "now" else _instant(instant)
    served = platform.delivery.served_at(domain, asked)
    if not served:
        raise NotFound(
            f"nothing was deployed in {domain!r} at {asked.isoformat()}",
            what="domain",
            requested=domain,
            remedy=f"see `bailiwick traffic history {domain}`",
        )
    record = platform.traffic.plan_at(domain, asked)
    assert record is not None
    if flags(ctx).json:
        print_json({**record_document(record), "served": [served_document(each) for each in served]})
        return
    _print_records(f"{domain} at {asked:%Y-%m-%d %H:%M:%S}Z", [record])
    for each in served:
        _print_served(each)


@app.command()
def history(ctx: typer.Context, domain: Domain, limit: Annotated[int, typer.Option(min=1, max=10_000)] = 20) -> None:
    """Every change of a domain's traffic, newest first."""
    records = flags(ctx).platform.traffic.history(domain, limit=limit)
    if not records:
        raise _nothing_deployed(domain)
    if flags(ctx).json:
        print_json([record_document(record) for record in records])
        return
    _print_records(f"Traffic of {domain}", records)


app.command("shadow")(shadow)


@app.command(epilog="Example:  bailiwick traffic who cards user-42")
def who(
    ctx: typer.Context,
    domain: Domain,
    unit: Annotated[str, typer.Argument(help="A user, or whatever requests are kept together by.")],
    attribute: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: what conditions of experiments see, such as country=DE.")
    ] = None,
) -> None:
    """Which version serves a user, and the experiments behind it."""
    plan, traffic = _plan(ctx, domain), flags(ctx).platform.traffic
    known = dict(_attribute(word) for word in attribute or ())
    found = whereabouts(plan, traffic.experiments(domain), traffic.holdout(), unit, known.get)
    if flags(ctx).json:
        print_json(whereabouts_document(domain, unit, plan.revision, found))
        return
    out.print(f"{found.version}  [dim](slot {found.slot} of {SLOTS}, plan revision {plan.revision})[/]")
    for each in found.assigned:
        tester = "" if each.counted else ", as a tester: not counted"
        out.print(f"  experiment {each.experiment}: {escape(each.arm.name)} [dim](epoch {each.epoch}{tester})[/]")
    if found.held_out:
        out.print("  held out of experiments")


def print_experiments_beside(ctx: typer.Context, domain: str) -> None:
    """Say which experiments choose the version of some users, whatever was deployed just now."""
    for plan in choosing_versions(flags(ctx).platform.traffic.experiments(domain)):
        out.print(
            f"[yellow]The experiment {plan.experiment} runs on:[/] it chooses the version of "
            f"{percent(width(plan.slots))} of the users."
        )
        out.print(f"  see: bailiwick experiment show {plan.experiment}")


def _attribute(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not (equals and name):
        raise InvalidInput(f"cannot read {word!r}", what="attribute", requested=word, allowed="NAME=VALUE")
    return name.lower(), value


def _plan(ctx: typer.Context, domain: str) -> TrafficPlan:
    plan = flags(ctx).platform.traffic.plan(domain)
    if plan is None:
        raise _nothing_deployed(domain)
    return plan


def _nothing_deployed(domain: str) -> NotFound:
    return NotFound(
        f"nothing is deployed in {domain!r}",
        what="domain",
        requested=domain,
        remedy=f"deploy its newest version with `bailiwick deploy {domain}`",
    )


def _instant(text: str) -> datetime:
    try:
        return in_utc(datetime.fromisoformat(text))
    except ValueError:
        raise InvalidInput(
            f"{text!r} is no instant", what="instant", requested=text, allowed="such as 2026-03-01T14:05Z, or `now`"
        ) from None


def _print_plan(ctx: typer.Context, plan: TrafficPlan) -> None:
    if flags(ctx).json:
        print_json(plan_document(plan))
        return
    shares = ", ".join(f"{version} {percent(weight)}" for version, weight in plan.weights.items())
    out.print(f"[bold green]{plan.domain}[/] is now served by {shares} (plan revision {plan.revision}).")
    print_experiments_beside(ctx, plan.domain)


def _print_records(title: str, records: Sequence[PlanRecord]) -> None:
    rows = [
        (
            record.plan.revision,
            record.at,
            "\n".join(f"{percent(weight)} {version}" for version, weight in record.plan.weights.items()),
            _change(record),
        )
        for record in records
    ]
    print_table(title, ("rev", "since (UTC)", "served by", "change"), rows, whole=("served by",))


def _change(record: PlanRecord) -> str:
    restored = f" to revision {record.restores}" if record.restores else ""
    reason = f": {record.reason}" if record.reason else ""
    return f"{record.change.removeprefix('traffic.')}{restored} by {record.actor}{reason}"


def _print_served(served: ServedVersion) -> None:
    made = served.deployment
    out.print(f"[bold]{percent(served.share)} {served.version}[/]", soft_wrap=True)
    if made is None:
        out.print("  no deployment put it there", soft_wrap=True)
        return
    approved = f", approved by {', '.join(made.approvers)}" if made.approvers else ""
    out.print(f"  {made.id} by {made.actor}{approved}", markup=False, soft_wrap=True)
    out.print(f"  artefact {made.artefact_sha256 or 'none: an upstream model'}", soft_wrap=True)
