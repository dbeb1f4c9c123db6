"""`bailiwick cache`: answers that are kept for the same question asked again."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bailiwick.caching.service import CacheReport
from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.domains.cache import AnswerCaching
from bailiwick.errors import InvalidInput
from bailiwick.traffic.weights import parse_percent

app = typer.Typer(add_completion=False, help="Keep answers for the same question asked again.", no_args_is_help=True)

Domain = Annotated[str, typer.Argument(help="A domain's id.", show_default=False)]
Reason = Annotated[str | None, typer.Option(help="Why, for the history and the audit trail.")]
_SCOPES = ("everyone", "user", "key")


@app.command()
def show(
    ctx: typer.Context,
    domain: Annotated[str | None, typer.Argument(help="Default: every domain that has a cache.")] = None,
    hours: Annotated[float, typer.Option(min=0.1, max=8_760, help="Look back so many hours.")] = 24,
) -> None:
    """How answers are kept, and how often one was there: over all gateways.

    Examples: bailiwick cache show · bailiwick cache show cards --hours 1
    """
    caching = flags(ctx).platform.caching
    reports = [caching.show(domain, hours)] if domain else caching.show_all(hours)
    if flags(ctx).json:
        print_json([report.document() for report in reports])
        return
    if not reports:
        out.print("No domain keeps answers. Next: [bold]bailiwick cache on DOMAIN[/]")
        return
    rows = [
        (
            each.domain,
            _state(each.settings),
            "" if each.settings is None else f"{each.settings.ttl_s:g} s",
            "" if each.settings is None else each.settings.scope,
            f"{each.requests:,}",
            f"{each.hits:,}",
            _rate(each),
            f"{each.similar:,}",
        )
        for each in reports
    ]
    columns = ("domain", "cache", "kept for", "shared by", "requests", "hits", "hit rate", "similar")
    print_table(f"Kept answers, last {hours:g} hours", columns, rows)
    for each in reports:
        _print_similar(each)


@app.command()
def on(
    ctx: typer.Context,
    domain: Domain,
    ttl: Annotated[float | None, typer.Option(help="Seconds that an answer serves. (default: 3600)")] = None,
    scope: Annotated[
        str | None, typer.Option(help="Who shares answers: everyone, user or key. (default: everyone)")
    ] = None,
    max_entries: Annotated[int | None, typer.Option(help="Answers in one gateway at most.")] = None,
    max_bytes: Annotated[int | None, typer.Option(help="Bytes in one gateway at most.")] = None,
    sampled: Annotated[
        bool | None, typer.Option(help="Also keep what an upstream drew at random (temperature above 0, no seed).")
    ] = None,
    shared: Annotated[
        bool | None, typer.Option(help="Also keep answers of upstreams in Redis, if there is one.")
    ] = None,
    reason: Reason = None,
) -> None:
    """Keep the answers of a domain from now on; what is not given stays as it is.

    Examples: bailiwick cache on cards --ttl 600 · bailiwick cache on assistant --scope user --sampled
    """
    if scope is not None and scope not in _SCOPES:
        raise InvalidInput(f"{scope!r} is no scope", what="--scope", requested=scope, allowed=list(_SCOPES))
    given: dict[str, Any] = {
        "ttl_s": ttl,
        "scope": scope,
        "max_entries": max_entries,
        "max_bytes": max_bytes,
        "sampled": sampled,
        "shared": shared,
    }
    values = {name: value for name, value in given.items() if value is not None}
    section = flags(ctx).platform.caching.change(domain, {"enabled": True, **values}, flags(ctx).actor(reason))
    if flags(ctx).json:
        print_json(section)
        return
    out.print(f"Answers of [bold]{domain}[/] are kept for {section.ttl_s:g} s, for {_shared_by(section)}.")
    kept_on = flags(ctx).platform.domains.get(domain).domain
    if kept_on.backend.kind != "local" and not section.sampled and kept_on.generation.temperature != 0:
        out.print("Only of requests with temperature 0 or a seed: others are drawn at random. To keep more, either")
        out.print(f"  [bold]bailiwick domain update {domain} --set generation.temperature=0[/], the default, or")
        out.print(f"  [bold]bailiwick cache on {domain} --sampled[/], the first answer for everybody.")
    out.print(f"Next: [bold]bailiwick cache show {domain}[/]; answers say it in their header x-bailiwick-cache.")


@app.command()
def off(ctx: typer.Context, domain: Domain, reason: Reason = None) -> None:
    """Keep no answers of a domain. Its settings stay, for `on`."""
    section = flags(ctx).platform.caching.change(domain, {"enabled": False}, flags(ctx).actor(reason))
    if flags(ctx).json:
        print_json(section)
        return
    out.print(f"Answers of [bold]{domain}[/] are not kept.")


@app.command()
def clear(ctx: typer.Context, domain: Domain, reason: Reason = None) -> None:
    """Forget what was kept of a domain, in every gateway and in Redis.

    Each gateway follows when it next looks for changes, within a second by default. A new version, or any change of the
    domain that could change an answer, needs no clearing.
    """
    section = flags(ctx).platform.caching.clear(domain, flags(ctx).actor(reason))
    if flags(ctx).json:
        print_json(section)
        return
    out.print(f"Kept answers of [bold]{domain}[/] are forgotten (generation {section.generation}).")


@app.command()
def similar(
    ctx: typer.Context,
    domain: Domain,
    dataset: Annotated[str | None, typer.Option(help="Labelled questions of the domain to prove it on.")] = None,
    max_wrong: Annotated[str, typer.Option(help="Share of such hits that may be wrong.")] = "2%",
    model: Annotated[
        str | None, typer.Option(help="A version whose labels say what a question means, such as cards.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Give kept answers to the same question only.")] = False,
    reason: Reason = None,
) -> None:
    """Let questions that mean the same share an answer, if the domain's own examples prove that they do.

    A threshold is chosen on one half of the examples and judged on the other. It is refused, and nothing changes,
    unless at most the given share of hits is wrong there, by a 95 % bound.

    Examples: bailiwick cache similar helper --dataset queries --model cards · bailiwick cache similar helper --off
    """
    caching, actor = flags(ctx).platform.caching, flags(ctx).actor(reason)
    if off:
        caching.exact(domain, actor)
        if flags(ctx).json:
            print_json(caching.show(domain).settings)
        else:
            out.print(f"Kept answers of [bold]{domain}[/] serve the same question only.")
        return
    if dataset is None:
        raise InvalidInput("name the data set to prove it on", what="--dataset", remedy="see `bailiwick dataset list`")
    found = caching.similar(domain, dataset, actor, max_wrong=parse_percent(max_wrong) / 10_000, model=model)
    if flags(ctx).json:
        print_json(found)
        return
    out.print(
        f"Questions to [bold]{domain}[/] that are alike from {found.threshold:.3f} on share an answer."
        f" On {found.questions:,} held-out questions: {found.hits:,} hits, {found.wrong:,} wrong, at most"
        f" {100 * found.at_most:.1f} % (95 % bound).",
        soft_wrap=True,
    )
    out.print("Numbers, names, negations and quoted words must be the same, and everything before the question.")


@app.command()
def measure(
    ctx: typer.Context,
    domain: Domain,
    dataset: Annotated[str, typer.Option(help="Labelled questions of the domain.", show_default=False)],
    model: Annotated[
        str | None, typer.Option(help="A version whose labels say what a question means, such as cards.")
    ] = None,
) -> None:
    """How often similar questions would share an answer, and how often wrongly. Changes nothing.

    Half of the examples are kept, the other half asks; a hit is wrong where the two labels differ.

    Examples: bailiwick cache measure helper --dataset queries --model cards
    """
    found = flags(ctx).platform.caching.measure(domain, dataset, model=model)
    if flags(ctx).json:
        print_json({"domain": domain, "dataset": dataset, "model": model, "thresholds": found})
        return
    rows = [
        (
            f"{each.threshold:g}",
            f"{100 * each.hits / each.questions:.1f} %",
            f"{each.wrong:,} of {each.hits:,}",
            f"{100 * each.low:.1f} to {100 * each.high:.1f} %",
        )
        for each in found
    ]
    columns = ("alike from", "hits", "wrong", "95 % interval")
    print_table(f"Similar questions to {domain}: {found[0].questions:,} asked", columns, rows)
    named = "" if model is None else f" --model {model}"
    told = f"Next: bailiwick cache similar {domain} --dataset {dataset}{named} --max-wrong 5%"
    out.print(told, style="dim", markup=False)


def _state(settings: AnswerCaching | None) -> str:
    return "none" if settings is None else "on" if settings.enabled else "off"


def _rate(report: CacheReport) -> str:
    return "" if report.hit_rate is None else f"{100 * report.hit_rate:.1f} %"


def _shared_by(section: AnswerCaching) -> str:
    return {"everyone": "everyone", "user": "the user who asked", "key": "the client key that asked"}[section.scope]


def _print_similar(report: CacheReport) -> None:
    semantic = None if report.settings is None else report.settings.semantic
    if semantic is not None:
        out.print(
            f"{report.domain}: similar questions share answers from {semantic.threshold:.3f} on; {semantic.wrong:,} of"
            f" {semantic.hits:,} hits were wrong on {semantic.questions:,} questions of {semantic.dataset!r}."
        )
