"""Rollouts as people read them: the ladder of steps, and what is known of each metric."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.padding import Padding

from bailiwick.cli.console import out, print_table
from bailiwick.delivery.rollout.model import Finding, MetricEvidence, Rollout, RolloutState, Transition
from bailiwick.delivery.rollout.report import RolloutReport
from bailiwick.delivery.rollout.summary import Summary
from bailiwick.delivery.rollout.wording import amount, gap, metric_name
from bailiwick.traffic.gateway_reports import GatewayReport
from bailiwick.traffic.model import SLOTS
from bailiwick.traffic.weights import percent

_COLOURS = {
    RolloutState.RUNNING: "cyan",
    RolloutState.PAUSED: "yellow",
    RolloutState.GUARDING: "cyan",
    RolloutState.SUCCEEDED: "green",
    RolloutState.ABORTED: "red",
    RolloutState.SUPERSEDED: "yellow",
}
_SIGNS = {Finding.HARMFUL: "✗", Finding.HARMLESS: "✓", Finding.UNDECIDED: "…", Finding.NO_DATA: "·"}
_BAR = 27


def show_rollout(rollout: Rollout, evidence: Sequence[MetricEvidence], units: tuple[int, int]) -> None:
    """The rollout as it stands.

    Args:
        rollout: of which.
        evidence: of each metric.
        units: of canary and control.
    """
    colour = _COLOURS[rollout.state]
    out.print(f"[bold]{rollout.domain}[/]: {rollout.version} beside {rollout.baseline}", soft_wrap=True)
    out.print(f"  [{colour}]{rollout.state.value}[/] at {percent(rollout.weight)}: {escape(rollout.reason)}")
    out.print(f"  {ladder(rollout)}")
    if rollout.present is not None and not rollout.state.is_final:
        out.print(f"  {units[0]} users of the canary, {units[1]} of the control; {rollout.present.sample} are needed")
    for each in evidence:
        out.print(f"  {_SIGNS[each.finding]} {escape(each.words)}")
        drawn = interval(each)
        if drawn:
            out.print(f"    {drawn}")


def ladder(rollout: Rollout) -> str:
    """The steps in one line: done, present, to come.

    The last step is drawn as all but the hold-back, and then everything.
    """
    weights = [step.weight for step in rollout.steps if step.weight < SLOTS - rollout.policy.hold_back]
    places = [*(percent(weight) for weight in weights), percent(SLOTS - rollout.policy.hold_back), "100 %"]
    at = len(places) if rollout.state is RolloutState.SUCCEEDED else min(rollout.step, len(weights))
    stopped = rollout.state in {RolloutState.ABORTED, RolloutState.SUPERSEDED}
    drawn = []
    for index, place in enumerate(places):
        sign = "●" if index < at else ("✗" if stopped else "◉") if index == at else "○"
        drawn.append(f"{sign} {place}")
    return " ── ".join(drawn)


def interval(metric: MetricEvidence) -> str | None:
    """The interval of canary less control around zero, with the margin; None while it is open.

    ``├──●──┤`` is the interval, ``│`` zero, ``╎`` where harm of more than the margin begins.
    """
    if metric.low is None or metric.high is None or metric.difference is None:
        return None
    edge = -metric.margin if metric.rule.direction.value == "higher" else metric.margin
    reach = max(abs(metric.low), abs(metric.high), abs(edge)) or 1.0
    # twice the margin is enough to see on which side of it an interval lies
    reach = min(reach, max(4 * metric.margin, abs(metric.difference) * 2)) or reach

    def place(value: float) -> int:
        return round((max(-reach, min(reach, value)) / reach + 1) / 2 * (_BAR - 1))

    cells = [" "] * _BAR
    for index in range(place(metric.low), place(metric.high) + 1):
        cells[index] = "─"
    cells[place(metric.low)], cells[place(metric.high)] = "├", "┤"
    cells[place(0.0)] = "│"
    cells[place(edge)] = "╎"
    cells[place(metric.difference)] = "●"
    low, high = (("-" if value < 0 else "+") + gap(metric.rule, abs(value)) for value in (metric.low, metric.high))
    return f"{''.join(cells)}  {low} to {high}"


def show_gateways(reports: Sequence[GatewayReport], revision: int) -> None:
    """How many gateways serve the newest plans."""
    if not reports:
        out.print("  no gateway is running: nobody is served, and nothing will be decided (bailiwick serve)")
        return
    newest = sum(report.revision >= revision for report in reports)
    out.print(f"  applied by {newest} of {len(reports)} gateway{'s' if len(reports) > 1 else ''}")


def show_list(rollouts: Sequence[Rollout]) -> None:
    """Two lines per rollout, and why it is where it is."""
    for each in rollouts:
        state = f"[{_COLOURS[each.state]}]{each.state.value}[/]"
        out_of_it = each.state in {RolloutState.ABORTED, RolloutState.SUPERSEDED}
        at = "" if out_of_it else f" at {percent(each.weight)}"
        out.print(f"[bold]{each.id}[/]  {escape(each.domain)}  {state}{at}", soft_wrap=True)
        line = f"  {each.version}, started {each.started_at:%Y-%m-%d %H:%M}Z by {each.started_by}"
        out.print(line, markup=False, soft_wrap=True)
        out.print(Padding(escape(each.reason), (0, 0, 0, 2)))


def show_moves(transitions: Sequence[Transition]) -> None:
    """Every move."""
    print_table(
        "Moves",
        ("at (UTC)", "move", "share", "by", "why"),
        [
            (
                each.at,
                f"{each.action}{' (forced)' if each.forced else ''}",
                percent(each.weight),
                each.actor,
                each.reason,
            )
            for each in transitions
        ],
    )


def show_report(made: RolloutReport) -> None:
    """What it did."""
    rollout, evidence = made.rollout, made.evidence
    out.print(f"[bold]{rollout.domain}[/]: {rollout.version} beside {rollout.baseline}: {rollout.state.value}")
    out.print(f"  why       {escape(rollout.reason)}")
    out.print(f"  exposed   {evidence.canary_requests} requests of {evidence.canary_units} users to the canary")
    out.print(f"  peak      {percent(made.peak_weight)} of the domain's users")
    decided = "not decided yet" if made.decided_s is None else f"decided after {duration(made.decided_s)}"
    out.print(f"  took      {duration(made.total_s)}; {decided}; forced moves: {made.forced}")
    print_table(
        "Phases",
        ("share", "state", "lasted", "ended by", "why"),
        [
            (percent(each.weight), each.state, duration(each.lasted_s), _ending(each.left_by, each.actor), each.why)
            for each in made.phases
        ],
    )
    if evidence.metrics:
        print_table(
            "Evidence at the end" if rollout.state.is_final else "Evidence now",
            ("metric", "canary", "control", "finding"),
            [
                (
                    metric_name(each.rule),
                    None if each.canary is None else amount(each.rule, each.canary),
                    None if each.control is None else amount(each.rule, each.control),
                    each.finding.value,
                )
                for each in evidence.metrics
            ],
        )


def show_summary(made: Summary) -> None:
    """How rollouts have gone."""
    decided = made.succeeded + made.aborted
    rate = "none was decided yet" if made.failure_rate is None else f"{made.failure_rate:.0%} of {decided} taken back"
    out.print(f"[bold]Rollouts: {made.active + decided + made.superseded}[/]; {rate}")
    out.print(
        f"  ended     {made.succeeded} succeeded, {made.aborted} aborted ({made.harmful} on evidence of harm), "
        f"{made.superseded} superseded; {made.active} under way",
        soft_wrap=True,
    )
    for word, seconds in (("success", made.to_succeed_s), ("abort", made.to_abort_s)):
        if seconds is not None:
            out.print(f"  {word:<9} after {duration(seconds)} (median)")
    if made.aborted:
        out.print(
            f"  touched   {made.requests_on_aborted} requests of {made.units_on_aborted} users by what was taken back"
        )


def duration(seconds: float) -> str:
    """For people.

    >>> duration(42), duration(600), duration(9000)
    ('42 s', '10 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"


def _ending(action: str | None, actor: str | None) -> str:
    return "" if action is None else f"{action} by {actor}"
