"""How experiments look on a terminal: tables, intervals as bars around zero, sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.markup import escape

from bailiwick.cli.console import out, print_table
from bailiwick.experiments.findings import ArmEffect, Interval, Standing
from bailiwick.experiments.model import Conclusion, Experiment, ExperimentDesign, PowerCheck, State, Verdict
from bailiwick.experiments.report import Report
from bailiwick.experiments.words import bounds, number, rule_words, unit
from bailiwick.traffic.weights import percent

_BAR = 25
_COLOURS = {
    Verdict.SHIP: "green",
    Verdict.STOP_HARM: "red",
    Verdict.KEEP_CONTROL: "yellow",
    Verdict.CONTINUE: "cyan",
    Verdict.INCONCLUSIVE: "yellow",
}


def bar(interval: Interval, reach: float, width: int = _BAR) -> str:
    """An interval around zero: ``│`` is zero, ``●`` the estimate, and an arrow an end that goes on beyond the reach.

    Args:
        interval: to be drawn.
        reach: what the left and the right end of the bar stand for.
        width: characters, odd.

    >>> bar(Interval(0.5, 0.2, 0.8), 1.0, 11)
    '     │├●─┤ '
    >>> bar(Interval(0.0, -9.0, 0.4), 1.0, 11)
    '◂────●─┤   '
    """
    middle = width // 2
    if not math.isfinite(interval.estimate) or reach <= 0:
        return " " * middle + "│" + " " * middle

    def place(value: float) -> int:
        return middle + round(max(-1.0, min(1.0, value / reach)) * middle)

    low, high, estimate = place(interval.low), place(interval.high), place(interval.estimate)
    cells = [" "] * width
    cells[low : high + 1] = "─" * (high - low + 1)
    cells[middle] = "┼" if low < middle < high else "│"
    cells[low] = "◂" if interval.low < -reach else "├"
    cells[high] = "▸" if interval.high > reach else "┤"
    cells[estimate] = "●"
    return "".join(cells)


def reach_of(effects: Sequence[ArmEffect]) -> float:
    """What the bars of these effects must reach; an interval without bounds counts by its estimate."""
    sizes = [abs(e) for f in effects for e in (f.always_valid.low, f.always_valid.high, f.always_valid.estimate)]
    return max((size for size in sizes if math.isfinite(size)), default=0.0)


def print_report(report: Report) -> None:
    """Everything that is known, in 80 columns."""
    _print_head(report.experiment)
    _print_arms(report)
    _print_effects("Primary", report.analysis.primary)
    _print_schedule(report)
    if report.analysis.secondary:
        _print_effects("Secondary", report.analysis.secondary)
    if report.analysis.guardrails:
        _print_guardrails(report)
    _print_notes(report)
    print_decision(report)


def print_frame(report: Report) -> None:
    """The report in place of what stands on the terminal, which is not cleared before: that would flicker."""
    with out.capture() as captured:
        print_report(report)
    lines = fitting(captured.get().splitlines(), out.height)
    out.file.write("\x1b[H" + "\x1b[K\n".join(lines) + "\x1b[K\x1b[J")
    out.file.flush()


def fitting(lines: Sequence[str], height: int) -> list[str]:
    """Lines for so many rows: the first stays, and the last, which hold the decision.

    >>> fitting(["title", "a", "b", "c", "decision"], 4)
    ['title', '...', 'c', 'decision']
    """
    return list(lines) if len(lines) <= height else [lines[0], "...", *lines[len(lines) - max(1, height - 2) :]]


def print_decision(report: Report) -> None:
    """What should be done, why, and what to type next."""
    decision, experiment = report.decision, report.experiment
    conclusion = experiment.conclusion
    verdict, arm = (conclusion.verdict, conclusion.winner) if conclusion else (decision.verdict, decision.arm)
    head = "Concluded" if conclusion else "Decision"
    out.print(f"[bold {_COLOURS[verdict]}]{head}: {verdict.value}[/]{f' {escape(arm)}' if arm else ''}")
    for reason in conclusion.reasons if conclusion else decision.reasons:
        out.print(f"  - {escape(reason)}")
    if conclusion:
        _print_conclusion(conclusion)
    for line in next_steps(report):
        out.print(f"  [dim]next:[/] {escape(line)}", soft_wrap=True)


def next_steps(report: Report) -> list[str]:
    """Commands that make sense now."""
    experiment, id = report.experiment, report.experiment.id
    if experiment.state is State.PAUSED:
        return [f"bailiwick experiment resume {id}"]
    if experiment.state is State.RUNNING:
        if report.decision.final:
            return [f"bailiwick experiment conclude {id}"]
        harmed = [f"bailiwick experiment drop-arm {id} {arm}" for arm in report.decision.harmed]
        return [*harmed, f"bailiwick experiment watch {id}"]
    conclusion = experiment.conclusion
    if conclusion and conclusion.winner and conclusion.deployment is None:
        return [f"bailiwick experiment deploy {id}"]
    return []


def one_line(report: Report) -> str:
    """The state of an experiment in a line, for logs and pipes."""
    analysis = report.analysis
    shown = "; ".join(f"{effect.arm} {bounds(effect.always_valid, effect.metric)}" for effect in analysis.primary)
    return f"{analysis.at:%H:%M:%S} {analysis.units:,} units; {shown}; {report.decision.verdict.value}"


def print_power(check: PowerCheck | None, design: ExperimentDesign) -> None:
    """How many and how long, with the rule that will decide."""
    metric, maximum_days = design.primary.metric, design.maximum_days
    if check is None:
        out.print(f"There is too little history of {metric} to tell: give --mean, --deviation and --per-day.")
        return
    print_table(
        f"What it takes to see {metric} move by {check.effect:.4g}",
        ("", "value"),
        [
            ("mean now", f"{check.mean:.4g}"),
            ("deviation of one value", f"{check.deviation:.4g}"),
            ("users needed, all arms", f"{check.planned_units:,}"),
            ("users a day", f"{check.per_day:,.0f}"),
            ("days needed", "unknown" if check.days is None else f"{check.days:,.1f}"),
            (f"least effect seen in {maximum_days:g} days", _or_unknown(check.detectable)),
        ],
    )
    verdict = "[green]within[/]" if check.within else "[bold red]beyond[/]"
    out.print(
        f"That is {verdict} the {maximum_days:g} days that are allowed "
        f"({check.level:.0%} confidence, {check.power:.0%} power)."
    )
    out.print(f"Rule: {rule_words(design.rule)}.{'' if check.distinct else ' One request counts as one user.'}")


def _print_head(experiment: Experiment) -> None:
    design, present = experiment.design, experiment.present
    out.print(f"[bold]{escape(experiment.id)}[/]  {design.domain}  {design.kind.value}  {experiment.state.value}")
    if design.hypothesis:
        out.print(f"  {escape(design.hypothesis)}")
    if present is not None and experiment.started_at is not None:
        out.print(
            f"  [dim]epoch {present.number}, since {experiment.started_at:%Y-%m-%d %H:%M} UTC, at most "
            f"{design.maximum_days:g} days; revision {experiment.revision}\n"
            f"  {percent(design.coverage)} of the users of layer {escape(design.layer)}; "
            f"{experiment.planned_units:,} planned\n"
            f"  rule: {rule_words(design.rule)}[/]"
        )


def _print_arms(report: Report) -> None:
    experiment, analysis = report.experiment, report.analysis
    metric = experiment.design.primary.metric
    values = {each.arm: each for each in analysis.estimates if each.metric == metric}
    counts = {each.arm: each for each in analysis.arms}
    best = {rank.arm: rank for rank in analysis.ranking}
    present = experiment.present
    rows = []
    for arm in experiment.arms:
        weight = present.weights.get(arm.name, 0) if present else 0
        value, rank = values[arm.name].value, best.get(arm.name)
        rows.append(
            (
                arm.name,
                percent(weight),
                f"{counts[arm.name].units:,}",
                f"{number(value.estimate, metric)}{' %' if unit(metric) == ' points' else unit(metric)}"
                if math.isfinite(value.estimate)
                else "",
                f"{rank.best:.0%}" if rank else "",
                arm.version or "",
            )
        )
    print_table(f"Arms ({analysis.units:,} units)", ("arm", "share", "units", metric, "best", "version"), rows)


def _print_effects(title: str, effects: Sequence[ArmEffect]) -> None:
    for metric in dict.fromkeys(effect.metric for effect in effects):
        of_metric = [effect for effect in effects if effect.metric == metric]
        reach = reach_of(of_metric)
        rows = [
            (
                effect.arm,
                bounds(effect.always_valid, metric),
                bar(effect.always_valid, reach),
                _p(effect.p),
                f"{effect.bayes.better:.0%}",
            )
            for effect in of_metric
        ]
        better = of_metric[0].better.value
        heading = f"{title}: {metric} ({better} is better), against the control, valid at any time"
        print_table(heading, ("arm", "difference", "0".center(_BAR), "p", "better"), rows, whole=("0".center(_BAR),))


def _print_schedule(report: Report) -> None:
    """What the scheduled looks have shown, where they and not the intervals at any time decide."""
    schedule = report.analysis.schedule
    if schedule is None:
        return
    if not schedule.taken:
        out.print("[dim]The intervals above hold at any time, and decide nothing: the scheduled looks do.[/]")
        return
    effects = [effect for effect in report.analysis.primary if effect.scheduled is not None]
    rows = []
    for effect in effects:
        said = "better" if effect.improves else "worse" if effect.worsens else "no difference shown"
        rows.append((effect.arm, bounds(effect.scheduled or effect.basis, effect.metric), said))
    which = f"look {schedule.taken} of {schedule.looks}" if schedule.looks > 1 else "the one look"
    print_table(f"What decides: {which}, taken at {schedule.at_units:,} users", ("arm", "difference", "shows"), rows)


def _print_guardrails(report: Report) -> None:
    rows = []
    for each in report.analysis.guardrails:
        metric = each.name.split(" ")[0]
        said = {Standing.HOLDS: "holds", Standing.OPEN: "open", Standing.BREACHED: "BREACHED"}[each.standing]
        margin = f"{number(each.margin, metric)}{unit(metric)}" if math.isfinite(each.margin) else "not known yet"
        rows.append((each.name, each.arm, bounds(each.worsening, metric), margin, said))
    print_table("Guardrails", ("guardrail", "arm", "worse by", "allowed", "stands"), rows)


def _print_notes(report: Report) -> None:
    for each in report.analysis.sample_ratio:
        if each.alarm:
            counts = ", ".join(f"{arm} {count:,}" for arm, count in each.observed.items())
            out.print(f"[bold red]Sample ratio mismatch[/] in epoch {each.epoch}: {escape(counts)} (p {each.p:.2g})")
    saved = max((effect.variance_saved for effect in report.analysis.primary), default=0.0)
    if saved >= 0.01:
        out.print(f"[dim]What was known of the users before took {saved:.0%} of the variance away (CUPED).[/]")


def _print_conclusion(conclusion: Conclusion) -> None:
    how = "automatically" if conclusion.automatic else f"by {escape(conclusion.by)}"
    out.print(f"  [dim]{conclusion.at:%Y-%m-%d %H:%M} UTC, {how}[/]")
    if conclusion.deployment:
        out.print(f"  deployment: {escape(conclusion.deployment)}")


def _p(p: float) -> str:
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def _or_unknown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
