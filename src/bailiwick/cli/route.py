"""`bailiwick route`: where queries go, by which rules, what was learned, and what a policy would earn."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.cli.route_views import (
    print_analytics,
    print_evaluation,
    print_explanation,
    print_logged,
    print_proposal,
    print_status,
)
from bailiwick.errors import InvalidInput
from bailiwick.routing.document import analytics_document, evaluation_document, proposal_document
from bailiwick.routing.explain import Asking
from bailiwick.routing.model import AUTO, Mode
from bailiwick.routing.policy import Knobs, knobs_document, parse_policy_text
from bailiwick.routing.revisions import revision_document
from bailiwick.routing.rules import parse_rules_text, rule_document

app = typer.Typer(add_completion=False, help="Explain, rule, learn and judge where queries go.", no_args_is_help=True)

_MAX_FILE_BYTES = 4 << 20
Reason = Annotated[str | None, typer.Option(help="Why, for the audit trail.")]
PolicyFile = Annotated[
    Path | None,
    typer.Argument(metavar="[POLICY.toml]", help="Knobs to change; the rest stays. Default: as in force.", exists=True),
]


@app.command(epilog='Example:  bailiwick route explain "where is my new card" --user ada --header x-team=risk')
def explain(
    ctx: typer.Context,
    query: Annotated[str | None, typer.Argument(help="What a user asks.")] = None,
    model: Annotated[str, typer.Option(help="The request's model: auto, or a domain.")] = AUTO,
    user: Annotated[str, typer.Option("--user", "--unit", help="The request's user: keeps a version.")] = "anonymous",
    header: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, for rules; metadata.NAME=VALUE too.")] = None,
    request: Annotated[str | None, typer.Option(help="Explain this past request instead.")] = None,
) -> None:
    """Say which domain and version would answer a query, and why; nothing is sent."""
    explainer = flags(ctx).platform.routing_explainer
    if (query is None) == (request is None):
        raise InvalidInput("give a query or a past request", what="query", remedy='route explain "my card is lost"')
    if request is not None:
        logged = explainer.request(request)
        print_json(logged) if flags(ctx).json else print_logged(logged)
        return
    attributes = dict(_pair(each) for each in header or ())
    found = explainer.explain(Asking(query or "", model, user, attributes))
    print_json(found) if flags(ctx).json else print_explanation(found)


@app.command()
def status(ctx: typer.Context) -> None:
    """What is in force: mode, rules, policy."""
    published = flags(ctx).platform.routing.published()
    if flags(ctx).json:
        print_json(
            {
                "revision": published.revision,
                "mode": published.mode.value,
                "policy_revision": published.policy_revision,
                "policy": knobs_document(published.policy.knobs),
                "decisions_learned_from": published.policy.decisions,
                "rules": [rule_document(rule) for rule in published.rules.rules],
            }
        )
        return
    print_status(published)


@app.command(epilog="Example:  bailiwick route mode shadow --reason 'see what it would do'")
def mode(
    ctx: typer.Context, to: Annotated[Mode, typer.Argument(help="off, shadow or on.")], reason: Reason = None
) -> None:
    """Turn learning off, to shadow (decide and log, do not act), or on."""
    revision = flags(ctx).platform.routing.set_mode(to, flags(ctx).actor(reason))
    if flags(ctx).json:
        print_json({"revision": revision, "mode": to.value})
        return
    out.print(f"Routing is [bold]{to.value}[/] as of revision {revision}; gateways follow within a second.")
    if to is not Mode.OFF:
        out.print("Next: send feedback (POST /v1/feedback), then [bold]bailiwick route analytics[/]")


@app.command(epilog="Example:  bailiwick route rules rules.toml --reason 'refunds go to payments'")
def rules(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="[RULES.toml]", help="Takes the place of all rules.", exists=True)
    ] = None,
    reason: Reason = None,
) -> None:
    """Show the rules, or put those of a file in their place. An empty file takes all rules away."""
    routing = flags(ctx).platform.routing
    if file is not None:
        routing.set_rules(parse_rules_text(_read(file), str(file)), flags(ctx).actor(reason))
    found = routing.published().rules.rules
    if flags(ctx).json:
        print_json([rule_document(rule) for rule in found])
        return
    rows = [
        (
            rule.priority,
            rule.name,
            rule.domain,
            ", ".join(rule.keywords),
            rule.pattern or "",
            ", ".join(f"{each.attribute} {each.operator.value} {list(each.values)}" for each in rule.conditions),
        )
        for rule in found
    ]
    print_table("Rules", ("priority", "rule", "domain", "words", "pattern", "where"), rows)
    if not found:
        out.print("There are no rules: detection decides.")


@app.command()
def propose(ctx: typer.Context, file: PolicyFile = None) -> None:
    """Show what the learner would publish now, under the knobs in force or those of a file."""
    policy = flags(ctx).platform.routing.propose(_knobs(ctx, file))
    print_json(proposal_document(policy)) if flags(ctx).json else print_proposal(policy)


@app.command(epilog="Example:  bailiwick route evaluate policy.toml")
def evaluate(
    ctx: typer.Context,
    file: PolicyFile = None,
    learn_share: Annotated[float, typer.Option(help="Share of the log, from its beginning, to learn from.")] = 0.5,
) -> None:
    """What a policy would have earned on the logged decisions, with intervals: before it is switched on."""
    found = flags(ctx).platform.routing.evaluate(_knobs(ctx, file), learn_share=learn_share)
    print_json(evaluation_document(found)) if flags(ctx).json else print_evaluation(found)


@app.command(epilog="Example:  bailiwick route apply policy.toml --reason 'quicker models are good enough'")
def apply(
    ctx: typer.Context,
    file: PolicyFile = None,
    reason: Reason = None,
    force: Annotated[bool, typer.Option("--force", help="Although the logs show harm; needs --reason.")] = False,
) -> None:
    """Publish a policy; refused where the log shows that it does harm."""
    revision, found = flags(ctx).platform.routing.apply(_knobs(ctx, file), flags(ctx).actor(reason), force=force)
    if flags(ctx).json:
        print_json({"revision": revision, "evaluation": evaluation_document(found)})
        return
    out.print(f"Published as revision {revision}. The logs: [bold]{found.verdict.value}[/]", end="")
    out.print(f" ({found.reason}).", markup=False)
    out.print("Next: [bold]bailiwick route mode on[/], unless it is")


@app.command()
def history(ctx: typer.Context, limit: Annotated[int, typer.Option(min=1, max=1000)] = 20) -> None:
    """Every change of rules, mode and policy, newest first."""
    found = flags(ctx).platform.routing.history(limit)
    if flags(ctx).json:
        print_json([revision_document(each) for each in found])
        return
    rows = [(each.revision, each.kind, each.at, each.actor, each.reason or "", each.digest[:12]) for each in found]
    print_table("Routing", ("revision", "kind", "at", "actor", "reason", "digest"), rows)


@app.command()
def analytics(
    ctx: typer.Context, hours: Annotated[float, typer.Option(min=0.01, max=9_600, help="Up to now.")] = 24.0
) -> None:
    """What routing did and how well, by domain: accuracy, latency, regret, drift, confusion."""
    platform = flags(ctx).platform
    until = platform.clock.now() + timedelta(microseconds=1)
    found = platform.routing.analytics(until - timedelta(hours=hours), until)
    print_json(analytics_document(found)) if flags(ctx).json else print_analytics(found)


def _knobs(ctx: typer.Context, file: Path | None) -> Knobs:
    present = flags(ctx).platform.routing.knobs()
    return present if file is None else parse_policy_text(_read(file), str(file), present)


def _read(file: Path) -> str:
    if file.stat().st_size > _MAX_FILE_BYTES:
        raise InvalidInput(f"{str(file)!r} is longer than {_MAX_FILE_BYTES} bytes", what="file", where=str(file))
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{str(file)!r} cannot be read: {error}", what="file", where=str(file)) from error


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise InvalidInput(f"{text!r} is no NAME=VALUE", what="header", requested=text)
    return name, value
