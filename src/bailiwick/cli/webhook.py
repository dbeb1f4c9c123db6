"""`bailiwick webhook`: who is told of what."""

from __future__ import annotations

from typing import Annotated

import typer

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.errors import Unavailable
from bailiwick.governance.notifications.endpoints import endpoint_document, shown_url
from bailiwick.governance.notifications.model import DeliveryStatus, Format

app = typer.Typer(add_completion=False, help="Tell other systems of changes, by signed webhooks.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A webhook's name.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the audit trail.")]


@app.command(
    epilog="Examples:  bailiwick webhook add ops https://ops.example.com/hook --on 'rollback.*' --on rollout.abort  |  "
    "bailiwick webhook add chat https://hooks.slack.com/services/... --on 'deployment.*' --format slack"
)
def add(
    ctx: typer.Context,
    name: Name,
    url: Annotated[str, typer.Argument(help="Where to: https, on the public internet (see docs/notifications.md).")],
    on: Annotated[
        list[str], typer.Option("--on", help="Actions of the audit trail: NOUN.VERB, NOUN.* or *. May be given again.")
    ],
    form: Annotated[Format, typer.Option("--format", help="How events are written.")] = Format.JSON,
    secret_env: Annotated[
        str | None,
        typer.Option(
            help="Variable of the servers that holds the secret, BAILIWICK_WEBHOOK_...; else one is generated."
        ),
    ] = None,
    reason: Reason = None,
) -> None:
    """Tell an address of every matching change from now on. A generated secret is shown this once."""
    added = flags(ctx).platform.notifications.add(
        name, url, on, actor=flags(ctx).actor(reason), form=form, secret_variable=secret_env
    )
    if flags(ctx).json:
        print_json({**endpoint_document(added.endpoint), "generated_secret": added.secret})
        return
    out.print(
        f"[bold green]{name}[/] is told of {', '.join(added.endpoint.patterns)} at {shown_url(url)}.", soft_wrap=True
    )
    if added.secret is not None:
        out.print("Its signing secret, which is not shown again:", soft_wrap=True)
        out.print(f"  {added.secret}", soft_wrap=True)
    out.print(f"Next: [bold]bailiwick webhook test {name}[/]; a running [bold]bailiwick serve[/] sends the events.")


@app.command("list")
def list_webhooks(ctx: typer.Context) -> None:
    """Every webhook, with what waits and what was given up."""
    notifications = flags(ctx).platform.notifications
    endpoints, counts = notifications.endpoints(), notifications.counts()
    if flags(ctx).json:
        print_json([{**endpoint_document(each), "deliveries": _counts(counts, each.name)} for each in endpoints])
        return
    rows = [
        (
            each.name,
            ", ".join(each.patterns),
            shown_url(each.url),
            *(_counts(counts, each.name).get(status.value, 0) for status in DeliveryStatus),
        )
        for each in endpoints
    ]
    print_table("Webhooks", ("name", "on", "to", "waiting", "delivered", "dead"), rows)
    if not endpoints:
        out.print("Next: [bold]bailiwick webhook add NAME URL --on 'deployment.*'[/]")


@app.command()
def show(ctx: typer.Context, name: Name) -> None:
    """One webhook. Neither its secret nor the path of its address is shown."""
    notifications = flags(ctx).platform.notifications
    document = {
        **endpoint_document(notifications.get(name)),
        "deliveries": _counts(notifications.counts(), name),
    }
    if flags(ctx).json:
        print_json(document)
        return
    rows = [(key, ", ".join(value) if isinstance(value, list) else value) for key, value in document.items()]
    counted = (
        ", ".join(f"{count} {status}" for status, count in _counts(notifications.counts(), name).items()) or "none"
    )
    print_table(name, ("", ""), [*rows[:-1], ("deliveries", counted)])


@app.command()
def test(ctx: typer.Context, name: Name) -> None:
    """Send an event `webhook.test` now, from here. Exits with 8 when it is not taken."""
    outcome = flags(ctx).platform.notifications.test(name, actor=flags(ctx).actor())
    if outcome.problem is not None:
        raise Unavailable(
            f"the webhook {name!r} {outcome.problem}", what="webhook", remedy="mend the receiver, and test again"
        )
    if flags(ctx).json:
        print_json(outcome)
    else:
        out.print(f"[bold green]{name}[/] took it (status {outcome.status_code}).")


@app.command()
def remove(ctx: typer.Context, name: Name, reason: Reason = None) -> None:
    """Tell it nothing more; what waits for it is not sent."""
    flags(ctx).platform.notifications.remove(name, actor=flags(ctx).actor(reason))
    if flags(ctx).json:
        print_json({"removed": name})
    else:
        out.print(f"{name} is told nothing more.")


@app.command()
def deliveries(
    ctx: typer.Context,
    name: Name,
    status: Annotated[DeliveryStatus | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 20,
) -> None:
    """What became of each event, newest first."""
    found = flags(ctx).platform.notifications.deliveries(name, status=status, limit=limit)
    if flags(ctx).json:
        print_json(found)
        return
    for each in found:
        tries = f"after {each.attempts} attempt{'s' * (each.attempts != 1)}"
        out.print(f"[bold]{each.id}[/]  {each.status.value} {tries}", soft_wrap=True)
        out.print(f"  {each.event} {each.subject}", markup=False, soft_wrap=True)
        if each.problem:
            out.print(f"  {each.problem}", markup=False, soft_wrap=True)
    if not found:
        out.print(f"Nothing was told to {name} yet.")
    if any(each.status is DeliveryStatus.DEAD for each in found):
        out.print(f"Next: [bold]bailiwick webhook retry {name}[/]")


@app.command()
def retry(
    ctx: typer.Context,
    name: Name,
    delivery: Annotated[str | None, typer.Argument(help="One delivery's id. Default: all that were given up.")] = None,
    reason: Reason = None,
) -> None:
    """Send again what was given up."""
    revived = flags(ctx).platform.notifications.retry(name, delivery, actor=flags(ctx).actor(reason))
    if flags(ctx).json:
        print_json({"name": name, "deliveries": revived})
    elif not revived:
        out.print(f"No delivery to {name} was given up.")
    else:
        out.print(f"{revived} deliveries to {name} are sent again by the next [bold]bailiwick serve[/] that is up.")


def _counts(counts: object, name: str) -> dict[str, int]:
    assert isinstance(counts, dict)
    return {status: count for (endpoint, status), count in sorted(counts.items()) if endpoint == name}
