"""`bailiwick privacy budget`: what may be spent on whom, and what has been."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.errors import InvalidInput
from bailiwick.privacy.accounts import AccountKey
from bailiwick.privacy.documents import parse_settings
from bailiwick.privacy.recovery import LEFT_BEHIND_AFTER
from bailiwick.privacy.terms import Adjacency, PrivacySettings

app = typer.Typer(help="Create, show and list privacy budgets.", no_args_is_help=True)

AccountName = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="NAMESPACE/LINEAGE: whose data, which data. With /DOMAIN: its share.")
]
Cap = Annotated[int | None, typer.Option(help="Rows of one unit that a release uses at most.")]
Bounds = Annotated[list[str] | None, typer.Option(help="Clamping limits, COLUMN=LOWER:UPPER; repeat it.")]
Values = Annotated[list[str] | None, typer.Option("--categories", help="Allowed values, COLUMN=A,B,C; repeat it.")]
LevelName = Annotated[
    str | None, typer.Option(help="low (2.0, 1e-4), medium (1.0, 1e-5) or high (0.5, 1e-6), for one release.")
]
DefaultEpsilon = Annotated[
    str | None, typer.Option(help="Instead of --level: what a release costs that names no epsilon.")
]
DefaultDelta = Annotated[str | None, typer.Option(help="With --default-epsilon: its delta; default 0.")]


@app.command(
    epilog="Examples:  bailiwick privacy budget create customers/queries --column customer --epsilon 4 --delta 1e-5  "
    "|  bailiwick privacy budget create customers/queries/cards --epsilon 1 --delta 1e-6"
)
def create(
    ctx: typer.Context,
    account: AccountName,
    column: Annotated[
        str | None, typer.Option(help="Column that names the unit; a domain's is the global one.")
    ] = None,
    epsilon: Annotated[str | None, typer.Option(help="Most epsilon ever; exact to 1e-9.")] = None,
    delta: Annotated[str, typer.Option(help="Most delta ever; exact to 1e-18.")] = "0",
    rho: Annotated[str | None, typer.Option(help="Most rho ever, for an account that counts zCDP.")] = None,
    adjacency: Annotated[
        Adjacency | None, typer.Option(help="Which change of the data is hidden; default: add-remove.")
    ] = None,
    reset_days: Annotated[int | None, typer.Option(help="Start afresh after so many days; default: never.")] = None,
    contribution_cap: Cap = None,
    bounds: Bounds = None,
    categories: Values = None,
    level: LevelName = None,
    default_epsilon: DefaultEpsilon = None,
    default_delta: DefaultDelta = None,
) -> None:
    """Create a budget. Unit, adjacency, caps and reset can never be changed, its terms only until it is first charged.

    A data set has one budget: another for the same data under a second name or namespace is refused.
    """
    service, actor = flags(ctx).platform.privacy, flags(ctx).actor()
    key = AccountKey.parse(account)
    opened = service.create_budget(
        key,
        column=column,
        epsilon=epsilon,
        delta=delta,
        rho=rho,
        adjacency=adjacency,
        reset_days=reset_days,
        settings=_settings(contribution_cap, bounds, categories, level, default_epsilon, default_delta),
        actor=actor,
    )
    if flags(ctx).json:
        print_json(_one(ctx, key))
        return
    out.print(
        f"Created [bold green]{key}[/]: {opened.cap.words} for each {opened.unit.column!r}, "
        f"{opened.adjacency.value}, {opened.lifetime.words}, counted in {opened.currency.value}."
    )
    out.print(f"Next: bailiwick privacy budget show {key}")


@app.command("list")
def list_budgets(
    ctx: typer.Context, domain: Annotated[str | None, typer.Option(help="Only this domain's budgets.")] = None
) -> None:
    """Every budget: used, held and remaining."""
    found = flags(ctx).platform.privacy.statistics(domain=domain)
    if flags(ctx).json:
        print_json(found)
        return
    print_table(
        "Privacy budgets",
        ("account", "counts", "cap", "used", "held", "remaining", "delta left"),
        [_row(each) for each in found],
    )
    if not found:
        out.print("There is none yet. Next: bailiwick privacy budget create --help")


@app.command(epilog="Example:  bailiwick privacy budget show customers/queries")
def show(
    ctx: typer.Context,
    account: AccountName,
    entries: Annotated[int, typer.Option(min=0, max=100_000, help="Newest entries to show.")] = 10,
) -> None:
    """One budget, recomputed from its entries with every hash checked, its settings, and its newest entries."""
    key = AccountKey.parse(account)
    service = flags(ctx).platform.privacy
    service.ledger.recompute(key)
    listed = service.ledger.entries(key, newest=entries) if entries else ()
    if flags(ctx).json:
        print_json({**_one(ctx, key), "verified": True, "history": listed})
        return
    found = _one(ctx, key)
    for name in ("unit", "adjacency", "currency", "reset_policy"):
        out.print(f"[dim]{name:16}[/] {found[name]}", markup=True)
    for name in ("cap", "used", "held", "remaining"):
        out.print(f"[dim]{name:16}[/] {found[name]['amount']}, delta {found[name]['delta']}")
    for name, value in found["settings"].items():
        if value:
            out.print(f"[dim]{name:16}[/] {value}", soft_wrap=True)
    out.print(f"[dim]{'verified':16}[/] the balance follows from all {found['entries']} entries, whose hashes hold")
    print_table(
        "Newest entries",
        ("#", "at", "what", "charge", "used +", "held +", "who"),
        [(e.number, e.at, e.kind.value, e.charge, e.spent / 1e9, e.held / 1e9, e.actor) for e in listed],
    )


@app.command(
    "set", epilog="Example:  bailiwick privacy budget set customers/queries --contribution-cap 5 --bounds amount=0:1000"
)
def set_settings(
    ctx: typer.Context,
    account: AccountName,
    contribution_cap: Cap = None,
    bounds: Bounds = None,
    categories: Values = None,
    level: LevelName = None,
    default_epsilon: DefaultEpsilon = None,
    default_delta: DefaultDelta = None,
) -> None:
    """Set the terms that releases of this budget have. Take the values from public knowledge only.

    Once the budget was charged, they are fixed; only the price can still be changed: the level, or the default epsilon
    and delta that take its place.
    """
    key, service = AccountKey.parse(account), flags(ctx).platform.privacy
    service.ledger.account(key)
    given = _settings(contribution_cap, bounds, categories, level, default_epsilon, default_delta)
    own = service.own_settings(key)
    priced = given if given.default_cost else own
    service.set_settings(
        key,
        PrivacySettings(
            given.contribution_cap or own.contribution_cap,
            {**own.bounds, **given.bounds},
            {**own.categories, **given.categories},
            priced.level,
            priced.price,
        ),
        flags(ctx).actor(),
    )
    if flags(ctx).json:
        print_json(_one(ctx, key))
        return
    out.print(f"Set. Releases of [bold green]{key}[/] now use:")
    for name, value in _one(ctx, key)["settings"].items():
        out.print(f"  [dim]{name:16}[/] {value}", soft_wrap=True)


@app.command()
def recover(
    ctx: typer.Context,
    running_minutes: Annotated[
        int, typer.Option(min=0, help="Take a charge that has been running so long for one whose process crashed.")
    ] = int(LEFT_BEHIND_AFTER.total_seconds() // 60),
) -> None:
    """Finish what crashed processes left: what was started is spent, what only was held and expired is given back.

    A server does so when it starts, and every release before it charges.

    Example: bailiwick privacy budget recover --running-minutes 0
    """
    moved = flags(ctx).platform.privacy.ledger.recover(started_for=timedelta(minutes=running_minutes))
    if flags(ctx).json:
        print_json(moved)
        return
    if not moved:
        out.print("Nothing was left behind.")
        return
    rows = [(each.id, each.state.value, each.cost.words) for each in moved]
    print_table("Recovered", ("charge", "now", "cost"), rows)


def _one(ctx: typer.Context, key: AccountKey) -> dict[str, Any]:
    return flags(ctx).platform.privacy.describe(key)


def _row(each: dict[str, Any]) -> Sequence[Any]:
    amounts = [each[name]["amount"] for name in ("cap", "used", "held", "remaining")]
    return (each["account"], each["currency"], *amounts, each["remaining"]["delta"])


def _settings(
    cap: int | None,
    bounds: list[str] | None,
    categories: list[str] | None,
    level: str | None,
    epsilon: str | None,
    delta: str | None,
) -> PrivacySettings:
    document = {
        "contribution_cap": cap,
        "bounds": dict(_bounds(each) for each in bounds or ()),
        "categories": {name: values.split(",") for name, values in (_pair(each) for each in categories or ())},
        "level": level,
        "default_epsilon": epsilon,
        "default_delta": delta,
    }
    return parse_settings(document)


def _bounds(text: str) -> tuple[str, list[float]]:
    name, limits = _pair(text)
    lower, _, upper = limits.partition(":")
    try:
        return name, [float(lower), float(upper)]
    except ValueError:
        raise InvalidInput(
            f"bounds {text!r}", what="bounds", requested=text, allowed="COLUMN=LOWER:UPPER, such as amount=0:1000"
        ) from None


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise InvalidInput(f"{text!r} is not COLUMN=VALUE", what="option", requested=text, allowed="COLUMN=VALUE")
    return name, value
