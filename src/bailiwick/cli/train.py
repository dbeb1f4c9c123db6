"""`bailiwick train`: train and evaluate a domain's model."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bailiwick.cli.console import err, out, print_json, print_table, progress_bar
from bailiwick.cli.context import Flags, flags
from bailiwick.cli.evaluation import print_evaluation
from bailiwick.errors import BailiwickError, InvalidInput
from bailiwick.evaluation.model import Evaluation
from bailiwick.models.catalogue import DEFAULT_FAMILY
from bailiwick.models.model import EpochLoss
from bailiwick.training.model import TrainingRun

app = typer.Typer(add_completion=False, help="Train and evaluate a domain's model.")

Settings = dict[str, float | int | str | bool]


@app.command()
def train(
    ctx: typer.Context,
    domain: Annotated[str | None, typer.Argument(help="Whose model; leave out with --all.")] = None,
    dataset: Annotated[str, typer.Option(help="Name or id of the data set.")] = ...,  # type: ignore[assignment]  # Typer: required
    every: Annotated[bool, typer.Option("--all", help="Every domain of the data set, one after the other.")] = False,
    from_version: Annotated[str | None, typer.Option(help="Fine-tune this version (a domain: its newest).")] = None,
    family: Annotated[str, typer.Option(help="Model family.")] = DEFAULT_FAMILY,
    epochs: Annotated[int | None, typer.Option(min=1, max=1000, help="Passes over the texts.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of every random choice; default: the setting.")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="NAME=VALUE of the family; repeatable.")] = None,
) -> None:
    """Train a domain's model on a data set, then evaluate it on texts that it never saw.

    Examples:
      bailiwick train cards --dataset queries
      bailiwick train --all --dataset queries
      bailiwick train cards --dataset queries --from-version cards --epochs 2
    """
    root = flags(ctx)
    if every == (domain is not None):
        raise InvalidInput("name one domain, or give --all", what="DOMAIN", remedy="bailiwick train --help")
    if every and from_version:
        raise InvalidInput("--from-version goes with one domain", what="--from-version", requested=from_version)
    settings = _settings(setting or [])
    if epochs is not None:
        settings["epochs"] = epochs
    chosen_seed = root.settings.seed if seed is None else seed
    platform = root.platform
    platform.training.recover(root.actor())
    domains = list(platform.datasets.get(dataset).domains) if every else [domain or ""]
    done: list[dict[str, Any]] = []
    failed: list[BailiwickError] = []
    for name in domains:
        try:
            run, evaluation = _train_one(root, name, dataset, from_version, family, settings, chosen_seed)
        except BailiwickError as error:
            if not every:
                raise
            failed.append(error)
            err.print(f"[bold red]{name}:[/] {error}", highlight=False)
            continue
        done.append({"run": run, "evaluation": evaluation})
        if not root.json and not every:
            _report(run, evaluation)
    if root.json:
        print_json(done if every else done[0])
    elif done:
        if every:
            print_table("Trained, and judged on unseen texts", _COLUMNS, [_row(**each) for each in done])
        last: TrainingRun = done[-1]["run"]
        out.print(
            f"Next: [bold]bailiwick deploy {last.domain}[/]; more of it: [bold]bailiwick model show {last.domain}[/]"
        )
    if failed:
        raise failed[0]


def _train_one(
    root: Flags,
    domain: str,
    dataset: str,
    start: str | None,
    family: str,
    settings: Settings,
    seed: int,
) -> tuple[TrainingRun, Evaluation]:
    with progress_bar() as bar:
        task = bar.add_task(f"{domain}: reading", total=None)

        def show(loss: EpochLoss) -> None:
            validation = "" if loss.validation_loss is None else f", validation {loss.validation_loss:.4f}"
            text = f"{domain}: training loss {loss.training_loss:.4f}{validation}"
            bar.update(task, description=text, completed=loss.epoch, total=loss.epochs)

        run = root.platform.training.train(
            domain,
            dataset,
            actor=root.actor(),
            seed=seed,
            family=family,
            settings=settings,
            start_version=root.platform.registry.resolve(start).id if start else None,
            progress=show,
        )
    assert run.version is not None
    return run, root.platform.evaluation.evaluate(run.version, actor=root.actor())


_COLUMNS = ("version", "accuracy", "95 % interval", "val. loss", "weakest label")


def _row(run: TrainingRun, evaluation: Evaluation) -> tuple[Any, ...]:
    m = evaluation.metrics
    weakest = min(evaluation.labels, key=lambda score: (score.f1, score.label))
    return (
        run.version,
        f"{m['accuracy']:.3f}",
        f"{m['accuracy_low']:.3f}-{m['accuracy_high']:.3f}",
        f"{m['validation_loss']:.3f}" if "validation_loss" in m else None,
        weakest.label,
    )


def _report(run: TrainingRun, evaluation: Evaluation) -> None:
    first, last = run.losses[0], run.losses[-1]
    start = f", fine-tuned from {run.start_version}" if run.start_version else ""
    out.print(
        f"Trained [bold]{run.version}[/] in {run.cpu_s or 0:.1f} CPU s{start}: training loss "
        f"{first.training_loss:.4f} -> {last.training_loss:.4f} in {len(run.losses)} epochs",
        soft_wrap=True,
    )
    print_evaluation(evaluation)


def _settings(given: list[str]) -> Settings:
    parsed: Settings = {}
    for entry in given:
        name, equals, value = entry.partition("=")
        if not equals:
            raise InvalidInput(f"{entry!r} is not NAME=VALUE", what="--set", requested=entry)
        parsed[name.strip().replace("-", "_")] = _number(value.strip())
    return parsed


def _number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
