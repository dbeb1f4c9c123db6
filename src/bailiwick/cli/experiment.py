"""`bailiwick experiment`: compare versions on live traffic, look as often as you like, ship the better one."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from bailiwick.cli import experiment_arms
from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.cli.experiment_options import (
    Coverage,
    Id,
    Level,
    Looks,
    MaxDays,
    Metric,
    MinimumEffect,
    Power,
    Reason,
    Revision,
    RuleOption,
    arm_documents,
    condition_document,
    design_from_file,
    goal_document,
    guardrail_document,
)
from bailiwick.cli.experiment_outcomes import resolved, said_as_json, say, say_concluded
from bailiwick.cli.experiment_views import one_line, print_frame, print_power, print_report
from bailiwick.errors import InvalidInput
from bailiwick.experiments.document import experiment_document, parse_design
from bailiwick.experiments.model import Experiment, Kind, Method, State, Verdict
from bailiwick.experiments.planning import MetricHistory, check_power
from bailiwick.experiments.report import Report, plain, report_document
from bailiwick.experiments.words import rule_words
from bailiwick.traffic.weights import percent

app = typer.Typer(
    add_completion=False, help="Compare versions on live traffic, and ship the better one.", no_args_is_help=True
)


@app.command(
    epilog="Examples:  bailiwick experiment create new-model cards --arm control=serving --arm treatment=newest "
    "--metric correct --minimum-effect 2%  |  bailiwick experiment create --file design.toml  |  add  --guardrail "
    "latency_ms:p95=10% --guardrail failed=0.01 --automatic --deploy"
)
def create(
    ctx: typer.Context,
    id: Annotated[str | None, typer.Argument(metavar="[EXPERIMENT]", help="Its id: letters, digits, - and _.")] = None,
    domain: Annotated[str | None, typer.Argument(help="Whose traffic.")] = None,
    file: Annotated[Path | None, typer.Option(help="A whole design instead: TOML, or JSON (.json). No YAML.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="Primary metric; METRIC:lower or METRIC:higher says what is good.")
    ] = None,
    minimum_effect: Annotated[
        str | None, typer.Option(help="Smallest improvement that matters: 0.02, or 5% of the control's value.")
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VERSION; VERSION may be `serving` or `newest`. The first arm is the control."),
    ] = None,
    weight: Annotated[
        list[str] | None, typer.Option(help="NAME=PERCENT of the users; equal shares by default.")
    ] = None,
    parameter: Annotated[list[str] | None, typer.Option(help="ARM.NAME=VALUE: what an arm sets besides.")] = None,
    guardrail: Annotated[
        list[str] | None, typer.Option(help="METRIC=MARGIN or METRIC:p95=MARGIN that a winner must not worsen by.")
    ] = None,
    secondary: Annotated[list[str] | None, typer.Option(help="METRIC[:lower|:higher] to look at besides.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="ab with two arms, multivariant with more, by default.")] = None,
    hypothesis: Annotated[str, typer.Option(help="What you expect, and why.")] = "",
    unit: Annotated[str, typer.Option(help="user, session, request or header:NAME.")] = "user",
    layer: Annotated[str, typer.Option(help="Experiments of one layer share no user.")] = "default",
    coverage: Coverage = 100.0,
    holdout: Annotated[float, typer.Option(help="Percent of users that the fleet must keep out of everything.")] = 0.0,
    where: Annotated[list[str] | None, typer.Option(help="'ATTRIBUTE OPERATOR VALUE,...': who takes part.")] = None,
    max_days: MaxDays = 28.0,
    rule: RuleOption = Method.SEQUENTIAL,
    looks: Looks = 5,
    planned_units: Annotated[
        int | None, typer.Option(min=2, help="Users over all arms; default: what the power check asks for.")
    ] = None,
    level: Level = 0.95,
    power: Power = 0.8,
    feedback_hours: Annotated[float, typer.Option(help="How long after an answer feedback counts.")] = 72.0,
    burn_in: Annotated[int, typer.Option(help="Users per arm before anything is decided.")] = 200,
    burn_in_events: Annotated[
        int, typer.Option(help="Successes and failures per arm that a yes-or-no metric must have shown before.")
    ] = 25,
    automatic: Annotated[bool, typer.Option("--automatic", help="Conclude by the rule without asking.")] = False,
    deploy: Annotated[bool, typer.Option("--deploy", help="Deploy the winner when concluding.")] = False,
    floor: Annotated[float, typer.Option(help="Percent that every arm of a bandit keeps.")] = 10.0,
    reweight_minutes: Annotated[int, typer.Option(help="How often a bandit changes its weights.")] = 60,
    force: Annotated[bool, typer.Option("--force", help="Create it against the power check; needs --reason.")] = False,
    reason: Reason = None,
) -> None:
    """Write an experiment down: its question, its arms, what a winner must not hurt, and how it is decided.

    It does not start by this. It is refused if it cannot be answered in its time.
    """
    if file is not None:
        design = design_from_file(file)
    else:
        needed = {
            "EXPERIMENT": id,
            "DOMAIN": domain,
            "--metric": metric,
            "--minimum-effect": minimum_effect,
            "--arm": arm,
        }
        missing = [name for name, value in needed.items() if not value]
        if missing:
            raise InvalidInput(
                f"{missing[0]} is missing", what=missing[0], remedy="give it, or a whole design with --file"
            )
        document: dict[str, Any] = {
            "id": id,
            "domain": domain,
            "hypothesis": hypothesis,
            "kind": kind.value if kind else None,
            "primary": goal_document(metric or ""),
            "minimum_effect": minimum_effect,
            "arms": resolved(ctx, domain or "", arm_documents(arm or (), weight or (), parameter or ())),
            "guardrails": [guardrail_document(word) for word in guardrail or ()],
            "secondary": [goal_document(word) for word in secondary or ()],
            "unit": unit,
            "layer": layer,
            "coverage": coverage,
            "holdout": holdout,
            "conditions": [condition_document(word) for word in where or ()],
            "maximum_days": max_days,
            "rule": rule.value,
            "looks": looks,
            "planned_units": planned_units,
            "level": level,
            "power": power,
            "feedback_hours": feedback_hours,
            "burn_in_units": burn_in,
            "burn_in_events": burn_in_events,
            "automatic": automatic,
            "deploy": deploy,
            "floor": floor,
            "reweight_minutes": reweight_minutes,
        }
        design = parse_design(document)
    made = flags(ctx).platform.experiments.create(design, actor=flags(ctx).actor(reason), force=force)
    if said_as_json(ctx, made):
        return
    out.print(f"[bold green]Created[/] {escape(made.id)}: {made.planned_units:,} users planned over all arms.")
    check = made.power_check
    if check is None:
        holds = (
            "nothing says how likely it is to find the minimum effect"
            if made.design.rule.scheduled
            else ("the test holds for any number of users")
        )
        out.print(f"  [yellow]There was too little history to plan from;[/] {holds}.")
    elif check.days is not None:
        out.print(f"  about {check.days:,.1f} days at {check.per_day:,.0f} users a day")
    out.print(f"  next: bailiwick experiment start {escape(made.id)}")


@app.command(epilog="Example:  bailiwick experiment start new-model")
def start(ctx: typer.Context, id: Id, reason: Reason = None, revision: Revision = None) -> None:
    """Expose the first users."""
    made = flags(ctx).platform.experiments.start(id, actor=flags(ctx).actor(reason), revision=revision)
    say(ctx, made, "runs", f"bailiwick experiment watch {id}")


@app.command("list", epilog="Examples:  bailiwick experiment list  |  bailiwick experiment list cards --state running")
def list_(
    ctx: typer.Context,
    domain: Annotated[str | None, typer.Argument(help="Default: all domains.")] = None,
    state: Annotated[list[State] | None, typer.Option(help="Only in this state.")] = None,
) -> None:
    """Experiments, newest first."""
    found = flags(ctx).platform.experiments.list(domain, state or ())
    if flags(ctx).json:
        print_json([plain(experiment_document(each)) for each in found])
        return
    rows = [
        (
            each.id,
            each.design.domain,
            each.design.kind.value,
            each.state.value,
            each.design.primary.metric,
            len(each.arms),
            _outcome(each),
        )
        for each in found
    ]
    print_table("Experiments", ("id", "domain", "kind", "state", "metric", "arms", "outcome"), rows)
    if not found:
        out.print("There is none yet. Next: [bold]bailiwick experiment create --help[/]")


@app.command(epilog="Example:  bailiwick experiment show new-model")
def show(ctx: typer.Context, id: Id) -> None:
    """What is known now, and what should be done. Look as often as you like: the verdict allows for it."""
    platform = flags(ctx).platform
    experiment = platform.experiments.get(id)
    if not experiment.epochs:
        _show_draft(ctx, experiment)
        return
    report = platform.experiment_analyst.report(id)
    if flags(ctx).json:
        print_json(report_document(report))
    else:
        print_report(report)


@app.command(epilog="Example:  bailiwick experiment watch new-model --every 5")
def watch(
    ctx: typer.Context,
    id: Id,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
    times: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many looks; default: until it is over.")
    ] = None,
) -> None:
    """Watch it live, until it is over or you press Ctrl-C. Without a terminal each look is one line."""
    analyst = flags(ctx).platform.experiment_analyst
    report = analyst.report(id)
    live = out.is_terminal and not flags(ctx).json
    try:
        with out.screen() if live else nullcontext():
            for looks in count(1):
                _look(ctx, report, live=live)
                if report.experiment.state not in (State.RUNNING, State.PAUSED) or looks == times:
                    break
                time.sleep(every)
                report = analyst.report(id)
    finally:
        if live:
            print_report(report)  # the screen is gone, what was seen last stays


@app.command(epilog="Example:  bailiwick experiment pause new-model --reason 'campaign today'")
def pause(ctx: typer.Context, id: Id, reason: Reason = None, revision: Revision = None) -> None:
    """Expose nobody for now; what came in is kept."""
    made = flags(ctx).platform.experiments.pause(id, actor=flags(ctx).actor(reason), revision=revision)
    say(ctx, made, "is paused", f"bailiwick experiment resume {id}")


@app.command(epilog="Example:  bailiwick experiment resume new-model")
def resume(ctx: typer.Context, id: Id, reason: Reason = None, revision: Revision = None) -> None:
    """Go on with the same users in the same arms."""
    made = flags(ctx).platform.experiments.resume(id, actor=flags(ctx).actor(reason), revision=revision)
    say(ctx, made, "runs again", f"bailiwick experiment watch {id}")


app.command(epilog="Example:  bailiwick experiment weights new-model control=80 treatment=20")(experiment_arms.weights)
app.command("add-arm", epilog="Example:  bailiwick experiment add-arm new-model bolder=cards-v3 --share 20%")(
    experiment_arms.add_arm
)
app.command("drop-arm", epilog="Example:  bailiwick experiment drop-arm new-model bolder --reason 'too slow'")(
    experiment_arms.drop_arm
)
app.command(epilog="Example:  bailiwick experiment override new-model ada@example.org treatment")(
    experiment_arms.override
)


@app.command(
    epilog="Examples:  bailiwick experiment conclude new-model  |  bailiwick experiment conclude new-model --winner "
    "treatment --reason 'cheaper' --deploy"
)
def conclude(
    ctx: typer.Context,
    id: Id,
    winner: Annotated[str | None, typer.Option(help="The arm that ships, whatever the rule says.")] = None,
    verdict: Annotated[Verdict | None, typer.Option(help="Another end, whatever the rule says.")] = None,
    deploy: Annotated[
        bool | None,
        typer.Option("--deploy/--no-deploy", help="Deploy the winner through the gates; default: as designed."),
    ] = None,
    reason: Reason = None,
    revision: Revision = None,
) -> None:
    """End it, as its rule says or as you decide. Exits with 4 where the rule says that it is too early."""
    platform = flags(ctx).platform
    made = platform.experiment_keeper.conclude(
        id, actor=flags(ctx).actor(reason), winner=winner, verdict=verdict, deploy=deploy, revision=revision
    )
    say_concluded(ctx, made)


@app.command(epilog="Example:  bailiwick experiment deploy new-model")
def deploy(ctx: typer.Context, id: Id, reason: Reason = None) -> None:
    """Deploy the winner of a concluded experiment, if the gates allow it."""
    say_concluded(ctx, flags(ctx).platform.experiment_keeper.deploy(id, actor=flags(ctx).actor(reason)))


@app.command(epilog="Example:  bailiwick experiment archive new-model")
def archive(ctx: typer.Context, id: Id, reason: Reason = None, revision: Revision = None) -> None:
    """Put it out of sight; its history stays."""
    made = flags(ctx).platform.experiments.archive(id, actor=flags(ctx).actor(reason), revision=revision)
    say(ctx, made, "is archived", f"bailiwick experiment list {made.design.domain}")


@app.command(
    epilog="Examples:  bailiwick experiment export new-model > log.jsonl  |  ... export new-model --format csv"
)
def export(
    ctx: typer.Context,
    id: Id,
    format: Annotated[str, typer.Option(help="jsonl or csv.")] = "jsonl",
) -> None:
    """Write the log of exposures and outcomes to standard output; users are keyed digests."""
    from bailiwick.experiments.export import export_lines

    if format not in ("jsonl", "csv"):
        raise InvalidInput(f"{format!r} is no format", what="format", requested=format, allowed=["jsonl", "csv"])
    events = flags(ctx).platform.experiment_analyst.events(id)
    for line in export_lines(events, "csv" if format == "csv" else "jsonl"):
        sys.stdout.write(line)


@app.command(
    epilog="Examples:  bailiwick experiment power cards --metric correct --minimum-effect 2%  |  bailiwick experiment "
    "power cards --metric correct --minimum-effect 0.02 --mean 0.8 --deviation 0.4 --per-day 5000"
)
def power(
    ctx: typer.Context,
    domain: Annotated[str, typer.Argument(help="Whose traffic.")],
    metric: Metric,
    minimum_effect: MinimumEffect,
    arms: Annotated[int, typer.Option(min=2, max=100, help="How many, the control included.")] = 2,
    coverage: Coverage = 100.0,
    max_days: MaxDays = 28.0,
    rule: RuleOption = Method.SEQUENTIAL,
    looks: Looks = 5,
    level: Level = 0.95,
    power: Power = 0.8,
    mean: Annotated[float | None, typer.Option(help="Instead of the metric's history.")] = None,
    deviation: Annotated[float | None, typer.Option(help="Instead of the metric's history.")] = None,
    per_day: Annotated[float | None, typer.Option(help="Users a day, instead of the domain's traffic.")] = None,
) -> None:
    """How many users, and how long: ask before you create."""
    names = ["control", *(f"treatment-{number}" for number in range(1, arms))]
    design = parse_design(
        {
            "id": "plan",
            "domain": domain,
            "primary": goal_document(metric),
            "minimum_effect": minimum_effect,
            "arms": [{"name": name, "parameters": {"arm": name}} for name in names],
            "coverage": coverage,
            "maximum_days": max_days,
            "rule": rule.value,
            "looks": looks,
            "level": level,
            "power": power,
        }
    )
    check = None
    if mean is not None and deviation is not None:
        check = check_power(design, MetricHistory(mean, deviation, 0, per_day or 0.0))
    elif not (mean is None and deviation is None and per_day is None):
        raise InvalidInput("--mean and --deviation go together", what="mean", remedy="give both, or neither")
    else:
        check = flags(ctx).platform.experiments.power(design)
    if flags(ctx).json:
        print_json({"power": plain(asdict(check)) if check else None})
    else:
        print_power(check, design)


def _look(ctx: typer.Context, report: Report, *, live: bool) -> None:
    if flags(ctx).json:
        print_json(report_document(report))
    elif live:
        print_frame(report)
    else:
        out.print(one_line(report), markup=False, soft_wrap=True)
        out.file.flush()


def _show_draft(ctx: typer.Context, experiment: Experiment) -> None:
    if said_as_json(ctx, experiment):
        return
    rows = [
        (arm.name, percent(experiment.design.weights[arm.name]), arm.version or "", dict(arm.parameters) or "")
        for arm in experiment.design.arms
    ]
    print_table(f"{experiment.id} ({experiment.state.value})", ("arm", "share", "version", "parameters"), rows)
    out.print(f"  rule: {rule_words(experiment.design.rule)}; {experiment.planned_units:,} users planned")
    if experiment.state is State.DRAFT:
        out.print(f"  next: bailiwick experiment start {escape(experiment.id)}")


def _outcome(experiment: Experiment) -> str:
    conclusion = experiment.conclusion
    if conclusion is None:
        return ""
    return f"{conclusion.verdict.value} {conclusion.winner or ''}".strip()
