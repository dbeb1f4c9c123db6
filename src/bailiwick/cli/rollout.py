"""`bailiwick rollout`: let a version in step by step, on evidence."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bailiwick.cli import rollout_views as views
from bailiwick.cli.console import EXIT_CODES, out, print_json
from bailiwick.cli.context import flags
from bailiwick.delivery.document import deployment_document
from bailiwick.delivery.gates import explain
from bailiwick.delivery.model import Deployment, DeploymentStatus
from bailiwick.delivery.rollout.document import evidence_document, parse_policy, rollout_document, transition_document
from bailiwick.delivery.rollout.model import JudgeRule, Rollout, Step
from bailiwick.delivery.rollout.report import report as report_of
from bailiwick.delivery.rollout.schedule import duration
from bailiwick.delivery.rollout.summary import summary
from bailiwick.errors import GateFailed, InvalidInput
from bailiwick.traffic.weights import parse_percent, percent

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Let a version in step by step; it comes back by itself if it harms.",
)

Id = Annotated[str, typer.Argument(metavar="ROLLOUT|DOMAIN", help="A rollout's id, or a domain: its rollout.")]
Reason = Annotated[str | None, typer.Option(help="Why, for the audit trail.")]
Expected = Annotated[int | None, typer.Option(help="Only if the rollout still has this row version.")]
Force = Annotated[bool, typer.Option("--force", help="Without the evidence, or in a freeze; needs --reason.")]

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SCALES = (5.0, 2.0)
_BEFORE_LAST = 0.7


@app.command(
    epilog="Examples:  bailiwick rollout start cards  |  bailiwick rollout start cards-v2 --steps 1,5,25,100 "
    "--dwell 10m  |  bailiwick rollout start cards --policy careful.toml"
)
def start(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="VERSION|DOMAIN", help="A version, or a domain: its newest version.")],
    policy: Annotated[Path | None, typer.Option(help="TOML or JSON file with steps, metrics, freezes, ...")] = None,
    steps: Annotated[
        str | None, typer.Option(help="Rising percentages, ending with 100; default: 1,10,50,100.")
    ] = None,
    dwell: Annotated[str | None, typer.Option(help="How long each step lasts at least: 90s, 10m, 2h.")] = None,
    sample: Annotated[int | None, typer.Option(min=0, help="Users of each side before the next step.")] = None,
    rule: Annotated[JudgeRule | None, typer.Option(help="How evidence is judged.")] = None,
    hold_back: Annotated[str | None, typer.Option(help="Stays on the old version while guarding; default: 5%.")] = None,
    guard: Annotated[str | None, typer.Option(help="How long the hold-back guards; default: 1h.")] = None,
    most_requests: Annotated[int | None, typer.Option(min=1, help="Take it back when unproven after so many.")] = None,
    adapt: Annotated[
        bool, typer.Option(help="Make the first step large enough for its sample at the present traffic.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Although a gate does not pass; needs --reason.")] = False,
    break_glass: Annotated[
        bool, typer.Option("--break-glass", help="Although the domain is frozen; needs --reason.")
    ] = False,
    reason: Reason = None,
) -> None:
    """Let a version in as a canary beside the one that serves, if the gates allow it.

    From then on every `bailiwick serve` watches it: it gets more when it is shown to be no worse, and is taken back
    when it is shown to be worse. Where the gate policy asks for approvals, the first start asks for them and serves
    nobody; once people have agreed, start it again. Exits with 7 when a gate holds it.
    """
    platform = flags(ctx).platform
    version = platform.delivery.find(name)
    document = _with_flags(
        {} if policy is None else _read(policy),
        rule=rule.value if rule else None,
        hold_back_percent=None if hold_back is None else parse_percent(hold_back) / 100,
        guard_s=None if guard is None else parse_duration(guard),
        most_requests=most_requests,
    )
    ladder, judged = parse_policy(document)
    ladder = _with_steps(ladder, steps, None if dwell is None else parse_duration(dwell), sample)
    started = platform.rollouts.start(
        version.domain,
        version.id,
        actor=flags(ctx).actor(reason),
        steps=ladder,
        policy=judged,
        adapt=adapt,
        force=force,
        break_glass=break_glass,
    )
    if flags(ctx).json:
        made = started.rollout
        print_json(
            {
                "deployment": deployment_document(started.deployment),
                "rollout": None if made is None else rollout_document(made),
            }
        )
    elif started.deployment.status is DeploymentStatus.WAITING:
        _print_waiting(started.deployment)
    elif started.rollout is None:
        out.print(f"[bold red]Held[/]: {explain(started.deployment.gates)}. Traffic is as it was.")
        out.print(f"  next: train a better one, or: bailiwick rollout start {version.id} --force --reason '...'")
    else:
        _print_started(started.rollout, platform.metrics.requests_per_s(version.domain))
    if started.deployment.status is DeploymentStatus.HELD:
        raise typer.Exit(EXIT_CODES[GateFailed])


@app.command("list")
def list_rollouts(
    ctx: typer.Context,
    domain: Annotated[str | None, typer.Argument(help="Default: all domains.")] = None,
    active: Annotated[bool, typer.Option("--active", help="Only those under way.")] = False,
) -> None:
    """Rollouts, the newest first."""
    found = flags(ctx).platform.rollouts.list(domain, active=active)
    if flags(ctx).json:
        print_json([rollout_document(each) for each in found])
    elif found:
        views.show_list(found)
    else:
        out.print("No rollout. Next: [bold]bailiwick rollout start DOMAIN[/]")


@app.command("summary", epilog="Example:  bailiwick rollout summary cards")
def show_summary(
    ctx: typer.Context,
    domain: Annotated[str | None, typer.Argument(help="Default: all domains.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Only so many, the newest ones.")] = 1_000,
) -> None:
    """How rollouts have gone: how many were taken back, how long that took, and whom it touched."""
    made = summary(flags(ctx).platform.rollouts.list(domain, limit=limit))
    if flags(ctx).json:
        print_json(asdict(made))
    else:
        views.show_summary(made)


@app.command()
def show(ctx: typer.Context, name: Id) -> None:
    """Where a rollout stands, what is known of each metric, and what every move was."""
    platform = flags(ctx).platform
    rollout = platform.rollouts.get(name)
    evidence = platform.rollouts.evidence(rollout.id)
    moves = platform.rollouts.transitions(rollout.id)
    gateways, revision = platform.gateway_reports.live(), platform.traffic.revision()
    if flags(ctx).json:
        print_json(
            {
                **rollout_document(rollout),
                "evidence": evidence_document(evidence),
                "transitions": [transition_document(each) for each in moves],
                "gateways": {
                    "live": len(gateways),
                    "applied": sum(each.revision >= revision for each in gateways),
                },
            }
        )
        return
    views.show_rollout(rollout, evidence.metrics, (evidence.canary_units, evidence.control_units))
    if not rollout.state.is_final:
        views.show_gateways(gateways, revision)
    views.show_moves(moves)


@app.command()
def watch(
    ctx: typer.Context,
    name: Id,
    every: Annotated[str, typer.Option(help="Between two looks: 1s, 1m.")] = "2s",
) -> None:
    """Follow a rollout until it is over: one line per change. Exits with 0 when it succeeded, else with 4."""
    platform = flags(ctx).platform
    pause_s, said = parse_duration(every), ""
    while True:
        rollout = platform.rollouts.get(name)
        name = rollout.id
        line = f"{rollout.state.value:10} {percent(rollout.weight):>8}  {rollout.reason}"
        if line != said:
            said = line
            if flags(ctx).json:
                print(
                    json.dumps(
                        {"state": rollout.state.value, "share_percent": rollout.weight / 100, "reason": rollout.reason}
                    )
                )
            else:
                out.print(line, markup=False, soft_wrap=True)
        if rollout.state.is_final:
            raise typer.Exit(0 if rollout.state.value == "succeeded" else 4)
        platform.clock.sleep(pause_s)


@app.command()
def pause(ctx: typer.Context, name: Id, reason: Reason = None, expected: Expected = None) -> None:
    """Hold a rollout where it is; evidence of harm still takes it back."""
    rollouts = flags(ctx).platform.rollouts
    _print_moved(ctx, rollouts.pause(name, actor=flags(ctx).actor(reason), expected=expected))


@app.command()
def resume(ctx: typer.Context, name: Id, reason: Reason = None, expected: Expected = None) -> None:
    """Let a paused rollout go on."""
    rollouts = flags(ctx).platform.rollouts
    _print_moved(ctx, rollouts.resume(name, actor=flags(ctx).actor(reason), expected=expected))


@app.command()
def promote(
    ctx: typer.Context,
    name: Id,
    full: Annotated[bool, typer.Option("--full", help="To all but the hold-back at once.")] = False,
    force: Force = False,
    reason: Reason = None,
    expected: Expected = None,
) -> None:
    """Go on to the next step now, if the evidence allows it; from guarding: to everything. Exits with 7 if not."""
    rollouts, actor = flags(ctx).platform.rollouts, flags(ctx).actor(reason)
    _print_moved(ctx, rollouts.promote(name, actor=actor, full=full, force=force, expected=expected))


@app.command(epilog="Example:  bailiwick rollout weight cards 2% --reason 'support is short of people'")
def weight(
    ctx: typer.Context,
    name: Id,
    share: Annotated[str, typer.Argument(help="Of the domain's users, such as 2% or 0.25%.")],
    force: Force = False,
    reason: Reason = None,
    expected: Expected = None,
) -> None:
    """Give the canary less, which is always allowed, or more, which needs the evidence."""
    rollouts, actor = flags(ctx).platform.rollouts, flags(ctx).actor(reason)
    points = parse_percent(share)
    _print_moved(ctx, rollouts.set_weight(name, points, actor=actor, force=force, expected=expected))


@app.command(
    epilog="Examples:  bailiwick rollout abort cards  |  "
    "bailiwick rollout abort cards --reason 'wrong answers on refunds'"
)
def abort(
    ctx: typer.Context,
    name: Id,
    reason: Reason = None,
    expected: Expected = None,
) -> None:
    """Take the canary out, whatever its state. It asks nobody and needs nothing but the database."""
    rollouts = flags(ctx).platform.rollouts
    _print_moved(ctx, rollouts.abort(name, actor=flags(ctx).actor(reason), expected=expected))


@app.command()
def approve(ctx: typer.Context, name: Id, reason: Reason = None, expected: Expected = None) -> None:
    """Let the present step be left, where its schedule asks for it. Who started the rollout cannot approve it."""
    rollouts = flags(ctx).platform.rollouts
    _print_moved(ctx, rollouts.approve(name, actor=flags(ctx).actor(reason), expected=expected))


@app.command()
def report(ctx: typer.Context, name: Id) -> None:
    """What a rollout did: whom it exposed, how long it took to decide, and why."""
    platform = flags(ctx).platform
    rollout = platform.rollouts.get(name)
    made = report_of(
        rollout,
        platform.rollouts.transitions(rollout.id),
        platform.rollouts.evidence(rollout.id),
        platform.clock.now(),
    )
    if flags(ctx).json:
        print_json(
            {
                "rollout": rollout_document(rollout),
                "evidence": evidence_document(made.evidence),
                "phases": made.phases,
                "decided_s": made.decided_s,
                "total_s": made.total_s,
                "peak_percent": made.peak_weight / 100,
                "forced": made.forced,
            }
        )
        return
    views.show_report(made)


def parse_duration(text: str) -> float:
    """Seconds of ``90s``, ``10m``, ``2h`` or ``1d``.

    Raises:
        InvalidInput: not such a duration.

    >>> parse_duration("10m")
    600.0
    """
    number, unit = text.strip()[:-1], text.strip()[-1:]
    try:
        seconds = float(number) * _SECONDS[unit]
    except (KeyError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise InvalidInput(f"{text!r} is no duration", what="duration", requested=text, allowed="90s, 10m, 2h or 1d")
    return seconds


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8")
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InvalidInput(f"cannot read {str(path)!r}: {error.strerror}", what="policy", where=str(path)) from error
    except (UnicodeDecodeError, ValueError) as error:
        raise InvalidInput(f"{str(path)!r} is not TOML (or .json): {error}", what="policy", where=str(path)) from error
    if not isinstance(document, dict):
        raise InvalidInput(f"{str(path)!r} holds no policy", what="policy", where=str(path))
    return document


def _with_flags(document: dict[str, Any], **given: Any) -> dict[str, Any]:
    return {**document, **{name: value for name, value in given.items() if value is not None}}


def _scale(place: int, count: int) -> float:
    """The margin scale of a step, as in the default schedule: wide at first, narrow before everybody is served."""
    before_last = count - 2
    if place == before_last:
        return _BEFORE_LAST
    return _SCALES[place] if place < min(len(_SCALES), before_last) else 1.0


def _with_steps(
    ladder: tuple[Step, ...], shares: str | None, dwell_s: float | None, sample: int | None
) -> tuple[Step, ...]:
    """The schedule with what the flags say; early steps of a new one allow wider margins, as the default does."""
    if shares is not None:
        weights = [parse_percent(share) for share in shares.split(",")]
        ladder = tuple(Step(points, margin_scale=_scale(place, len(weights))) for place, points in enumerate(weights))
    return tuple(
        Step(
            step.weight,
            step.dwell_s if dwell_s is None else dwell_s,
            step.sample if sample is None else sample,
            step.margin_scale,
            step.approval,
        )
        for step in ladder
    )


def _print_waiting(asked: Deployment) -> None:
    people = f"{asked.approvals_needed} approval{'s' * (asked.approvals_needed > 1)}"
    out.print(f"[bold yellow]Waiting[/] for {people} until {asked.expires_at:%Y-%m-%d %H:%M}Z. Traffic is as it was.")
    if asked.outcome is not None:
        out.print(f"  again, since {asked.outcome}", markup=False)
    out.print(f"  next, by somebody else: bailiwick deployment approve {asked.id}", soft_wrap=True)
    out.print("  and then the same command again", soft_wrap=True)


def _print_started(rollout: Rollout, requests_per_s: float) -> None:
    out.print(f"[bold green]Started[/]: {rollout.version} serves {percent(rollout.weight)} of {rollout.domain}.")
    out.print(f"  {views.ladder(rollout)}")
    takes = duration(rollout.steps, requests_per_s).total_s
    if requests_per_s > 0:
        out.print(f"  at {requests_per_s:.3g} requests a second it takes {views.duration(takes)} or more")
    else:
        out.print("  nothing is asked of the domain now; without traffic nothing is ever decided")
    out.print(f"  next: bailiwick rollout watch {rollout.domain}    or: bailiwick rollout show {rollout.domain}")


def _print_moved(ctx: typer.Context, rollout: Rollout) -> None:
    if flags(ctx).json:
        print_json(rollout_document(rollout))
        return
    out.print(f"[bold]{rollout.domain}[/]: {rollout.version} is {rollout.state.value} at {percent(rollout.weight)}.")
    out.print(f"  {views.ladder(rollout)}")
    if rollout.state.is_final:
        out.print(f"  next: bailiwick rollout report {rollout.id}")
    else:
        out.print(f"  next: bailiwick rollout show {rollout.domain}")
