"""`bailiwick metrics`: what was observed, its trends, comparisons and rankings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

import typer

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import Flags, flags
from bailiwick.cli.track_record_views import show_record, show_table
from bailiwick.delivery.track_record import record_document
from bailiwick.errors import InvalidInput, Unavailable
from bailiwick.metrics.better import lower_is_better
from bailiwick.metrics.comparison import Verdict, compare, rank
from bailiwick.metrics.document import point_document
from bailiwick.metrics.resolution import Resolution
from bailiwick.metrics.rollup import Rollup
from bailiwick.metrics.summary import merged_arms
from bailiwick.metrics.trend import Direction

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Show, compare and rank what was observed, and its trends."
)

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 60
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}

Domain = Annotated[str, typer.Argument(help="A domain.")]
Metric = Annotated[str, typer.Argument(help="Such as latency_ms, failed, correct; see `metrics show`.")]
Last = Annotated[str, typer.Option(help="How far to look back: 90m, 24h or 30d.")]


@app.command(epilog="Example:  bailiwick metrics show cards --last 7d")
def show(
    ctx: typer.Context,
    domain: Domain,
    last: Last = "24h",
    by_arm: Annotated[bool, typer.Option("--by-arm", help="Arms of rollouts and experiments by themselves.")] = False,
) -> None:
    """Show every metric of every version, and the feedback on them."""
    own = flags(ctx)
    since, until = _span(own, last)
    own.platform.domains.get(domain)
    summary = own.platform.metrics.summary(domain, since, until, by_arm=by_arm or own.json)
    feedback = own.platform.metrics.feedback_summary(domain, since, until)
    if own.json:
        print_json({"domain": domain, "since": since, "until": until, "metrics": summary, "feedback": feedback})
        return
    if not summary and not feedback:
        out.print(f"Nothing was observed of {domain} in the last {last}.")
        out.print("  next: send it requests (bailiwick serve), or observations to POST /v1/observations")
        return
    print_table(
        f"Metrics of {domain}, last {last}",
        ("version", *_arm(by_arm, "arm"), "metric", "count", "mean", "p50", "p95", "max"),
        [
            (
                each.version,
                *_arm(by_arm, each.arm),
                each.metric,
                each.count,
                each.mean,
                each.p50,
                each.p95,
                each.maximum,
            )
            for each in summary
        ],
    )
    if feedback:
        print_table(
            "Feedback",
            ("version", *_arm(by_arm, "arm"), "metric", "count", "mean"),
            [
                (each.version, *_arm(by_arm, each.arm), each.metric, each.count, each.mean)
                for each in (feedback if by_arm else merged_arms(feedback))
            ],
        )
    if summary:
        metric = summary[0].metric
        out.print(f"  next: bailiwick metrics trend {domain} {metric}    or: bailiwick metrics rank {domain} {metric}")


@app.command(
    epilog="Examples:  bailiwick metrics versions cards --last 30d  |  "
    "bailiwick metrics versions cards --version cards-v20260301_120000"
)
def versions(
    ctx: typer.Context,
    domain: Domain,
    version: Annotated[str | None, typer.Option(help="Only this one, in full.")] = None,
    last: Last = "24h",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Only so many, the newest ones.")] = 20,
) -> None:
    """Show each version with its training, its held-out and live metrics, and its deployments."""
    own = flags(ctx)
    since, until = _span(own, last)
    own.platform.domains.get(domain)
    found = own.platform.track_records.of(domain, since, until, version=version, limit=limit)
    if own.json:
        print_json({"domain": domain, "since": since, "until": until, "versions": list(map(record_document, found))})
    elif version is not None:
        show_record(found[0], last)
    elif found:
        show_table(f"Versions of {domain}, live numbers of the last {last}", found)
        out.print(f"  next: bailiwick metrics versions {domain} --version {found[0].version.id}", soft_wrap=True)
    else:
        out.print(f"{domain} has no version yet.")
        out.print(f"  next: bailiwick train {domain} --dataset NAME")


@app.command(epilog="Example:  bailiwick metrics record cards cards-v2 correct 1 0 1 1")
def record(
    ctx: typer.Context,
    domain: Domain,
    version: Annotated[str, typer.Argument(help="That was measured.")],
    metric: Metric,
    values: Annotated[list[float], typer.Argument(help="One or more numbers, as of now.")],
) -> None:
    """Record what was measured of a version. Applications send it to POST /v1/observations instead."""
    own = flags(ctx)
    own.platform.domains.get(domain)
    metrics, now = own.platform.metrics, own.platform.clock.now()
    for value in values:
        reason = metrics.reason_to_refuse(domain, version, metric, value, "", now)
        if reason is not None:
            raise InvalidInput(f"{metric} {value!r} of {version!r} is refused: {reason}", what="value", requested=value)
    taken = sum(metrics.record(domain, version, metric, value, at=now) for value in values)
    if taken < len(values) or not metrics.flush():
        raise Unavailable("the observations were not written", remedy="try again")
    if own.json:
        print_json({"recorded": taken})
        return
    out.print(f"Recorded {taken} of {metric}.")
    out.print(f"  next: bailiwick metrics show {domain}")


@app.command(epilog="Example:  bailiwick metrics trend cards latency_ms --last 30d --by day")
def trend(
    ctx: typer.Context,
    domain: Domain,
    metric: Metric,
    last: Last = "24h",
    version: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    by: Annotated[Resolution | None, typer.Option(help="Of the points; default: what fits.")] = None,
) -> None:
    """Say whether the mean of a metric rises or falls, by how much, and whether that may be chance."""
    own = flags(ctx)
    since, until = _span(own, last)
    own.platform.domains.get(domain)
    found, points = own.platform.metrics.trend(domain, metric, since, until, version=version, resolution=by)
    if own.json:
        print_json({"domain": domain, "metric": metric, "trend": found, "points": list(map(point_document, points))})
        return
    if points:
        means = [point.rollup.mean for point in points]
        out.print(f"{metric} of {version or domain}, last {last}: {min(means):.4g} to {max(means):.4g}")
        out.print(f"  {sparkline(means)}")
    if found.direction is Direction.INCONCLUSIVE:
        out.print(f"Inconclusive: {found.reason}.")
        out.print("  next: look further back with --last, or at finer points with --by minute")
        return
    out.print(
        f"[bold]{found.direction.value}[/]: {found.slope:+.4g} a day, 95 % from {found.low:+.4g} to {found.high:+.4g}"
    )
    if found.relative is not None:
        out.print(f"  {found.relative:+.1%} over these {found.points} points; {found.reason}")


@app.command("compare", epilog="Example:  bailiwick metrics compare cards latency_ms cards-v2 cards-v1")
def compare_versions(
    ctx: typer.Context,
    domain: Domain,
    metric: Metric,
    first: Annotated[str, typer.Argument(help="A version.")],
    second: Annotated[str, typer.Argument(help="The version that it is compared with.")],
    last: Last = "24h",
) -> None:
    """Compare the mean of a metric between two versions: a first look; an experiment decides."""
    own = flags(ctx)
    own.platform.domains.get(domain)
    series = own.platform.metrics.versions_by(domain, metric, *_span(own, last))
    found = compare(series.get(first, Rollup.of([])), series.get(second, Rollup.of([])))
    if own.json:
        print_json({"metric": metric, "first": first, "second": second, "comparison": found})
        return
    if found.verdict is Verdict.INCONCLUSIVE:
        out.print(f"Inconclusive: {found.reason}.")
        return
    out.print(f"{metric} of {first} against {second}: [bold]{found.reason}[/]")
    share = "" if found.relative is None else f" ({found.relative:+.1%})"
    out.print(f"  {found.difference:+.4g}{share}, 95 % from {found.low:+.4g} to {found.high:+.4g}")


@app.command("rank", epilog="Examples:  bailiwick metrics rank cards latency_ms  |  bailiwick metrics rank all failed")
def rank_them(
    ctx: typer.Context,
    domain: Annotated[str, typer.Argument(help="A domain: ranks its versions; `all`: ranks the domains.")],
    metric: Metric,
    last: Last = "24h",
    lowest_first: Annotated[
        bool | None, typer.Option("--lowest-first/--highest-first", help="Which end is best; default: by the metric.")
    ] = None,
) -> None:
    """Rank the versions of a domain, or all domains, by the mean of a metric."""
    own = flags(ctx)
    metrics, span = own.platform.metrics, _span(own, last)
    if domain == "all":
        ids = [each.domain.id for each in own.platform.domains.list_domains()]
        series = {each: metrics.query(each, metric, *span) for each in ids}
    else:
        own.platform.domains.get(domain)
        series = dict(metrics.versions_by(domain, metric, *span))
    found = rank(series, lowest_first=lower_is_better(metric) if lowest_first is None else lowest_first)
    if own.json:
        print_json({"metric": metric, "ranking": found})
        return
    if not found:
        out.print(f"Nothing was observed of {metric} in the last {last}.")
        return
    print_table(
        f"{metric}, last {last}",
        ("rank", "domain" if domain == "all" else "version", "count", "mean", "low", "high", "p95"),
        [(each.rank or "-", each.name, each.count, each.mean, each.low, each.high, each.p95) for each in found],
    )
    out.print("Those that share a rank are not distinct; '-': too few observations.")


def _arm(shown: bool, cell: str) -> tuple[str, ...]:
    return (cell,) if shown else ()


def sparkline(values: Sequence[float], width: int = _WIDTH) -> str:
    """Bars from the smallest value to the largest, one for each; neighbours are averaged where there are too many.

    >>> sparkline([1, 2, 3, 4])
    '▁▃▆█'
    """
    step = max(1, -(-len(values) // width))
    means = [sum(part) / len(part) for part in (values[at : at + step] for at in range(0, len(values), step))]
    low, span = min(means), (max(means) - min(means)) or 1.0
    return "".join(_BARS[round((mean - low) / span * (len(_BARS) - 1))] for mean in means)


def _span(own: Flags, last: str) -> tuple[datetime, datetime]:
    matched = re.fullmatch(r"(\d{1,5})([mhd])", last)
    if matched is None or not int(matched[1]):
        raise InvalidInput(f"{last!r} is no span of time", what="last", requested=last, allowed="such as 90m, 24h, 30d")
    until = own.platform.clock.now() + timedelta(microseconds=1)
    return until - timedelta(**{_UNITS[matched[2]]: int(matched[1])}), until
