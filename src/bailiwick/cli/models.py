"""`bailiwick model`: list, show, evaluate and compare model versions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from bailiwick.cli.console import out, print_json, print_table
from bailiwick.cli.context import flags
from bailiwick.cli.evaluation import print_evaluation

app = typer.Typer(
    add_completion=False,
    help="List and show model versions and their evaluations. A domain stands for its newest version.",
    no_args_is_help=True,
)

REFERENCE = "VERSION|DOMAIN"


@app.command("list")
def list_versions(
    ctx: typer.Context,
    domain: Annotated[str | None, typer.Option(help="Only this domain's.")] = None,
) -> None:
    """Versions, newest first, with their latest metrics."""
    found = flags(ctx).platform.registry.list(domain)
    if flags(ctx).json:
        print_json(found)
        return
    columns = ("version", "labels", "accuracy", "p95 ms", "fine-tuned from")
    rows = [
        (
            v.id,
            len(v.card.get("labels", ())),
            _rounded(v.metrics.get("accuracy")),
            _rounded(v.metrics.get("latency_p95_ms")),
            v.parent,
        )
        for v in found
    ]
    print_table("Model versions", columns, rows)
    if found:
        out.print(f"Next: [bold]bailiwick model show {found[0].id}[/]", soft_wrap=True)
    else:
        out.print("None yet. Next: [bold]bailiwick train DOMAIN --dataset NAME[/]")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


@app.command("show")
def show(
    ctx: typer.Context, version: Annotated[str, typer.Argument(metavar=REFERENCE, help="Version to show.")]
) -> None:
    """One version: where it came from, its settings, its training curve and its latest evaluation."""
    platform = flags(ctx).platform
    found = platform.registry.resolve(version)
    version = found.id
    run = platform.training.get(found.training_run) if found.training_run else None
    evaluations = platform.evaluation.list(version)
    if flags(ctx).json:
        print_json({"version": found, "run": run, "evaluations": evaluations})
        return
    rows = [
        ("domain", found.domain),
        ("family", found.family),
        ("made", f"{found.created_at:%Y-%m-%d %H:%M:%S}Z"),
        ("fine-tuned from", found.parent),
        ("artefact sha256", found.artefact_sha256),
        ("data set sha256", found.dataset_sha256),
        ("parameters", f"{found.card.get('parameters', 0):,}"),
        ("labels", ", ".join(found.card.get("labels", ()))),
        ("settings", ", ".join(f"{key}={value}" for key, value in sorted(found.card.get("settings", {}).items()))),
    ]
    privacy = found.card.get("privacy")
    if run:
        rows[6:6] = [
            # The id of a data set carries the hash of its rows; a private training has no seed.
            ("data set", run.dataset.rpartition("-")[0] if privacy else run.dataset),
            ("training run", f"{run.id}{'' if privacy else f', seed {run.seed}'}, {run.cpu_s or 0:.1f} CPU s"),
        ]
    if privacy:
        rows += [
            ("protects", f"{privacy['unit']} of {privacy['namespace']}, {privacy['adjacency']}"),
            (
                "guarantee",
                f"epsilon {privacy['epsilon']:g}, delta {privacy['delta']:g}, charged to {privacy['account']}",
            ),
            ("method", privacy["method"]),
            *(("not protected", line) for line in privacy["not_protected"]),
            *(("released metric", f"{name} {value:.4g}") for name, value in sorted(found.metrics.items())),
        ]
    print_table(version, ("what", "value"), [row for row in rows if row[1]])
    if run and run.losses:
        curve = [(loss.epoch, loss.training_loss, loss.validation_loss) for loss in run.losses]
        print_table("Training curve (nats per text)", ("epoch", "training loss", "validation loss"), curve)
    if evaluations:
        print_evaluation(evaluations[0])


@app.command("evaluate")
def evaluate(
    ctx: typer.Context,
    version: Annotated[str, typer.Argument(metavar=REFERENCE, help="Version to measure.")],
    dataset: Annotated[str | None, typer.Option(help="Default: the one it was trained on.")] = None,
) -> None:
    """Measure a version again, or on another data set, and make that its latest metrics."""
    platform = flags(ctx).platform
    made = platform.evaluation.evaluate(
        platform.registry.resolve(version).id, actor=flags(ctx).actor(), dataset=dataset
    )
    if flags(ctx).json:
        print_json(made)
        return
    print_evaluation(made)


@app.command("compare")
def compare(
    ctx: typer.Context,
    first: Annotated[str, typer.Argument(metavar=REFERENCE, help="Version to compare with.")],
    second: Annotated[str, typer.Argument(metavar=REFERENCE, help="Version to judge.")],
    dataset: Annotated[str | None, typer.Option(help="Default: the one the second was trained on.")] = None,
) -> None:
    """Two versions on the same test texts: who is better, and can the data tell?

    Example: bailiwick model compare cards~1 cards
    """
    platform = flags(ctx).platform
    first, second = (platform.registry.resolve(reference).id for reference in (first, second))
    made = platform.evaluation.compare(first, second, dataset)
    if flags(ctx).json:
        print_json({**asdict(made), "verdict": made.verdict})
        return
    result = made.result
    print_table(
        f"{second} against {first} on {result.examples} test texts of {made.dataset}",
        ("what", "value"),
        [
            ("accuracy of the first", f"{made.first_accuracy:.4f}"),
            ("accuracy of the second", f"{made.second_accuracy:.4f}"),
            ("difference", f"{result.difference:+.4f} (95 % interval {result.low:+.4f} to {result.high:+.4f})"),
            ("right only in the first, second", f"{result.only_first}, {result.only_second}"),
            ("p-value (exact McNemar)", f"{result.p_value:.4f}"),
            ("verdict", f"the second is {made.verdict}" if made.verdict != "inconclusive" else "inconclusive"),
        ],
    )
