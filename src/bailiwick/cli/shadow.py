"""`bailiwick traffic shadow`: let a version answer copies of requests, unseen, and see how it compares."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.delivery.shadow import ShadowReport, shadow_report
from bailiwick.errors import InvalidInput, NotFound
from bailiwick.traffic.document import plan_document
from bailiwick.traffic.weights import parse_percent, percent

SHOW = "show"


def shadow(
    ctx: typer.Context,
    domain: Annotated[str, typer.Argument(help="A domain's id; or `show` and then the domain.")],
    version: Annotated[str | None, typer.Argument(help="Who answers copies. Default: show what it showed.")] = None,
    share: Annotated[str, typer.Option(help="Share of the requests that are copied.")] = "100%",
    off: Annotated[bool, typer.Option("--off", help="Copy no more requests.")] = False,
    hours: Annotated[float, typer.Option(min=0.1, max=8_760, help="Show what was seen in so many hours.")] = 24,
    reason: Annotated[str | None, typer.Option(help="Why, for the audit trail.")] = None,
    revision: Annotated[int | None, typer.Option(help="Change only if the plan still has this revision.")] = None,
) -> None:
    """Let a version answer copies of requests in the background: nobody waits for it or sees what it says.

    Examples: bailiwick traffic shadow cards cards-v2 --share 10% · bailiwick traffic shadow show cards ·
    bailiwick traffic shadow cards --off
    """
    if domain == SHOW:
        if version is None:
            raise InvalidInput("which domain's shadow?", what="domain", remedy="bailiwick traffic shadow show DOMAIN")
        _show(ctx, version, hours)
        return
    if version is not None and off:
        raise InvalidInput("name a version, or give --off, not both", what="version")
    if version is None and not off:
        _show(ctx, domain, hours)
        return
    plan = flags(ctx).platform.delivery.shadow(
        domain, version, share=parse_percent(share), actor=flags(ctx).actor(reason), expected_revision=revision
    )
    if flags(ctx).json:
        print_json(plan_document(plan))
    elif plan.shadow is None:
        out.print(f"No version answers in the shadow of [bold]{domain}[/] (plan revision {plan.revision}).")
    else:
        copied = percent(plan.shadow.share)
        out.print(
            f"[bold green]{plan.shadow.version}[/] answers copies of {copied} of the requests to {domain}, unseen."
        )
        out.print(f"Next: [bold]bailiwick traffic shadow show {domain}[/]")


def _show(ctx: typer.Context, domain: str, hours: float) -> None:
    platform = flags(ctx).platform
    plan = platform.traffic.plan(domain)
    if plan is None or plan.shadow is None:
        raise NotFound(
            f"no version answers in the shadow of {domain!r}",
            what="domain",
            requested=domain,
            remedy=f"begin with `bailiwick traffic shadow {domain} VERSION`",
        )
    now = platform.clock.now() + timedelta(microseconds=1)
    found = platform.metrics.shadow_summary(domain, plan.shadow.version, now - timedelta(hours=hours), now)
    report = shadow_report(domain, plan.shadow.version, found)
    if flags(ctx).json:
        print_json(report)
        return
    _print(report, plan.shadow.share)


def _print(report: ShadowReport, share: int) -> None:
    out.print(f"[bold]{report.version}[/] answers copies of {percent(share)} of the requests to {report.domain}.")
    if not report.answered and not report.failed:
        out.print("Nothing was seen yet. Copies are made of requests that a server answers.")
        return
    out.print(f"  answered {report.answered:,}, failed {report.failed:,}")
    if report.p50_ms is not None and report.p95_ms is not None:
        out.print(f"  latency {report.p50_ms:.3g} ms (median), {report.p95_ms:.3g} ms (95 %)")
    if report.interval is not None:
        low, high = (100 * bound for bound in report.interval)
        share_agreed = 100 * report.agreed / report.compared
        out.print(
            f"  agrees in {report.agreed:,} of {report.compared:,}: {share_agreed:.1f} %"
            f" (95 % interval {low:.1f} to {high:.1f} %)"
        )
    if report.disagreements:
        rows = [(each.labels, each.count) for each in report.disagreements]
        print_table("Most frequent disagreements", ("served -> shadow", "count"), rows)
