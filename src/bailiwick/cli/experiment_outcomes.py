"""What a command on an experiment says when it is done, and what its arms stand for."""

from __future__ import annotations

from typing import Any

import typer
from rich.markup import escape

from bailiwick.cli.console import out, print_json
from bailiwick.cli.context import flags
from bailiwick.errors import NotFound
from bailiwick.experiments.document import experiment_document
from bailiwick.experiments.model import Experiment
from bailiwick.experiments.report import plain
from bailiwick.traffic.weights import percent


def resolved(ctx: typer.Context, domain: str, arms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Arms with the ids of the versions that ``serving`` and ``newest`` stand for."""
    platform = flags(ctx).platform
    for arm in arms:
        if arm["version"] == "newest":
            arm["version"] = platform.delivery.find(domain).id
        elif arm["version"] == "serving":
            plan = platform.traffic.plan(domain)
            if plan is None:
                raise NotFound(
                    f"nothing is deployed in {domain!r}",
                    what="domain",
                    requested=domain,
                    remedy=f"deploy its newest version with `bailiwick deploy {domain}`",
                )
            arm["version"] = max(plan.weights, key=lambda version: plan.weights[version])
    return arms


def said_as_json(ctx: typer.Context, experiment: Experiment) -> bool:
    """Print the experiment where JSON is asked for; whether it was."""
    if flags(ctx).json:
        print_json(plain(experiment_document(experiment)))
    return flags(ctx).json


def say(ctx: typer.Context, experiment: Experiment, what: str, next_step: str) -> None:
    """What has happened to it, and what to do next."""
    if not said_as_json(ctx, experiment):
        out.print(f"[bold green]{escape(experiment.id)}[/] {escape(what)}.")
        out.print(f"  next: {escape(next_step)}", soft_wrap=True)


def say_epoch(ctx: typer.Context, experiment: Experiment) -> None:
    """The epoch that was opened, with its shares."""
    present = experiment.present
    assert present is not None, "an epoch was opened"
    shares = ", ".join(f"{name} {percent(weight)}" for name, weight in present.weights.items())
    say(ctx, experiment, f"is in epoch {present.number}: {shares}", f"bailiwick experiment show {experiment.id}")


def say_concluded(ctx: typer.Context, experiment: Experiment) -> None:
    """How it ended, and why."""
    if said_as_json(ctx, experiment):
        return
    conclusion = experiment.conclusion
    assert conclusion is not None, "it was concluded"
    ships = f" {conclusion.winner}" if conclusion.winner else ""
    out.print(f"[bold green]{escape(experiment.id)}[/] is concluded: {conclusion.verdict.value}{escape(ships)}")
    for reason in conclusion.reasons:
        out.print(f"  - {escape(reason)}")
    if conclusion.deployment:
        out.print(f"  deployment: {escape(conclusion.deployment)}")
    elif conclusion.winner:
        out.print(f"  next: bailiwick experiment deploy {escape(experiment.id)}")
