"""`bailiwick key`: who may ask the gateway, and how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.cli.key_options import expiry_of, limit_changes
from bailiwick.cli.rollout import parse_duration
from bailiwick.domains.schema import is_id
from bailiwick.governance.access.document import domain_limits_document, key_document, usage_document
from bailiwick.governance.access.model import ClientKey, IssuedKey, Limits
from bailiwick.governance.access.usage import day_of

app = typer.Typer(
    add_completion=False, help="Keys of clients of the gateway, their limits, and what they used.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="A key's name or id.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the audit trail.")]
Limit = Annotated[str | None, typer.Option(metavar="N|none", help="A whole number, or none to take the limit away.")]
Domains = Annotated[
    list[str] | None,
    typer.Option("--domain", help="A domain, or a pattern such as 'card*', that it may ask. May be given again."),
]
Expires = Annotated[str | None, typer.Option(metavar="WHEN", help="In 90d, 12h, 30m; or on 2027-01-31; or never.")]


@app.command(
    epilog="Examples:  bailiwick key create app --owner ada --domain cards --domain 'loan*' --rpm 600  |  "
    "bailiwick key create batch --tpm 200000 --in-flight 8 --tokens-per-day 5000000 --expires 90d"
)
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it; given once.")],
    owner: Annotated[str, typer.Option(help="The person or system that uses it.")] = "",
    team: Annotated[str, typer.Option(help="Their team.")] = "",
    domain: Domains = None,
    rpm: Limit = None,
    tpm: Limit = None,
    in_flight: Limit = None,
    tokens_per_day: Limit = None,
    expires: Expires = None,
    reason: Reason = None,
) -> None:
    """Make a key. Its secret is shown this once; only a digest of it is kept.

    Without --domain it may ask every domain, without limits as much as it likes.
    """
    platform = flags(ctx).platform
    changes = limit_changes(rpm=rpm, tpm=tpm, in_flight=in_flight, tokens_per_day=tokens_per_day)
    issued = platform.access.create(
        name,
        actor=flags(ctx).actor(reason),
        owner=owner,
        team=team,
        domains=domain or (),
        limits=Limits(**changes),
        expires_at=expiry_of(expires, platform.clock.now()),
    )
    _show_secret(ctx, issued, f"The key [bold green]{name}[/] ({issued.key.id}) may ask {_domains(issued.key)}.")
    _name_missing(ctx, issued.key.domains)


@app.command("list")
def list_keys(
    ctx: typer.Context,
    revoked: Annotated[bool, typer.Option("--all", help="Revoked keys, too.")] = False,
) -> None:
    """Every key, with its limits and when it was last used; and the limits of domains."""
    platform = flags(ctx).platform
    now = platform.clock.now()
    keys = [key for key in platform.access.list_keys() if revoked or key.revoked_at is None]
    domains = platform.access.domain_limits()
    if flags(ctx).json:
        print_json(
            {
                "keys": [key_document(key, now) for key in keys],
                "domains": [domain_limits_document(*each) for each in domains.items()],
            }
        )
        return
    rows = [
        (key.name, key.status(now).value, key.owner, _domains(key), _limits(key.limits), key.last_used_at)
        for key in keys
    ]
    print_table("Keys", ("name", "status", "owner", "domains", "limits", "last used (UTC)"), rows)
    if domains:
        print_table("Domains", ("domain", "limits"), [(name, _limits(limits)) for name, limits in domains.items()])
    if not keys:
        out.print("Next: [bold]bailiwick key create NAME --domain cards --rpm 600[/]")
    elif flags(ctx).settings.keys == "optional":
        out.print("Keys are optional: set [bold]BAILIWICK_KEYS=required[/] to answer nobody without one.")


@app.command()
def show(ctx: typer.Context, name: Name) -> None:
    """One key, without its secret."""
    platform = flags(ctx).platform
    document = key_document(platform.access.get(name), platform.clock.now())
    if flags(ctx).json:
        print_json(document)
    else:
        print_table(str(document["name"]), ("", ""), [(key, _cell(value)) for key, value in document.items()])


@app.command(epilog="Examples:  bailiwick key rotate app  |  bailiwick key rotate app --grace 0s")
def rotate(
    ctx: typer.Context,
    name: Name,
    grace: Annotated[
        str, typer.Option(metavar="TIME", help="How long the old secret stays valid: 24h, 7d, 0s.")
    ] = "24h",
    reason: Reason = None,
) -> None:
    """Give a key a new secret, shown this once. The old one stays valid for the grace time."""
    access = flags(ctx).platform.access
    issued = access.rotate(name, actor=flags(ctx).actor(reason), grace=timedelta(seconds=parse_duration(grace)))
    _show_secret(
        ctx, issued, f"The key [bold green]{issued.key.name}[/] has a new secret; the old one ends in {grace}."
    )


@app.command()
def revoke(ctx: typer.Context, name: Name, reason: Reason = None) -> None:
    """Let a key in no more, for good. Every gateway knows within two seconds."""
    platform = flags(ctx).platform
    revoked = platform.access.revoke(name, actor=flags(ctx).actor(reason))
    if flags(ctx).json:
        print_json(key_document(revoked, platform.clock.now()))
    else:
        out.print(f"The key {revoked.name} is revoked; its clients get status 401 within two seconds.")


@app.command(
    "set",
    epilog="Examples:  bailiwick key set app --rpm 1200 --in-flight none  |  "
    "bailiwick key set --of-domain cards --rpm 6000 --tpm 1000000",
)
def set_limits(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A key's name or id.")] = None,
    of_domain: Annotated[str | None, typer.Option(help="Limit what everybody together may ask of a domain.")] = None,
    domain: Domains = None,
    all_domains: Annotated[bool, typer.Option("--all-domains", help="It may ask every domain.")] = False,
    rpm: Limit = None,
    tpm: Limit = None,
    in_flight: Limit = None,
    tokens_per_day: Limit = None,
    owner: Annotated[str | None, typer.Option(help="The person or system that uses it.")] = None,
    team: Annotated[str | None, typer.Option(help="Their team.")] = None,
    expires: Expires = None,
    reason: Reason = None,
) -> None:
    """Change limits, domains, owner or end of a key; or the limits of a domain. What is not given stays."""
    platform, actor = flags(ctx).platform, flags(ctx).actor(reason)
    changes = limit_changes(rpm=rpm, tpm=tpm, in_flight=in_flight, tokens_per_day=tokens_per_day)
    if (name is None) == (of_domain is None):
        raise typer.BadParameter("name a key, or a domain with --of-domain")
    if of_domain is not None:
        limits = platform.access.limit_domain(of_domain, changes, actor=actor)
        if flags(ctx).json:
            print_json(domain_limits_document(of_domain, limits))
        else:
            out.print(f"Everybody together may ask {of_domain}: {_limits(limits) or 'without limit'}.")
            _name_missing(ctx, (of_domain,))
        return
    assert name is not None
    changed = platform.access.change(
        name,
        actor=actor,
        limits=changes,
        domains=() if all_domains else domain,
        owner=owner,
        team=team,
        expires_at=expiry_of(expires, platform.clock.now()),
        never_expires=expires == "never",
    )
    if flags(ctx).json:
        print_json(key_document(changed, platform.clock.now()))
    else:
        out.print(f"The key {changed.name} may ask {_domains(changed)}: {_limits(changed.limits) or 'without limit'}.")
        _name_missing(ctx, changed.domains)


@app.command()
def usage(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A key's name or id. Default: all.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3_660, help="The last so many days of UTC.")] = 7,
) -> None:
    """Requests and tokens per key and day. Running gateways write them once a second."""
    platform = flags(ctx).platform
    names = {key.id: key.name for key in platform.access.list_keys()}
    chosen = None if name is None else platform.access.get(name).id
    since = day_of(platform.clock.now() - timedelta(days=days - 1))
    found = platform.access.usage.per_day(key=chosen, since=since)
    if flags(ctx).json:
        print_json([usage_document(each, names.get(each.key, each.key)) for each in found])
        return
    rows = [
        (
            each.day,
            names.get(each.key, each.key),
            each.requests,
            each.refused,
            each.prompt_tokens,
            each.completion_tokens,
            each.tokens,
        )
        for each in found
    ]
    print_table("Usage", ("day (UTC)", "key", "requests", "refused", "prompt", "completion", "tokens"), rows)


def _show_secret(ctx: typer.Context, issued: IssuedKey, said: str) -> None:
    platform = flags(ctx).platform
    if flags(ctx).json:
        print_json({**key_document(issued.key, platform.clock.now()), "secret": issued.secret})
        return
    out.print(said, soft_wrap=True)
    out.print("Its secret, which is not shown again:", soft_wrap=True)
    out.print(f"  {issued.secret}", markup=False, soft_wrap=True)
    out.print("Clients send it as their API key: [bold]OPENAI_API_KEY=bwk_...[/]", soft_wrap=True)


def _name_missing(ctx: typer.Context, domains: Sequence[str]) -> None:
    """Name domains that do not exist: they may be meant for later, or mistyped."""
    if flags(ctx).json or not domains:
        return
    known = {each.domain.id for each in flags(ctx).platform.domains.list_domains()}
    missing = [name for name in domains if is_id(name) and name not in known]
    if missing:
        out.print(f"No domain is called {', '.join(missing)} yet: see `bailiwick domain list`.", markup=False)


def _domains(key: ClientKey) -> str:
    return ", ".join(key.domains) or "every domain"


_SHORT = {
    "requests_per_minute": "requests/min",
    "tokens_per_minute": "tokens/min",
    "in_flight": "in flight",
    "tokens_per_day": "tokens/day",
}


def _limits(limits: Limits) -> str:
    return ", ".join(f"{value:,} {_SHORT[name]}" for name, value in limits.present().items())


def _cell(value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{number:,} {_SHORT[name]}" for name, number in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(value) or "every domain"
    return value if isinstance(value, str | datetime | None) else str(value)
