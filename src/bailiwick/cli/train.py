"""`bailiwick train`: train and evaluate a domain's model."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bailiwick.cli.console import err, out, print_json, print_table, progress_bar
from bailiwick.cli.context import Flags, flags
from bailiwick.cli.evaluation import print_evaluation
from bailiwick.errors import BailiwickError, InvalidInput
from bailiwick.evaluation.model import Evaluation
from bailiwick.models.catalogue import DEFAULT_FAMILY, DEFAULT_PRIVATE_FAMILY
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
    private: Annotated[
        bool, typer.Option("--private", help="Under differential privacy, paid for by a budget.")
    ] = False,
    epsilon: Annotated[
        str | None, typer.Option(help="With --private: what it may cost; default: the budget's, else 1.")
    ] = None,
    delta: Annotated[
        str | None, typer.Option(help="With --private: how likely the promise may fail; default: the budget's or 1e-5.")
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="With --private: of the budget, if there are several.")] = None,
) -> None:
    """Train a domain's model on a data set, then evaluate it on texts that it never saw.

    Examples:
      bailiwick train cards --dataset queries
      bailiwick train --all --dataset queries
      bailiwick train cards --dataset queries --from-version cards --epochs 2
      bailiwick train cards --dataset queries --private --epsilon 4
    """
    root = flags(ctx)
    if private:
        refused = {"--all": every, "--from-version": from_version, "--epochs": epochs, "--seed": seed}
        _train_privately(
            root, domain, dataset, family, parse_family_settings(setting or []), epsilon, delta, namespace, refused
        )
        return
    if every == (domain is not None):
        raise InvalidInput("name one domain, or give --all", what="DOMAIN", remedy="bailiwick train --help")
    if every and from_version:
        raise InvalidInput("--from-version goes with one domain", what="--from-version", requested=from_version)
    settings = parse_family_settings(setting or [])
    if epochs is not None:
        settings["epochs"] = epochs
    chosen_seed = root.settings.seed if seed is None else seed
    root.platform.training.recover(root.actor())
    if every:
        _train_all(root, dataset, family, settings, chosen_seed)
        return
    run, evaluation = _train_one(root, domain or "", dataset, from_version, family, settings, chosen_seed)
    if root.json:
        print_json({"run": run, "evaluation": evaluation})
        return
    _report(run, evaluation)
    _print_next(run)


def _train_all(root: Flags, dataset: str, family: str, settings: Settings, seed: int) -> None:
    """Every domain of the data set; one that fails does not stop the others, and the first failure is raised last."""
    done: list[dict[str, Any]] = []
    failed: list[BailiwickError] = []
    for name in root.platform.datasets.get(dataset).domains:
        try:
            run, evaluation = _train_one(root, name, dataset, None, family, settings, seed)
        except BailiwickError as error:
            failed.append(error)
            err.print(f"[bold red]{name}:[/] {error}", highlight=False)
            continue
        done.append({"run": run, "evaluation": evaluation})
    if root.json:
        print_json(done)
    elif done:
        print_table("Trained, and judged on unseen texts", _COLUMNS, [_row(**each) for each in done])
        _print_next(done[-1]["run"])
    if failed:
        raise failed[0]


def _print_next(run: TrainingRun) -> None:
    out.print(f"Next: [bold]bailiwick deploy {run.domain}[/]; more of it: [bold]bailiwick model show {run.domain}[/]")


def _train_privately(
    root: Flags,
    domain: str | None,
    dataset: str,
    family: str,
    settings: Settings,
    epsilon: str | None,
    delta: str | None,
    namespace: str | None,
    refused: dict[str, Any],
) -> None:
    for option, value in refused.items():
        if value:
            raise InvalidInput(f"{option} does not go with --private", what=option, requested=value)
    if domain is None:
        raise InvalidInput("name one domain", what="DOMAIN", remedy="bailiwick train --help")
    with progress_bar() as bar:
        task = bar.add_task(f"{domain}: private training", total=None)
        run = root.platform.private_training.train(
            domain,
            dataset,
            actor=root.actor(),
            epsilon=epsilon,
            delta=delta,
            family=DEFAULT_PRIVATE_FAMILY if family == DEFAULT_FAMILY else family,
            settings=settings,
            namespace=namespace,
            progress=lambda done, steps: bar.update(task, completed=done, total=steps),
        )
    assert run.version is not None
    card = root.platform.registry.get(run.version).card["privacy"]
    if root.json:
        print_json({"run": run, "privacy": card})
        return
    out.print(
        f"Trained [bold]{run.version}[/] privately in {run.cpu_s or 0:.1f} CPU s: epsilon {card['epsilon']:g}, delta "
        f"{card['delta']:g} per {card['unit']}, charged to {card['account']}",
        soft_wrap=True,
    )
    out.print("It is not evaluated: metrics on private texts cost budget too. Not protected by the training:")
    for line in card["not_protected"]:
        out.print(f"  - {line}", highlight=False)
    out.print(
        f"Next: [bold]bailiwick privacy release-metrics {run.version} --metric accuracy "
        f"--namespace {card['namespace']} --epsilon 1[/]",
        soft_wrap=True,
    )


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


def parse_family_settings(given: list[str]) -> Settings:
    """The values of ``--set NAME=VALUE`` by name.

    Raises:
        InvalidInput: one is not of that form.
    """
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
